"""The console's pages over played services: who may do what, what a page may contain, and how much it weighs."""

import gzip
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from console_service.site import NAVIGATION, POLICY
from tests.unit.console.site import CODE, Links, Played, be, browser, csrf, sign_in

ALL_PAGES = ["/", "/sign-in", "/basket", *(address for address, _ in NAVIGATION)]


@pytest.fixture
def services() -> Played:
    return Played()


@pytest.fixture
async def client(services: Played) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(services) as one:
        yield one


async def test_a_code_is_exchanged_for_cookies_that_scripts_cannot_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sign-in", data={"code": CODE}, follow_redirects=False)
    set_cookies = [value for value in answer.headers.get_list("set-cookie") if "eyJ" in value]
    assert answer.status_code == 303
    assert len(set_cookies) == 2
    assert all("HttpOnly" in value and "SameSite=lax" in value for value in set_cookies)
    assert "alice" in (await client.get("/")).text


async def test_a_code_that_was_used_is_told_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sign-in", data={"code": "d" * 32})
    assert answer.status_code == 403
    assert "does not work" in answer.text


async def test_a_link_with_a_code_spends_nothing_by_itself(client: httpx.AsyncClient, services: Played) -> None:
    page = await client.get(f"/sign-in?code={CODE}")
    assert CODE in page.text
    assert services.asked == []


@pytest.mark.parametrize("path", [*ALL_PAGES, "/nothing/here"])
async def test_a_page_loads_nothing_from_elsewhere_and_has_nothing_inline(client: httpx.AsyncClient, path: str) -> None:
    await sign_in(client)
    for persona in ("customer", "operator"):
        await be(client, persona)
        page = await client.get(path)
        links = Links(page.text)
        assert page.headers["content-security-policy"] == POLICY
        assert links.inline == []
        assert [url for url in links.loaded if urlsplit(url).netloc] == []
        for url in links.loaded:
            assert (await client.get(url)).status_code == 200, url


async def test_the_front_page_weighs_less_than_100_kb_compressed(client: httpx.AsyncClient) -> None:
    await sign_in(client)
    page = await client.get("/")
    loaded = [await client.get(url) for url in dict.fromkeys(Links(page.text).loaded)]
    assert all(answer.headers["cache-control"].endswith("immutable") for answer in loaded)
    assert sum(len(gzip.compress(answer.content)) for answer in (page, *loaded)) < 100_000


async def test_a_saga_shows_its_diagram_its_reason_and_every_step(client: httpx.AsyncClient, services: Played) -> None:
    await sign_in(client)
    page = await client.get(f"/orders/{services.order['order_id']}")
    steps = [item["message"] for body in services.example["timelines"].values() for item in body["items"]]
    assert "the payment was declined" in page.text
    assert 'class="saga"' in page.text
    assert all(f'id="m-{step}"' in page.text for step in steps)
    assert "hx-sse:connect" not in page.text, "nothing more will happen"


async def test_a_saga_whose_records_are_deleted_says_so(client: httpx.AsyncClient, services: Played) -> None:
    await sign_in(client)
    deleted = {"items": [], "calls": [], "observed": [], "pruned": True}
    timelines = {name: {**body, **deleted} for name, body in services.example["timelines"].items()}
    services.example = {**services.example, "timelines": timelines}
    path = f"/orders/{services.order['order_id']}"
    page = await client.get(path)
    assert "the payment was declined" in page.text
    assert "longer ago than these services keep their records: order, inventory, payment, shipping" in page.text
    assert "Waiting for" not in page.text
    for kind in ("svg", "json", "mmd"):
        assert (await client.get(f"{path}/saga.{kind}")).status_code == 200


async def test_only_the_operator_sees_the_providers_ledger(client: httpx.AsyncClient, services: Played) -> None:
    await sign_in(client)
    await be(client, "customer")
    path = f"/orders/{services.order['order_id']}"
    assert "is for the operator" in (await client.get(path)).text
    assert ("provider", "GET", "/ledger") not in services.asked
    await be(client, "operator")
    assert "is for the operator" not in (await client.get(path)).text
    assert ("provider", "GET", "/ledger") in services.asked


async def test_a_service_is_asked_with_the_token_of_whoever_looks(client: httpx.AsyncClient, services: Played) -> None:
    await sign_in(client)
    await client.get("/orders")
    asked = [request.headers["authorization"] for request in services.sent if request.url.path == "/orders"]
    await be(client, "operator")
    await client.get("/orders")
    later = [request.headers["authorization"] for request in services.sent if request.url.path == "/orders"]
    assert asked[0] != later[-1]


