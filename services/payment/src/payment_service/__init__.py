"""The payment service: it owns the payments, and calls the payment provider."""
