"""The errors that leave the auditor without a verdict."""


class Unreachable(Exception):
    """The stack, or a part of it, cannot be read; the message is one line and says what to do."""


class DatabaseUnreachable(Unreachable):
    """A database cannot be read. `database` is, for example, "the order database"."""

    def __init__(self, database: str, error: BaseException) -> None:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        super().__init__(f"{database} cannot be read ({reason}); start the stack with: make up")
