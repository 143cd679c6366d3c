"""Who looks at a page: the tokens in the browser's cookies, the persona in use, and the proof that a form is ours.

Guarantee: the console keeps no session. It holds neither a key that signs tokens nor a password; whoever steals its
memory or its files can issue nothing. A form counts only with a token derived from the cookies, from our own pages.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from checkout import limits
from sagakit.web.app import Problem
from sagakit.web.auth import Principal, Unauthenticated, Verifier

CUSTOMER: Final = "customer"
OPERATOR: Final = "operator"
PERSONAS: Final[Mapping[str, str]] = {CUSTOMER: "customer", OPERATOR: "admin"}
"""Persona -> the role that its token has."""
LIFETIME: Final = 24 * 3600  # seconds
BASKET_MAX: Final = 10
KEPT_MAX: Final = 6
FORM_FIELDS_MAX: Final = 60


@dataclass(frozen=True)
class Session:
    """What the cookies of a request say.

    Attributes:
        tokens: Persona -> its token, verified.
        names: Persona -> its subject.
        persona: The one in use; empty if nobody is signed in.
        basket: SKU -> quantity.
        kept: Orders that were kept to be compared, each with the mode that it was seen in; the last one last.
    """

    tokens: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    persona: str = ""
    basket: Mapping[str, int] = field(default_factory=dict)
    kept: tuple[tuple[str, str], ...] = ()

    @property
    def token(self) -> str:
        """The token of the persona in use; empty if nobody is signed in."""
        return self.tokens.get(self.persona, "")

    @property
    def name(self) -> str:
        """The name of the persona in use."""
        return self.names.get(self.persona, "")

    @property
    def is_operator(self) -> bool:
        """Whether the operator looks."""
        return self.persona == OPERATOR

    @property
    def csrf(self) -> str:
        """What a form must send: nobody who does not know the cookies can compute it."""
        secret = hashlib.sha256("\0".join(f"{name}={self.tokens[name]}" for name in sorted(self.tokens)).encode())
        return hmac.new(secret.digest(), b"csrf", hashlib.sha256).hexdigest()


class Sessions:
    """Reads and writes sessions. Cookies are named after the port, which a browser does not tell apart."""

    def __init__(self, verifier: Verifier, port: int) -> None:
        self._verifier, self._port = verifier, port

    def of(self, request: Request) -> Session:
        """The session of a request; a token that is not valid any more is left out."""
        tokens, names = dict[str, str](), dict[str, str]()
        for persona, role in PERSONAS.items():
            token = request.cookies.get(self._cookie(persona), "")
            caller = self._caller(token)
            if caller is not None and caller.role == role:
                tokens[persona], names[persona] = token, caller.subject
        wanted = request.cookies.get(self._cookie("persona"), "")
        persona = wanted if wanted in tokens else next(iter(tokens), "")
        basket = _basket(request.cookies.get(self._cookie("basket"), ""))
        return Session(tokens, names, persona, basket, _kept(request.cookies.get(self._cookie("kept"), "")))

    def sign_in(self, response: Response, request: Request, tokens: Mapping[str, str]) -> None:
        """Give the browser the tokens of the personas that it may be."""
        self.sign_out(response)
        for persona in PERSONAS:
            if persona in tokens:
                self._set(response, request, persona, tokens[persona])

    def sign_out(self, response: Response) -> None:
        """Take all tokens from the browser."""
        for name in (*PERSONAS, "persona"):
            response.delete_cookie(self._cookie(name))

    def use(self, response: Response, request: Request, persona: str) -> None:
        """Be that persona from now on."""
        self._set(response, request, "persona", persona)

    def keep_basket(self, response: Response, request: Request, basket: Mapping[str, int]) -> None:
        """Remember what is in the basket."""
        self._set(response, request, "basket", _packed(basket))

    def keep_orders(self, response: Response, request: Request, kept: Sequence[tuple[str, str]]) -> None:
        """Remember the last of these orders, each with its mode."""
        self._set(response, request, "kept", _packed(list(dict.fromkeys(kept))[-KEPT_MAX:]))

    def _set(self, response: Response, request: Request, name: str, value: str) -> None:
        secure = request.url.scheme == "https"
        response.set_cookie(
            self._cookie(name), value, max_age=LIFETIME, httponly=True, samesite="lax", secure=secure, path="/"
        )

    def _cookie(self, name: str) -> str:
        return f"quartet-{self._port}-{name}"

    def _caller(self, token: str) -> Principal | None:
        try:
            return self._verifier.verify(token) if token else None
        except Unauthenticated:
            return None


def _packed(value: object) -> str:
    """A value as a cookie holds it."""
    return json.dumps(value, separators=(",", ":")).encode().hex()


def _kept(text: str) -> tuple[tuple[str, str], ...]:
    try:
        found = json.loads(bytes.fromhex(text)) if text else []
        return tuple((str(order_id), str(mode)) for order_id, mode in found)[-KEPT_MAX:]
    except (ValueError, TypeError, RecursionError):
        return ()


def _basket(text: str) -> dict[str, int]:
    try:
        lines = json.loads(bytes.fromhex(text)) if text else {}
        items = [(str(sku), int(quantity)) for sku, quantity in lines.items()][:BASKET_MAX]
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    return {sku: quantity for sku, quantity in items if len(sku) <= limits.SKU and 0 < quantity <= limits.QUANTITY}


async def form_of(request: Request, session: Session) -> dict[str, str]:
    """The fields of a form that one of our pages sent.

    Raises:
        Problem: It comes from elsewhere, or cannot be read.
    """
    refuse_foreign(request)
    try:
        fields = parse_qsl((await request.body()).decode(), max_num_fields=FORM_FIELDS_MAX, keep_blank_values=True)
    except ValueError:
        raise Problem(400, "bad_request", "The form cannot be read.") from None
    form = dict(fields)
    if session.tokens and not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
        raise Problem(403, "forbidden", "This form is out of date. Go back, load the page again, and repeat.")
    return form


def refuse_foreign(request: Request) -> None:
    """Check that a browser sent the request from one of our own pages.

    Raises:
        Problem: The request comes from a page of another origin.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:  # our pages send no referrer, so browsers that send this header say "null" as the origin
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign:
        raise Problem(403, "forbidden", "This form was sent from another site.")
