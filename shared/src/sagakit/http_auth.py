"""Who calls: bearer tokens (JWT, HS256), verified once and remembered until they expire.

Guarantee: a handler behind one of these dependencies runs only for a verified caller in one of the named
roles; everyone else gets 401 with `WWW-Authenticate`, or 403.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, cast

import jwt
from fastapi import Depends
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from sagakit.http_problems import Problem

ISSUER: Final = "quartet"
AUDIENCE: Final = "quartet"
Role = Literal["customer", "admin", "service"]
_ROLES: Final[tuple[Role, ...]] = ("customer", "admin", "service")
_REMEMBERED: Final = 10_000
_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A token from `make -s token`")


@dataclass(frozen=True)
class Caller:
    """The verified subject of a token, and its role."""

    subject: str
    role: Role

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an operator."""
        return self.role == "admin"


def issue_token(
    secret: str, subject: str, role: Role = "customer", *, ttl: float = 3600, now: float | None = None
) -> str:
    """A token for `subject` that expires `ttl` seconds after `now` (default: the wall clock)."""
    at = int(time.time() if now is None else now)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "role": role, "iat": at, "exp": at + int(ttl)}
    return jwt.encode(claims, secret, algorithm="HS256")


class Verifier:
    """Verifies tokens under one secret; a token once verified is remembered until it expires."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret, self._clock = secret, clock
        self._known: dict[str, tuple[Caller, float]] = {}

    def verify(self, token: str) -> Caller:
        """The caller behind the token; raises `Problem` 401 when it is expired, forged or incomplete."""
        known = self._known.get(token)
        if known is not None and known[1] > self._clock():
            return known[0]
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise _unauthenticated("The token has expired.", "invalid_token") from None
        except jwt.PyJWTError:
            raise _unauthenticated("The token is not valid.", "invalid_token") from None
        subject, role = claims["sub"], claims.get("role")
        if role not in _ROLES or not subject or len(subject) > 255 or not subject.isprintable():
            raise _unauthenticated("The token names no known subject and role.", "invalid_token")
        caller = Caller(subject, cast(Role, role))
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[token] = (caller, float(claims["exp"]))
        return caller


def _unauthenticated(detail: str, error: str = "") -> Problem:
    challenge = 'Bearer realm="quartet"' + (f', error="{error}", error_description="{detail}"' if error else "")
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def require(*roles: Role) -> Callable[[Request, HTTPAuthorizationCredentials | None], Awaitable[Caller]]:
    """A dependency that gives the `Caller` and admits the given roles only."""

    async def dependency(request: Request, credentials: Credentials) -> Caller:
        if credentials is None:
            raise _unauthenticated("Send the header Authorization: Bearer <token>.")
        verifier: Verifier = request.app.state.verifier
        caller = verifier.verify(credentials.credentials)
        request.state.caller = caller  # the connection is a stranger's no more
        if caller.role not in roles:
            raise Problem(
                403,
                "forbidden",
                f"This needs the role {' or '.join(roles)}.",
                headers={"WWW-Authenticate": 'Bearer realm="quartet", error="insufficient_scope"'},
            )
        return caller

    return dependency


async def refusal(request: Request) -> Problem | None:
    """Why this caller may not use the route, if it is one for the authenticated and they are not."""
    dependant = getattr(request.scope.get("route"), "dependant", None)
    if dependant is None or not _guarded(dependant):
        return None
    try:
        await require(*_ROLES)(request, await _bearer(request))
    except Problem as problem:
        return problem
    return None


def _guarded(dependant: Dependant) -> bool:
    return dependant.call is _bearer or any(map(_guarded, dependant.dependencies))


require_customer = require("customer")
require_admin = require("admin")
require_service = require("service")
require_caller = require("customer", "admin")
