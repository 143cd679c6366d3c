"""The machinery of a saga: one door, inbox, outbox, styles and transports. It knows no shop."""