async def test_an_order_of_somebody_else_is_not_found(client: httpx.AsyncClient) -> None:
    await sign_in(client)
    page = await client.get("/orders/0f0f4a5c-0510-5a4f-8752-14a9d0032637")
    assert page.status_code == 404
    assert "There is nothing here." in page.text


async def test_a_page_that_does_not_exist_says_so_as_a_page(client: httpx.AsyncClient) -> None:
    page = await client.get("/nothing/here")
    assert page.status_code == 404
    assert "There is nothing here." in page.text
    problem = await client.get("/nothing/here", headers={"Accept": "application/json"})
    assert problem.headers["content-type"] == "application/problem+json"


async def test_who_is_not_signed_in_is_asked_to(client: httpx.AsyncClient) -> None:
    page = await client.get("/orders")
    assert page.status_code == 401
    assert 'href="/sign-in"' in page.text


@pytest.mark.parametrize("path", ["/break/heal", "/break/provider", "/attention/order/retry"])
async def test_an_operators_act_needs_the_operator(client: httpx.AsyncClient, services: Played, path: str) -> None:
    await sign_in(client)
    await be(client, "customer")
    token = csrf(await client.get("/learn"))
    services.asked.clear()
    answer = await client.post(path, data={"csrf": token, "behaviour": "down", "id": "x"})
    assert answer.status_code == 403
    assert not [asked for asked in services.asked if asked[1] != "GET"]


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, {}),
        ({"Sec-Fetch-Site": "same-site"}, {}),
        ({}, {"csrf": "0" * 64}),
        ({}, {"csrf": ""}),
        ({}, {"csrf": "ü"}),
    ],
)
async def test_a_form_from_elsewhere_is_refused(
    client: httpx.AsyncClient, services: Played, headers: dict[str, str], form: dict[str, str]
) -> None:
    await sign_in(client)
    good = {"csrf": csrf(await client.get("/learn")), "sku": "espresso-cup", "token": "tok_visa"}
    answer = await client.post("/checkout", data={**good, **form}, headers=headers)
    assert answer.status_code == 403
    assert ("order", "POST", "/orders") not in services.asked


@pytest.mark.parametrize(("on", "command"), [(True, " FAULT_INJECTION=on</pre>"), (False, "</pre>")])
async def test_after_the_switch_that_the_tour_asks_for_its_faults_can_be_set_again(
    services: Played, on: bool, command: str
) -> None:
    async with browser(services, fault_injection=on) as client:
        await sign_in(client)
        page = (await client.get("/learn")).text
    assert re.search(rf"make up MODE=[a-z-]+{command}", page)


async def test_an_origin_counts_where_a_browser_sends_nothing_better(services: Played) -> None:
    async with browser(services) as client:
        del client.headers["sec-fetch-site"]
        for origin, status in (("http://evil.example", 403), ("http://127.0.0.1:8000", 303)):
            answer = await client.post(
                "/sign-in", data={"code": CODE}, headers={"Origin": origin}, follow_redirects=False
            )
            assert answer.status_code == status


async def test_a_checkout_places_the_order_and_shows_its_saga(client: httpx.AsyncClient, services: Played) -> None:
    await sign_in(client)
    form = {"csrf": csrf(await client.get("/learn")), "sku": "tea-pot"}
    await client.post("/basket", data=form)
    page = await client.get("/basket")
    assert "Tea pot" in page.text
    shown = await client.post("/checkout", data={"csrf": csrf(page), "token": "tok_visa", "country": "LV"})
    assert shown.url.path == f"/orders/{services.order['order_id']}"
    assert "It is empty." in (await client.get("/basket")).text


@pytest.mark.parametrize(
    "basket", ['{"tea-pot": 1e999}', '{"tea-pot": NaN}', "[1]", "7", '{"tea-pot": "x"}', "[" * 9999]
)
async def test_an_odd_basket_in_a_cookie_is_an_empty_one(client: httpx.AsyncClient, basket: str) -> None:
    client.cookies.set("quartet-8000-basket", basket.encode().hex())
    shown = await client.get("/basket")
    assert shown.status_code == 200
    assert "It is empty." in shown.text


