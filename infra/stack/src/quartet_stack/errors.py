"""Errors that the person at the keyboard can put right."""

from __future__ import annotations


class StackError(Exception):
    """Ends a command with one clear message and an exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class UsageError(StackError):
    """The request itself was wrong, such as an unknown value of a setting: exit status 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=2)
