"""Access tokens of people, signed with the stack's private key."""

from __future__ import annotations

import time

from quartet_stack.errors import UsageError
from sagakit.tokens import ALGORITHM, private_key, public_half

LIFETIME = 24 * 3600  # seconds
ROLES = ("customer", "admin")
SIGNING_KEY = "TOKEN_SIGNING_KEY"


def make_token(signing_key: str, subject: str, role: str = "customer", now: float | None = None) -> str:
    """A signed JWT (RFC 7519) that `subject` may use for 24 hours; ValueError if the key is not valid."""
    import jwt  # takes 40 ms, and the other commands do not need it

    issued = int(time.time() if now is None else now)
    claims = {
        "sub": subject,
        "role": role,
        "iat": issued,
        "exp": issued + LIFETIME,
        "iss": "quartet",
        "aud": "quartet",
    }
    return jwt.encode(claims, private_key(signing_key), algorithm=ALGORITHM)


def checked(keys: str) -> str:
    """Return the value of TOKEN_SIGNING_KEY unchanged if it can sign.

    Raises:
        UsageError: It cannot; the message does not show it.
    """
    try:
        public_half(keys)
    except ValueError:
        raise UsageError(
            f"{SIGNING_KEY} is not valid: expected 32 bytes in URL-safe base64, several separated by commas"
        ) from None
    return keys
