"""Tokens of people, signed with the stack's private key; without PyJWT, which takes a tenth of a second to load."""

from __future__ import annotations

import base64
import json
import time

from quartet_stack.errors import usage
from sagakit.tokens import ALGORITHM, private_key, public_half

LIFETIME = 24 * 3600
ROLES = ("customer", "admin")
SIGNING_KEY = "TOKEN_SIGNING_KEY"


def make_token(signing_key: str, subject: str, role: str = "customer", now: float | None = None) -> str:
    """A signed JWT that `subject` may use for 24 hours; raises ValueError if the key is none."""
    issued = int(time.time() if now is None else now)
    claims = {
        "sub": subject,
        "role": role,
        "iat": issued,
        "exp": issued + LIFETIME,
        "iss": "quartet",
        "aud": "quartet",
    }
    signed = f"{_part({'alg': ALGORITHM, 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_encode(private_key(signing_key).sign(signed.encode()))}"


def checked(keys: str) -> str:
    """The value of TOKEN_SIGNING_KEY as it is, if it can sign; `StackError` with status 2 otherwise."""
    try:
        public_half(keys)
    except ValueError:
        raise usage(f"{SIGNING_KEY} is not valid: expected 32 bytes in URL-safe base64, separated by commas") from None
    return keys


def _part(value: dict[str, object] | dict[str, str]) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
