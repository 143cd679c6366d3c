"""Sealed text: written by one party for one other, carried by everybody between, and read by nobody else.

Guarantee: what a sealer wrote opens to the same text with the key that sealed it, now or after a rotation; text that
was never sealed opens as it is, so that what was written before there were keys is still read. An error shows neither.
"""

from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from typing import Final, Protocol

MARK: Final = "sealed:"
KEY_BYTES: Final = 32


class CannotOpen(ValueError):
    """Sealed text for which there is no key here, or that was changed on the way."""


class Sealer(Protocol):
    """Of one pair of parties: what the one seals, the other opens."""

    def seal(self, text: str) -> str:
        """Sealed text, which starts with `MARK`."""

    def open(self, text: str) -> str:
        """The text that was sealed, or `text` itself where it was not; raises `CannotOpen`."""


class FernetSealer:
    """AES-128-CBC with HMAC-SHA-256. The first key seals, every key opens: rotated by putting a new one in front.

    The same text is sealed to other bytes each time.
    """

    def __init__(self, *keys: str) -> None:
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet  # 40 ms that a service without keys saves

        self._fernet, self._invalid = MultiFernet([Fernet(key) for key in keys]), InvalidToken

    def seal(self, text: str) -> str:
        return MARK + self._fernet.encrypt(text.encode()).decode()

    def open(self, text: str) -> str:
        if not text.startswith(MARK):
            return text
        try:
            return self._fernet.decrypt(text[len(MARK) :]).decode()
        except self._invalid:
            raise CannotOpen("sealed with a key that is not known here, or changed on the way") from None


class DeterministicSealer:
    """For golden files, tests and simulation: the same text gives the same bytes. It hides nothing."""

    def __init__(self, pair: str) -> None:
        self._mark = f"{MARK}{pair}:"

    def seal(self, text: str) -> str:
        return self._mark + urlsafe_b64encode(text.encode()).decode()

    def open(self, text: str) -> str:
        if not text.startswith(MARK):
            return text
        if not text.startswith(self._mark):
            raise CannotOpen("sealed for another pair")
        return urlsafe_b64decode(text[len(self._mark) :]).decode()


class NoSealer:
    """Of a service that was given no key: it leaves text in clear, and opens only what is."""

    def seal(self, text: str) -> str:
        return text

    def open(self, text: str) -> str:
        if text.startswith(MARK):
            raise CannotOpen("sealed, and this service was given no key")
        return text


def sealer(keys: str) -> Sealer:
    """The sealer of a setting such as SEAL_KEY_PAYMENT: keys separated by commas, the newest first, or none."""
    return FernetSealer(*keys.split(",")) if keys else NoSealer()


def checked(keys: str) -> str:
    """`keys` as they are if each is the base64 (URL-safe) of 32 bytes; raises ValueError otherwise."""
    for key in keys.split(","):
        if len(b64decode(key, altchars=b"-_", validate=True)) != KEY_BYTES:
            raise ValueError("not a key")
    return keys
