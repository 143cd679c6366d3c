"""The console over the running stack: its diagrams say what the journals say, and people can use it in a browser."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import expect

from quartet_stack.commands.console import link
from tests.e2e.stack import SERVICES, TLS, Stack, basket
from tests.unit.console.chromium import ABSENT, MISSING, Visit, chromium

BROWSED: Final = ("temporal-orchestration", "kafka-choreography")
"""The modes in which a browser is used too; the diagrams are compared in all of them."""
KINDS: Final[Mapping[str, Any]] = {
    "completed": basket(),
    "sold out": basket(sku="sold-out"),
    "declined": basket(token="tok_declined"),
    "undeliverable": basket(country="AQ"),
    "answer lost": basket(token="tok_timeout"),
    "fails twice": basket(token="tok_flaky"),
}


def suits(**parameters: Any) -> bool:
    """Whether a test with a browser runs in this mode."""
    return "kind" in parameters or parameters.get("stack") in BROWSED


@pytest.mark.parametrize("kind", KINDS)
async def test_the_diagram_of_an_order_is_what_the_journals_say(stack: Stack, kind: str) -> None:
    order_id = (await stack.order(KINDS[kind])).json()["order_id"]
    await stack.settled(order_id)
    written = set()
    for service in SERVICES:
        timeline = await stack.get(f"/timeline/{order_id}", service, "root", "admin")
        written |= {(service, item["kind"], item["message"]) for item in (timeline or {"items": []})["items"]}
    saga = await _diagram(stack, order_id)
    assert {(step["service"], step["kind"], step["message"]) for step in saga["steps"]} == written
    assert len(saga["steps"]) == len(written)
    assert saga["owed"] == []
    assert saga["mode"] == stack.mode
    messages = {message for _, _, message in written}
    carried = [arrow for arrow in saga["arrows"] if arrow["carried_by"]]
    assert carried
    assert all(arrow["cause"] in messages for arrow in carried)
    assert {arrow["kind"] for arrow in carried} <= (
        {"event"} if stack.mode.endswith("choreography") else {"event", "command"}
    )


async def _diagram(stack: Stack, order_id: str) -> Any:
    """The saga as the console has it for the operator, who sees all of it."""
    address = link(stack.environment)
    base, _, code = address.partition("/sign-in?code=")
    operator = f"quartet-{stack.environment['CONSOLE_PORT']}-persona=operator"
    async with httpx.AsyncClient(base_url=base, timeout=30, verify=TLS) as client:
        signed_in = await client.post("/sign-in", data={"code": code})
        assert signed_in.status_code == 303, signed_in.text
        cookies = "; ".join([f"{name}={value}" for name, value in client.cookies.items()] + [operator])
        client.cookies.clear()
        answer = await client.get(f"/orders/{order_id}/saga.json", headers={"Cookie": cookies})
        assert answer.status_code == 200, answer.text
        return answer.json()


in_a_browser = pytest.mark.skipif(ABSENT, reason=MISSING)


@pytest.fixture
def visit(stack: Stack) -> Iterator[Visit]:
    """A browser whose user is signed in; nothing may have gone wrong in it by the end."""
    address = link(stack.environment)
    base, _, code = address.partition("/sign-in?code=")
    with chromium() as browser:
        one = Visit(browser, base)
        one.page.set_default_timeout(60_000)
        one.sign_in(code)
        yield one
        assert one.errors == []
        assert one.strangers == []


@in_a_browser
def test_who_buys_watches_the_order_complete(visit: Visit) -> None:
    page = visit.page
    page.goto("/shop?q=espresso cup")
    page.get_by_role("button", name="Add to basket").click()
    page.get_by_role("button", name="Buy for").click()
    page.wait_for_url("**/orders/*")
    expect(page.locator(".said")).to_contain_text("Completed.", timeout=60_000)
    expect(page.locator("svg.saga .owed")).to_have_count(0, timeout=60_000)
    assert page.get_by_role("link", name="OrderConfirmed, event of order").is_visible()


@in_a_browser
def test_a_declined_card_shows_its_compensation(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="Place one whose card is declined").click()
    page.wait_for_url("**/orders/*")
    expect(page.locator(".said")).to_contain_text("the payment was declined", timeout=60_000)
    expect(page.locator("svg.saga .row.undo.event")).not_to_have_count(0, timeout=60_000)
    expect(page.locator(".said")).to_contain_text("Nothing is held any more", timeout=60_000)


@in_a_browser
def test_an_order_in_flight_shows_what_is_owed_and_can_be_cancelled(visit: Visit) -> None:
    page = visit.page
    page.goto("/learn")
    page.locator("#cancel").get_by_role("button", name="Do it").click()
    page.wait_for_url("**/orders/*")
    expect(page.locator(".said")).to_contain_text("Waiting for the provider of payment", timeout=60_000)
    expect(page.locator("svg.saga .owed.pivot")).to_have_count(1)
    page.get_by_role("button", name="Cancel the order").click()
    expect(page.locator(".said")).to_contain_text("you asked for it", timeout=60_000)
    expect(page.locator(".said")).to_contain_text("Nothing is held any more", timeout=60_000)


@in_a_browser
def test_a_service_is_killed_from_the_page_and_the_order_ends_all_the_same(visit: Visit) -> None:
    page = visit.page
    visit.be("operator")
    page.goto("/break")
    form = page.get_by_role("form", name="A service, in the middle of a step")
    form.get_by_role("button", name="Break it").click()
    expect(page.get_by_role("region", name="Faults that are set")).to_contain_text("kill at after-commit")
    visit.be("customer")
    page.goto("/")
    page.get_by_role("button", name="Place an order and watch it").click()
    page.wait_for_url("**/orders/*")
    expect(page.locator(".said")).to_contain_text("Completed.", timeout=90_000)
    visit.errors = [error for error in visit.errors if "503" not in error]
