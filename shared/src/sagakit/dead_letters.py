"""Messages that were given up: what is kept of one, where a service keeps them, and the twin in memory."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol

TEXT_MAX: Final = 2000  # characters of a cause or a subject


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up.

    Attributes:
        id: Derived from `body`, so that repeats are one letter.
        body: The message as it was delivered.
        cause: Why it was given up.
        at: Since when.
        subject: The id of what it is about; None if nobody could tell.
    """

    id: str
    body: bytes
    cause: str
    at: datetime
    subject: str | None = None


class DeadLetters(Protocol):
    """Where a service keeps what it gave up, until an operator has dealt with it."""

    async def add(self, body: bytes, cause: str, subject: str | None = None) -> None:
        """Keep a letter. One that is open stays one letter; one that was resolved is open again."""

    async def find(self, letter_id: str) -> DeadLetter | None:
        """The open letter of that id."""

    async def resolve(self, letter_id: str, resolution: str, by: str | None = None) -> None:
        """Close an open letter: what was done with it, and who did it. Harmless if it is not open."""


def letter_id(body: bytes) -> str:
    """The id of a letter: a digest of its bytes."""
    return hashlib.sha256(body).hexdigest()[:32]


def storable(text: str) -> str:
    """`text` as any store can keep it: at most TEXT_MAX characters, without NUL and lone surrogates."""
    return text[:TEXT_MAX].replace("\x00", "\ufffd").encode(errors="replace").decode()


class MemoryDeadLetters:
    """DeadLetters without a database.

    Attributes:
        letters: The open ones by id.
    """

    def __init__(self) -> None:
        self.letters: dict[str, DeadLetter] = {}

    async def add(self, body: bytes, cause: str, subject: str | None = None) -> None:
        """See DeadLetters."""
        key = letter_id(body)
        before = self.letters.get(key) or DeadLetter(key, body, "", datetime.now(UTC))
        self.letters[key] = replace(before, cause=storable(cause), subject=subject or before.subject)

    async def find(self, letter_id: str) -> DeadLetter | None:
        """See DeadLetters."""
        return self.letters.get(letter_id)

    async def resolve(self, letter_id: str, resolution: str, by: str | None = None) -> None:
        """See DeadLetters."""
        self.letters.pop(letter_id, None)
