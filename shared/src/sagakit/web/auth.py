"""Who calls: bearer tokens (JWT, Ed25519), verified once and remembered until they expire.

Guarantee: who verifies holds nothing that signs, so no service can make a token. A handler behind one of these
dependencies runs only for a verified caller in one of the named roles; everyone else gets 401 with `WWW-Authenticate`,
or 403. Whatever a client sends as a token is answered, never an error of ours. Clocks may differ by `leeway` seconds.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, cast

import jwt
from fastapi import Depends
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request
from starlette.routing import Match

from sagakit.tokens import ALGORITHM, private_key, public_keys
from sagakit.web.problems import Problem
from sagakit.web.routes import routes_at

ISSUER: Final = "quartet"
AUDIENCE: Final = "quartet"
Role = Literal["customer", "admin", "service"]
_ROLES: Final[tuple[Role, ...]] = ("customer", "admin")  # of tokens: a service has none, it shows a key
_REMEMBERED: Final = 10_000
_TOKEN_MAX: Final = 8192  # characters
_LATEST: Final = 253_402_300_799  # the last second of the year 9999
_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A token from `make -s token`")


@dataclass(frozen=True)
class Principal:
    """The verified subject of a token, or of a key, and its role."""

    subject: str
    role: Role

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an operator."""
        return self.role == "admin"


def issue_token(
    signing_key: str,
    subject: str,
    role: Literal["customer", "admin"] = "customer",
    *,
    ttl: float = 3600,
    now: float | None = None,
) -> str:
    """A token for `subject` that expires `ttl` seconds after `now` (default: the wall clock).

    `signing_key`: the private key, a stack's TOKEN_SIGNING_KEY; raises ValueError if it is none.
    """
    at = int(time.time() if now is None else now)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "role": role, "iat": at, "exp": at + int(ttl)}
    return jwt.encode(claims, private_key(signing_key), algorithm=ALGORITHM)


class Verifier:
    """Verifies tokens by any of some public keys; a token once verified is remembered until it expires.

    Of the `remembered` that are kept, the first to come is the first to go; tokens themselves are not kept.
    """

    def __init__(
        self,
        keys: str,
        clock: Callable[[], float] = time.time,
        leeway: float = 5.0,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._keys, self._clock, self._leeway, self._remembered = public_keys(keys), clock, leeway, remembered
        self._known: dict[bytes, tuple[Principal, float]] = {}

    def verify(self, token: str) -> Principal:
        """The caller behind the token; raises `Problem` 401 when it is expired, forged or incomplete."""
        if len(token) > _TOKEN_MAX:
            raise unauthenticated("The token is not valid.", "invalid_token")
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and known[1] > self._clock():
            return known[0]
        claims = self._claims(token)
        subject, role, ends = claims.get("sub"), claims.get("role"), self._ends(claims)
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise unauthenticated("The token names no known subject and role.", "invalid_token")
        if not isinstance(role, str) or role not in _ROLES:
            raise unauthenticated("The token names no known subject and role.", "invalid_token")
        caller = Principal(subject, role)
        while len(self._known) >= self._remembered:
            del self._known[next(iter(self._known))]
        self._known[digest] = (caller, ends)
        return caller

    def _claims(self, token: str) -> Mapping[str, Any]:
        """What a token says that somebody has signed whom we trust."""
        for key in self._keys:
            try:
                claims: Mapping[str, Any] = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],  # the only one, whatever the token says of itself
                    issuer=ISSUER,
                    audience=AUDIENCE,
                    options={
                        "require": ["exp", "sub", "iss", "aud"],
                        # times are compared below, by our clock and within bounds
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                    },
                )
            except Exception:  # noqa: S112  # whatever a reader makes of a stranger's bytes, the token is not valid
                continue
            return claims
        raise unauthenticated("The token is not valid.", "invalid_token")

    def _ends(self, claims: Mapping[str, Any]) -> float:
        """When we stop believing it; raises `Problem` 401 if that is past, or it is not valid yet."""
        now, times = self._clock(), {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
        if not all(_is_time(value) for value in times.values()):
            raise unauthenticated("The token is not valid.", "invalid_token")
        ends = float(times["exp"]) + self._leeway
        if ends <= now:
            raise unauthenticated("The token has expired.", "invalid_token")
        if max(times.get("nbf", 0), times.get("iat", 0)) > now + self._leeway:
            raise unauthenticated("The token is not valid yet.", "invalid_token")
        return ends


def _is_time(value: object) -> bool:
    """Whether it is a NumericDate (RFC 7519) of this age; NaN is in no range."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LATEST


def unauthenticated(detail: str, error: str = "") -> Problem:
    """401, with what to send instead; `error` is a code of RFC 6750."""
    challenge = 'Bearer realm="quartet"' + (f', error="{error}", error_description="{detail}"' if error else "")
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def require(*roles: Role) -> Callable[[Request, HTTPAuthorizationCredentials | None], Awaitable[Principal]]:
    """A dependency that gives the `Principal` and admits the given roles only."""

    async def dependency(request: Request, credentials: Credentials) -> Principal:
        if credentials is None:
            raise unauthenticated("Send the header Authorization: Bearer <token>.")
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
    """Why this caller may not use the route: not authenticated, or of another role. None if they may."""
    asked = next((route for match, route in routes_at(request.scope) if match == Match.FULL), None)
    dependant: Dependant | None = getattr(asked, "dependant", None)
    if dependant is None:
        return None
    try:
        credentials = await _bearer(request)
        for guard in _guards(dependant):
            await guard(request, credentials)
    except Problem as problem:
        return problem
    return None


def _guards(dependant: Dependant) -> Iterator[Callable[..., Awaitable[Principal]]]:
    """The dependencies made by `require` that stand before a handler."""
    for inner in dependant.dependencies:
        if any(one.call is _bearer for one in inner.dependencies):
            yield cast(Callable[..., Awaitable[Principal]], inner.call)
        else:
            yield from _guards(inner)


require_customer = require("customer")
require_admin = require("admin")
require_caller = require("customer", "admin")
