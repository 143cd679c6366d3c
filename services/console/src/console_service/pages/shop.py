"""The shop: a catalogue with search, a basket, and the checkout, with the provider's test cards one click away."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from checkout import limits
from checkout.catalogue import CATALOGUE, CURRENCY, Product
from console_service.session import BASKET_MAX, CUSTOMER, Session, form_of
from console_service.site import Site, form_by, go
from console_service.upstream import Refused

PER_PAGE: Final = 12
BY_SKU: Final = {product.sku: product for product in CATALOGUE}
Text = Annotated[str, Query(max_length=100)]
Number = Annotated[int, Query(ge=1, le=1000)]


@dataclass(frozen=True)
class Outcome:
    """A choice at the checkout, and how the order is going to end."""

    value: str
    title: str
    about: str


CARDS: Final = (
    Outcome("tok_visa", "Good card", "is charged; the order completes"),
    Outcome("tok_declined", "Declined", "is refused; what was reserved is given back"),
    Outcome("tok_insufficient_funds", "No funds", "is refused for want of money"),
    Outcome("tok_timeout", "Lost answer", "is charged, but the first answer is lost; the repeat finds it"),
    Outcome("tok_flaky", "Fails twice", "works at the third attempt"),
    Outcome("tok_slow", "Slow", "takes three seconds: time to cancel"),
)
COUNTRIES: Final = (
    Outcome("LV", "Latvia", "is delivered to"),
    Outcome("DE", "Germany", "is delivered to"),
    Outcome("AQ", "Antarctica", "is refused by the carrier; stock and money are given back"),
)
ADDRESS: Final = {"name": "A. Customer", "line1": "1 Main St", "city": "Riga", "postal_code": "LV-1010"}


def shop_routes(site: Site) -> APIRouter:
    """The routes of the shop."""
    pages, router = Shop(site), APIRouter(include_in_schema=False)
    router.add_api_route("/shop", pages.catalogue, methods=["GET"])
    router.add_api_route("/basket", pages.basket, methods=["GET"])
    router.add_api_route("/basket", pages.change, methods=["POST"])
    router.add_api_route("/checkout", pages.checkout, methods=["POST"])
    return router


def found(query: str) -> list[Product]:
    """The products whose name or SKU has every word of the query, in the order of the catalogue."""
    terms = query.casefold().split()
    return [it for it in CATALOGUE if all(term in f"{it.name} {it.sku}".casefold() for term in terms)]


class Shop:
    """The handlers of the routes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def catalogue(self, request: Request, q: Text = "", page: Number = 1) -> Response:
        """The products, a page at a time, with what is left of each."""
        session, hits = self._site.sessions.of(request), found(q)
        shown = hits[(page - 1) * PER_PAGE : page * PER_PAGE]
        values: dict[str, Any] = {
            "products": [(product, stock) for product, stock in zip(shown, await self._stock(shown), strict=True)],
            "query": q,
            "number": page,
            "pages": max(1, -(-len(hits) // PER_PAGE)),
            "hits": len(hits),
            "currency": CURRENCY,
        }
        template = "products.html" if "hx-request" in request.headers else "shop.html"
        return self._site.page(request, template, session=session, **values)

    async def basket(self, request: Request) -> Response:
        """What is in the basket, and the checkout."""
        return self._basket(request, self._site.sessions.of(request))

    async def change(self, request: Request) -> Response:
        """Put a product into the basket, or change its quantity; 0 takes it out."""
        session = self._site.sessions.of(request)
        form = await form_of(request, session)
        basket, sku = dict(session.basket), form.get("sku", "")
        if sku in BY_SKU:
            wanted = _number(form.get("quantity", ""), basket.get(sku, 0) + 1)
            basket[sku] = min(wanted, limits.QUANTITY)
        kept = dict([line for line in basket.items() if line[1] > 0][:BASKET_MAX])
        response = go("/basket")
        self._site.sessions.keep_basket(response, request, kept)
        return response

    async def checkout(self, request: Request) -> Response:
        """Place the order, and show its saga from the first step on."""  # noqa: DOC501
        session, form = await form_by(self._site, request, CUSTOMER)
        lines = {form["sku"]: 1} if form.get("sku") in BY_SKU else dict(session.basket)
        body = {
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()],
            "payment": {"token": form.get("token", "tok_visa")},
            "shipping_address": {
                **{name: form.get(name) or default for name, default in ADDRESS.items()},
                "country": form.get("country", "LV"),
            },
        }
        key = {"Idempotency-Key": form.get("key") or secrets.token_urlsafe(12)}
        try:
            order = await self._site.upstream.ask("order", "POST", "/orders", session.token, body=body, headers=key)
        except Refused as refused:
            if refused.status != 422:
                raise
            return self._basket(request, session, problem=refused.detail, form=form)
        response = go(f"/orders/{order['order_id']}")
        if "sku" not in form:
            self._site.sessions.keep_basket(response, request, {})
        return response

    def _basket(
        self, request: Request, session: Session, problem: str = "", form: dict[str, str] | None = None
    ) -> Response:
        lines = [(BY_SKU[sku], quantity) for sku, quantity in session.basket.items() if sku in BY_SKU]
        return self._site.page(
            request,
            "basket.html",
            session=session,
            status=422 if problem else 200,
            lines=lines,
            total={"amount": sum(it.price * quantity for it, quantity in lines), "currency": CURRENCY},
            cards=CARDS,
            countries=COUNTRIES,
            address=ADDRESS | (form or {}),
            chosen={"token": "tok_visa", "country": "LV"} | (form or {}),
            problem=problem,
            key=secrets.token_urlsafe(12),
            currency=CURRENCY,
        )

    async def _stock(self, products: list[Product]) -> list[Any]:
        return await asyncio.gather(
            *(self._site.upstream.maybe("inventory", f"/stock/{product.sku}") for product in products)
        )


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 5 else otherwise
