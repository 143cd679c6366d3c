"""What the four services share: messages, the saga, the subscriptions, the catalogue. No I/O."""
