"""What keeps the auditor from giving a verdict."""


class Unreachable(Exception):
    """The stack, or a part of it, cannot be looked at; the message is one line and says what to do."""
