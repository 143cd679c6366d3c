"""Text of others never becomes markup: tried in each field of each answer of a service, and in each field of a form."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import httpx
import pytest

from console_service import site
from console_service.site import NAVIGATION
from tests.unit.console.site import TOXIPROXY, Links, Played, be, browser, csrf, sign_in

SCRIPT: Final = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)><a style=x onclick=alert(3)>"
NEEDED: Final = ("kind", "status", "tokens", "enabled")
"""What the console compares with words of its own: a page shows those words then."""
FORMS: Final = {
    "/checkout": ("token", "country", "name", "line1", "city", "postal_code", "key", "sku"),
    "/basket": ("sku", "quantity"),
    "/sign-in": ("code",),
    "/persona": ("persona", "back"),
    "/attention/order/retry": ("id",),
    "/attention/order/dismiss": ("id", "reason"),
    "/break/service": ("service", "point", "action", "hit", "seconds"),
    "/break/messages": ("service", "kind", "seconds"),
    "/break/provider": ("behaviour",),
    "/break/network": ("link", "kind"),
}
"""Each form with its fields; a test compares the addresses with the routes."""
QUERIES: Final = (
    "/shop?q=",
    "/shop?page=",
    "/sign-in?code=",
    "/orders?status=",
    "/orders?cursor=",
    "/learn/mode?began=",
)
QUERIES_TOO: Final = ("/compare?left=", "/compare?right=", "/flow/audit?what=", "/nothing/", "/orders/", "/static/")


class Poisoned(Played):
    """Services whose answers hold a script wherever they hold text of others."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = super().__call__(request)
        if request.url.path in ("/sign-in", "/metrics"):
            return answer
        return httpx.Response(answer.status_code, json=self.poisoned(answer.json()))

    def poisoned(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self.poisoned(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [self.poisoned(one, name) for one in value]
        if not isinstance(value, str) or name in NEEDED or value == self.order["order_id"]:
            return value
        with suppress(ValueError):
            datetime.fromisoformat(value)
            return value
        return value + SCRIPT


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    services = Poisoned()
    async with browser(services, toxiproxy_url=TOXIPROXY) as one:
        one.headers["x-order"] = services.order["order_id"]
        await sign_in(one)
        yield one


def clean(page: httpx.Response) -> bool:
    """Whether nothing of the script is markup in the page."""
    inline = Links(page.text).inline
    if page.headers["content-type"].startswith("image/svg"):  # an exported diagram has its style sheet inside
        inline.remove("style")
    return inline == [] and "<script>alert" not in page.text and "<img src=x" not in page.text


async def pages(client: httpx.AsyncClient) -> dict[str, httpx.Response]:
    """Every page, for both personas."""
    order = f"/orders/{client.headers['x-order']}"
    paths = [
        "/",
        "/basket",
        *(address for address, _ in NAVIGATION),
        "/flow/now",
        "/flow/audit",
        order,
        f"{order}/live",
    ]
    paths += [
        f"{order}?detail=all",
        f"{order}/saga.svg",
        f"{order}/verdict",
        f"/compare?left={client.headers['x-order']}",
    ]
    found = {}
    for persona in ("customer", "operator"):
        await be(client, persona)
        for path in paths:
            found[f"{persona} {path}"] = await client.get(path)
    return found


async def test_text_in_any_answer_of_a_service_stays_text(client: httpx.AsyncClient) -> None:
    found = await pages(client)
    assert [path for path, page in found.items() if not clean(page)] == []
    shown = [path for path, page in found.items() if "alert(1)" in page.text]
    for path in ("/orders", "/flow", "/break"):
        assert f"operator {path}" in shown, "the page shows nothing of it, so nothing was tried"
    assert len([path for path in shown if "/orders/" in path]) >= 8


async def test_without_escaping_this_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control: the same pages from templates that escape nothing."""
    monkeypatch.setattr(site, "select_autoescape", lambda **given: False)
    services = Poisoned()
    async with browser(services) as unsafe:
        await sign_in(unsafe)
        await be(unsafe, "operator")
        assert not clean(await unsafe.get(f"/orders/{services.order['order_id']}"))
        assert not clean(await unsafe.get("/flow"))


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, fields in FORMS.items() for field in fields])
async def test_text_in_any_field_of_a_form_stays_text(client: httpx.AsyncClient, path: str, field: str) -> None:
    await be(client, "customer" if path in ("/checkout", "/basket") else "operator")
    form = dict.fromkeys(FORMS[path], "1") | {"csrf": csrf(await client.get("/learn")), field: SCRIPT}
    assert clean(await client.post(path, data=form))
    assert clean(await client.get("/basket"))
    assert clean(await client.get("/flow"))


@pytest.mark.parametrize("address", [*QUERIES, *QUERIES_TOO])
async def test_text_in_any_address_stays_text(client: httpx.AsyncClient, address: str) -> None:
    await be(client, "operator")
    for text in (SCRIPT, SCRIPT[:30], SCRIPT[:19]):
        assert clean(await client.get(httpx.URL(address + str(httpx.QueryParams({"": text}))[1:])))


async def test_every_form_of_the_console_is_tried(client: httpx.AsyncClient) -> None:
    transport: Any = client._transport
    routes = [one for route in transport.app.routes for one in getattr(route, "effective_route_contexts", list)()]
    posts = {route.path for route in routes if "POST" in route.methods}
    without_text = {"/sign-out", "/break/heal", "/orders/{order_id}/cancel", "/orders/{order_id}/keep"}
    attention = "/attention/{service}/{action}"
    assert posts - without_text == {attention if path.startswith("/attention") else path for path in FORMS}
