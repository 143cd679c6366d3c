"""Sealed text: written by one service for one other, and unreadable to all that store and carry it.

Guarantee: sealed text opens to the same text with the key that sealed it, also after a rotation. Text that was never
sealed opens unchanged, so that what was written before there were keys can still be read. Errors show neither text.
"""

from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from typing import Any, Final, Protocol

MARK: Final = "sealed:"
MASKED: Final = "[sealed]"
KEY_BYTES: Final = 32


class CannotOpen(ValueError):
    """Text that was sealed with a key that is not known here, or changed since."""


class Sealer(Protocol):
    """Seals and opens text between one pair of services."""

    def seal(self, text: str) -> str:
        """Sealed text, which starts with `MARK`."""

    def open(self, text: str) -> str:
        """The text that was sealed, or `text` itself if it was not; raises CannotOpen."""


class FernetSealer:
    """AES-128-CBC with HMAC-SHA-256, to other bytes each time.

    The first key seals, every key opens: to rotate, put a new key in front.
    """

    def __init__(self, *keys: str) -> None:
        from cryptography.fernet import (
            Fernet,
            InvalidToken,
            MultiFernet,
        )  # takes 40 ms, which a service without keys saves

        self._fernet, self._invalid = MultiFernet([Fernet(key) for key in keys]), InvalidToken

    def seal(self, text: str) -> str:
        """See Sealer."""
        return MARK + self._fernet.encrypt(text.encode()).decode()

    def open(self, text: str) -> str:
        """See Sealer.

        Raises:
            CannotOpen: No key here opens it.
        """
        if not text.startswith(MARK):
            return text
        try:
            return self._fernet.decrypt(text[len(MARK) :]).decode()
        except self._invalid:
            raise CannotOpen("sealed with a key that is not known here, or changed since") from None


class DeterministicSealer:
    """For golden files, tests and simulation: the same text gives the same bytes. It protects nothing."""

    def __init__(self, pair: str) -> None:
        self._mark = f"{MARK}{pair}:"

    def seal(self, text: str) -> str:
        """See Sealer."""
        return self._mark + urlsafe_b64encode(text.encode()).decode()

    def open(self, text: str) -> str:
        """See Sealer.

        Raises:
            CannotOpen: No key here opens it.
        """
        if not text.startswith(MARK):
            return text
        if not text.startswith(self._mark):
            raise CannotOpen("sealed for another pair")
        return urlsafe_b64decode(text[len(self._mark) :]).decode()


class NoSealer:
    """For a service without a key: it leaves text in clear, and opens only text in clear."""

    def seal(self, text: str) -> str:
        """See Sealer."""
        return text

    def open(self, text: str) -> str:
        """The text itself.

        Raises:
            CannotOpen: It is sealed.
        """
        if text.startswith(MARK):
            raise CannotOpen("sealed, and this service has no key")
        return text


def masked(value: Any, names: Collection[str]) -> Any:
    """A copy of a JSON value without secrets: fields of these names, and sealed text anywhere, become MASKED."""
    if isinstance(value, dict):
        return {key: MASKED if key in names else masked(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, names) for inner in value]
    return MASKED if isinstance(value, str) and value.startswith(MARK) else value


def sealer(keys: str) -> Sealer:
    """The sealer of a setting such as SEAL_KEY_PAYMENT: keys separated by commas, the newest first, or none."""
    return FernetSealer(*keys.split(",")) if keys else NoSealer()


def checked(keys: str) -> str:
    """`keys` unchanged.

    Raises:
        ValueError: One of them is not 32 bytes in URL-safe base64.
    """
    for key in keys.split(","):
        if len(b64decode(key, altchars=b"-_", validate=True)) != KEY_BYTES:
            raise ValueError("not a key")
    return keys
