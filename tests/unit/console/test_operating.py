"""What the operator does in the console: break things, each act marked; ask the auditor; and what is compared."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from console_service.plots import PUBLISHED, SHOWN, plots
from tests.console.published import published
from tests.unit.console.site import TOXIPROXY, Played, be, browser, csrf, sign_in

LINK = "payment.provider"
ACTS = {
    "service": (
        {"service": "payment", "point": "after-commit", "action": "pause"},
        "payment</strong>: pause at after-c",
    ),
    "messages": ({"service": "inventory", "kind": "duplicated"}, "inventory</strong>: its messages are sent twice"),
    "provider": ({"behaviour": "down"}, "the providers</strong>: each fails every call"),
    "network": ({"link": LINK, "kind": "cut"}, f"{LINK}</strong>: the connection is cut: nobody gets through"),
    "heal": ({}, "everything</strong>: healed"),
}


@pytest.fixture
def services() -> Played:
    return Played()


@pytest.fixture
async def client(services: Played) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(services, toxiproxy_url=TOXIPROXY) as one:
        await sign_in(one)
        await be(one, "operator")
        yield one


async def post(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={"csrf": csrf(await client.get("/learn")), **form})


@pytest.mark.parametrize("act", ACTS)
async def test_each_act_is_marked_in_flow_and_in_a_saga_under_way(
    client: httpx.AsyncClient, services: Played, act: str
) -> None:
    form, told = ACTS[act]
    ended = f"/orders/{services.order['order_id']}"
    order = services.example["timelines"]["order"]
    services.example = {**services.example, "timelines": {**services.example["timelines"], "order": _begun(order)}}
    assert (await post(client, f"/break/{act}", **form)).status_code == 200
    for path in ("/flow", "/flow/now", ended):
        assert told in (await client.get(path)).text, path
    (numbered,) = (await client.get("/flow/numbers")).json()["acts"]
    assert numbered["told"] == told.replace("</strong>", "").replace("after-c", "after-commit")


def _begun(timeline: Any) -> Any:
    """A timeline that ends with the first two entries."""
    return {**timeline, "items": timeline["items"][:2]}


async def test_a_connection_is_cut_slowed_and_mended_at_the_proxy(client: httpx.AsyncClient, services: Played) -> None:
    page = (await client.get("/break")).text
    assert f"<option>{LINK}</option>" in page
    assert "connection slow" in page
    for kind, sent in (("cut", b'{"enabled":false}'), ("slow", b'"latency"')):
        services.sent.clear()
        await post(client, "/break/network", link=LINK, kind=kind)
        asked = [(one.method, one.url.path) for one in services.sent if one.url.port == 8474]
        assert ("DELETE", f"/proxies/{LINK}/toxics/slow") in asked, "what was wrong before is mended first"
        assert any(sent in one.content for one in services.sent)
    services.sent.clear()
    await post(client, "/break/heal")
    assert [one.url.path for one in services.sent if one.url.port == 8474 and one.method == "POST"] == ["/reset"]


async def test_without_a_proxy_the_page_says_how_to_get_one(services: Played) -> None:
    async with browser(services) as client:
        await sign_in(client)
        await be(client, "operator")
        assert "make up TOXICS=on" in (await client.get("/break")).text
        assert (await post(client, "/break/network", link=LINK, kind="cut")).status_code == 422
        assert (await post(client, "/break/heal")).status_code == 200
    assert not [one for one in services.sent if one.url.port == 8474]


async def test_the_auditors_verdict_is_for_the_operator(client: httpx.AsyncClient, services: Played) -> None:
    order = f"/orders/{services.order['order_id']}"
    assert "Ask the auditor" in (await client.get(order)).text
    page = await client.get(f"{order}/verdict")
    assert "Something is wrong with this order." in page.text
    assert "4, cancelled is undone</strong>: stock is held" in page.text
    part = await client.get("/flow/audit?what=all", headers={"HX-Request": "true"})
    assert "violated 1×" in part.text
    assert "<html" not in part.text
    await be(client, "customer")
    services.asked.clear()
    assert "Ask the auditor" not in (await client.get(order)).text
    assert (await client.get(f"{order}/verdict")).status_code == 403
    assert (await client.get("/flow/audit")).status_code == 403
    assert not [asked for asked in services.asked if asked[0] == "auditor"]


async def test_where_no_auditor_runs_the_page_says_what_to_do_instead(services: Played) -> None:
    def without(request: httpx.Request) -> httpx.Response:
        if request.url.port == 8006:
            raise httpx.ConnectError("nobody")
        return services(request)

    async with browser(without) as client:
        await sign_in(client)
        await be(client, "operator")
        page = await client.get("/flow/audit")
    assert page.status_code == 503
    assert "make audit does the same" in page.text


async def test_an_order_is_kept_with_the_mode_in_which_it_was_seen(client: httpx.AsyncClient, services: Played) -> None:
    order_id = services.order["order_id"]
    page = await post(client, f"/orders/{order_id}/keep")
    assert page.url.path == "/compare"
    assert f'value="{order_id}@kafka-choreography" selected' in page.text
    async with browser(services, coordination_mode="temporal-orchestration") as later:
        later.cookies = client.cookies
        page = await later.get("/compare")
    assert "kafka-choreography: order" in page.text
    assert "choreography over Kafka" in page.text
    assert (await client.get(f"/compare?left={order_id}@nonsense")).status_code == 404


def test_the_published_comparison_is_that_of_the_documentation() -> None:
    assert published() == PUBLISHED, "run: python -m tests.console.published"


def test_there_is_a_bar_for_each_mode_in_each_plot() -> None:
    spread = {"median": 5.0, "low": 4.0, "high": 6.0}
    modes = [{"mode": name, "offered": rate, "p50": spread} for name in ("kafka-choreography",) for rate in (5, 10)]
    (plot,) = plots({"modes": modes})
    assert plot.title == SHOWN["p50"]
    assert plot.svg.count('<rect class="bar choreography"') == plot.svg.count('class="range"') == 2
    assert "kafka-choreography at 10/s" in plot.svg
    assert len(plots()) == len(SHOWN)
