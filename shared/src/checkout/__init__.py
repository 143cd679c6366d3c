"""The vocabulary the four services share: messages, the saga, the subscriptions, the catalogue."""