async def test_the_console_holds_no_secret(client: httpx.AsyncClient) -> None:
    """A setting that is a secret of a service is not known to it: it is built from a public key alone."""
    transport: Any = client._transport
    settings = transport.app.state.settings
    assert settings.database_url == ""
    assert not any(
        getattr(settings, name) for name in type(settings).model_fields if "key" in name and "public" not in name
    )


async def test_a_service_that_does_not_answer_is_named(services: Played) -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        if request.url.port == 8001 and request.url.path.startswith("/orders"):
            raise httpx.ConnectError("nobody")
        return services(request)

    async with browser(silent) as client:
        await sign_in(client)
        page = await client.get("/orders")
        assert page.status_code == 503
        assert "The order service does not answer" in page.text


async def test_what_the_shop_is_searched_for_is_found_by_every_word(client: httpx.AsyncClient) -> None:
    page = await client.get("/shop?q=ESPRESSO cup")
    assert re.findall(r"<h2>(.*?)</h2>", page.text) == ["Espresso cup"]
    assert "1 product for" in page.text


async def test_a_saga_can_be_taken_away(client: httpx.AsyncClient, services: Played) -> None:
    await sign_in(client)
    order = f"/orders/{services.order['order_id']}"
    picture = await client.get(f"{order}/saga.svg")
    assert picture.text.startswith('<svg class="saga" xmlns=')
    assert "<style>" in picture.text
    data = (await client.get(f"{order}/saga.json")).json()
    assert data["mode"] == "kafka-choreography"
    assert [step["message"] for step in data["steps"]][:2] == ["PlaceOrder", "OrderPlaced"]
    text = (await client.get(f"{order}/saga.mmd")).text
    assert text.startswith("sequenceDiagram\n")
    assert "payment-->>order: PaymentDeclined" in text


async def test_a_saga_that_ends_while_its_page_is_opened_is_shown_as_ended(services: Played) -> None:
    """The order is in flight when it is asked for; it is not asked for again, for its timeline tells of its end."""
    path = f"/orders/{services.order['order_id']}"
    services.order |= {"status": "PENDING", "settled": False, "cancellation_reason": None}
    async with browser(services) as client:
        await sign_in(client)
        answer = await client.get(f"{path}/live")
    assert services.asked.count(("order", "GET", path)) == 1
    assert "event: done" in answer.text
    assert "the payment was declined" in answer.text
    assert "Nothing is held any more" in answer.text


async def test_the_live_part_of_a_page_goes_on_from_what_the_page_shows(services: Played) -> None:
    """The end comes after the page was loaded: that is all that its live part asks for and sends."""
    path, ended = f"/orders/{services.order['order_id']}", services.example
    before = {name: {**body, "items": body["items"][:-1]} for name, body in ended["timelines"].items()}
    services.order |= {"status": "CANCELLED", "settled": False}
    async with browser(services) as client:
        await sign_in(client)
        services.example = {**ended, "timelines": before}
        assert "What was held is being given back" in (await client.get(path)).text
        services.example = ended
        services.asked.clear()
        live = await client.get(f"{path}/live")
        assert "Nothing is held any more" in live.text.split("\n\n")[-3]
        asked = Counter((service, address) for service, _, address in services.asked)
        again = await client.get(f"{path}/live")
    assert asked["order", path] == 0
    assert max(asked.values()) <= 2
    assert "Nothing is held any more" in again.text, "a page that comes back is shown all that is known"


async def test_a_live_saga_sends_the_page_part_and_says_when_it_is_done(
    client: httpx.AsyncClient, services: Played
) -> None:
    await sign_in(client)
    answer = await client.get(f"/orders/{services.order['order_id']}/live")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [event for event in answer.text.split("\n\n") if not event.startswith(":") and event]
    assert all(line.startswith("data: ") or line == "data:" for line in events[0].split("\n"))
    assert "svg class" in events[0]
    assert events[1].startswith("event: done")


async def test_an_order_whose_journals_were_deleted_says_so_and_asks_nothing_more(services: Played) -> None:
    empty = {"items": [], "calls": [], "observed": [], "pruned": True}
    services.example = {**services.example, "timelines": dict.fromkeys(services.example["timelines"], empty)}
    async with browser(services) as client:
        await sign_in(client)
        page = await client.get(f"/orders/{services.order['order_id']}")
    assert page.status_code == 200
    assert "its journals were deleted" in page.text
    assert "hx-sse:connect" not in page.text
