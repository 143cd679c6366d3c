"""The keys of access tokens: the issuer signs with a private key, services verify with its public half.

Ed25519 (RFC 8032). A key of either kind is written as its 32 bytes in URL-safe base64, fit for an environment variable.
Several keys, separated by commas, are a rotation: the first signs, each verifies.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM: Final = "EdDSA"
_KEY_BYTES: Final = 32


def new_signing_key() -> str:
    """A random private key."""
    return urlsafe_b64encode(token_bytes(_KEY_BYTES)).decode()


def private_key(keys: str) -> Ed25519PrivateKey:
    """The first of `keys`; ValueError if it is not a key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(keys.split(",")[0]))


def public_keys(keys: str) -> list[Ed25519PublicKey]:
    """The public `keys`, each of which verifies; ValueError if one of them is not a key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return [Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key)) for key in keys.split(",")]


def public_half(keys: str) -> str:
    """The public keys of the private `keys`, in the same order; ValueError if one of them is not a key."""
    halves = (private_key(key).public_key().public_bytes_raw() for key in keys.split(","))
    return ",".join(urlsafe_b64encode(half).decode() for half in halves)
