"""Authentication: bearer tokens (JWT, Ed25519), verified once and cached until they expire.

Guarantee: a service holds public keys only, so it cannot issue a token. A handler behind one of these dependencies
runs only for a verified caller in one of the named roles; everyone else gets 401 with `WWW-Authenticate`, or 403. No
token, however malformed, causes an internal error. Clocks may differ by `leeway` seconds.
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
_ROLES: Final[tuple[Role, ...]] = ("customer", "admin")  # in tokens; a service authenticates with a key instead
_CACHE_MAX: Final = 10_000
_TOKEN_MAX: Final = 8192  # characters
_LATEST: Final = 253_402_300_799  # the last second of the year 9999
_bearer = HTTPBearer(
    auto_error=False, scheme_name="bearer", bearerFormat="JWT", description="A token from `make -s token`"
)


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
    """Issue a token for `subject` that expires `ttl` seconds after `now` (default: the wall clock).

    `signing_key` is the private key, a stack's TOKEN_SIGNING_KEY; a malformed one raises ValueError.
    """
    issued_at = int(time.time() if now is None else now)
    expires_at = issued_at + int(ttl)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "role": role, "iat": issued_at, "exp": expires_at}
    return jwt.encode(claims, private_key(signing_key), algorithm=ALGORITHM)


class Verifier:
    """Verifies tokens against several public keys, and caches each verified token's digest until the token expires.

    The cache holds `cache_max` entries and evicts the oldest; it never holds a token itself.
    """

    def __init__(
        self,
        keys: str,
        clock: Callable[[], float] = time.time,
        leeway: float = 5.0,
        cache_max: int = _CACHE_MAX,
    ) -> None:
        self._keys, self._clock, self._leeway, self._cache_max = public_keys(keys), clock, leeway, cache_max
        self._cache: dict[bytes, tuple[Principal, float]] = {}

    def verify(self, token: str) -> Principal:
        """Return the caller whom the token names.

        Raises:
            Unauthenticated: The token is forged, expired, not valid yet, or incomplete.
        """
        if len(token) > _TOKEN_MAX:
            raise Unauthenticated("The token is not valid.", "invalid_token")
        encoded = token.encode(errors="surrogatepass")
        if (known := self.known(encoded)) is not None:
            return known
        claims = self._claims(token)
        subject, role, expires_at = claims.get("sub"), claims.get("role"), self._expires_at(claims)
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise Unauthenticated("The token names no known subject and role.", "invalid_token")
        if not isinstance(role, str) or role not in _ROLES:
            raise Unauthenticated("The token names no known subject and role.", "invalid_token")
        caller = Principal(subject, role)
        while len(self._cache) >= self._cache_max:
            del self._cache[next(iter(self._cache))]
        self._cache[hashlib.sha256(encoded).digest()] = (caller, expires_at)
        return caller

    def known(self, token: bytes) -> Principal | None:
        """The caller whom a token names that was verified before and has not expired; None for any other token."""
        cached = self._cache.get(hashlib.sha256(token).digest())
        return cached[0] if cached is not None and cached[1] > self._clock() else None

    def _claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that one of our keys verifies.

        Raises:
            Unauthenticated: No key verifies it, or a claim is missing.
        """
        for key in self._keys:
            try:
                claims: Mapping[str, Any] = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],  # whatever algorithm the token's header names
                    issuer=ISSUER,
                    audience=AUDIENCE,
                    options={
                        "require": ["exp", "sub", "iss", "aud"],
                        # `_expires_at` compares times with our clock and bounds them
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                    },
                )
            except Exception:  # noqa: S112  # whichever error the decoder raises, the token is not valid
                continue
            return claims
        raise Unauthenticated("The token is not valid.", "invalid_token")

    def _expires_at(self, claims: Mapping[str, Any]) -> float:
        """The time at which the token expires, leeway included.

        Raises:
            Unauthenticated: It has expired, or it is not valid yet.
        """
        now, times = self._clock(), {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
        if not all(_is_time(value) for value in times.values()):
            raise Unauthenticated("The token is not valid.", "invalid_token")
        expires_at = float(times["exp"]) + self._leeway
        if expires_at <= now:
            raise Unauthenticated("The token has expired.", "invalid_token")
        if max(times.get("nbf", 0), times.get("iat", 0)) > now + self._leeway:
            raise Unauthenticated("The token is not valid yet.", "invalid_token")
        return expires_at


def _is_time(value: object) -> bool:
    """Whether the value is a NumericDate (RFC 7519) before the year 10000; NaN is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LATEST


class Unauthenticated(Problem):
    """401; `detail` says what to send, `error` is an error code of RFC 6750."""

    def __init__(self, detail: str, error: str = "") -> None:
        challenge = 'Bearer realm="quartet"' + (f', error="{error}", error_description="{detail}"' if error else "")
        super().__init__(401, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def require(*roles: Role) -> Callable[[Request, HTTPAuthorizationCredentials | None], Awaitable[Principal]]:
    """Make a dependency that returns the `Principal` and admits only the given roles."""

    async def dependency(request: Request, credentials: Credentials) -> Principal:
        if credentials is None:
            raise Unauthenticated("Send the header Authorization: Bearer <token>.")
        verifier: Verifier = request.app.state.verifier
        caller = verifier.verify(credentials.credentials)
        request.state.caller = caller  # from here on the connection counts as authenticated
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
    """The 401 or 403 that this caller would get from the route; None if they may use it."""
    route = next((route for match, route in routes_at(request.scope) if match == Match.FULL), None)
    dependant: Dependant | None = getattr(route, "dependant", None)
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
    """The dependencies of a handler that `require` has made."""
    for inner in dependant.dependencies:
        if any(dependency.call is _bearer for dependency in inner.dependencies):
            yield cast(Callable[..., Awaitable[Principal]], inner.call)
        else:
            yield from _guards(inner)


require_customer = require("customer")
require_admin = require("admin")
require_caller = require("customer", "admin")
Customer = Annotated[Principal, Depends(require_customer)]
"""A handler's parameter of this type is the caller, a customer."""
Admin = Annotated[Principal, Depends(require_admin)]
"""The same for an operator."""
Anyone = Annotated[Principal, Depends(require_caller)]
"""The same for either of them."""
