"""Tokens for the stack's own services: HS256 with the stack's secret; standard library only, to be quick."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

LIFETIME = 24 * 3600
ROLES = ("customer", "admin")


def make_token(secret: str, subject: str, role: str = "customer", now: float | None = None) -> str:
    """A signed JWT that `subject` may use for 24 hours."""
    issued = int(time.time() if now is None else now)
    claims = {
        "sub": subject,
        "role": role,
        "iat": issued,
        "exp": issued + LIFETIME,
        "iss": "quartet",
        "aud": "quartet",
    }
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_encode(signature)}"


def _part(value: dict[str, object] | dict[str, str]) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
