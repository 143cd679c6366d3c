"""What can go wrong in a way that the person at the keyboard can put right."""

from __future__ import annotations


class StackError(Exception):
    """Ends a command with one clear message; `status` 2 means that the call itself was wrong."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def usage(message: str) -> StackError:
    """An error in what was asked for: exit status 2."""
    return StackError(message, status=2)
