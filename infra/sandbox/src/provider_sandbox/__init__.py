"""A payment provider and a carrier to test against, with a ledger of their own."""
