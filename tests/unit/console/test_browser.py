"""The console's pages in a real browser: nothing goes wrong, everybody can use them, and they fit on every screen."""

from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from console_service.site import NAVIGATION
from tests.unit.api.listening import listening
from tests.unit.console.chromium import (
    ABSENT,
    ALL_RULES,
    COLOURS,
    DESKTOP,
    MISSING,
    SMALLEST,
    TELEPHONE,
    Visit,
    chromium,
)
from tests.unit.console.site import CODE, TOXIPROXY, Played, application

pytestmark = [pytest.mark.skipif(ABSENT, reason=MISSING), pytest.mark.thorough]

PLAYED = Played("kafka-orchestration.undeliverable")
SAGA = f"/orders/{PLAYED.order['order_id']}"
PAGES = ["/", "/basket", *(address for address, _ in NAVIGATION), SAGA, "/nothing", f"{SAGA}/verdict", "/flow/audit"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    @asynccontextmanager
    async def opened() -> Any:
        async with application(PLAYED, toxiproxy_url=TOXIPROXY) as app:
            yield app

    with listening(opened) as url:
        yield url


def visit(browser: Browser, address: str, *args: Any, **more: Any) -> Visit:
    one = Visit(browser, address, *args, **more)
    one.page.set_default_timeout(60_000)
    one.sign_in(CODE)
    return one


@pytest.mark.parametrize("persona", ["customer", "operator"])
@pytest.mark.parametrize(("scheme", "rules"), [("light", ALL_RULES), ("dark", COLOURS)])
def test_axe_finds_nothing_and_nothing_goes_wrong_on_any_page(
    browser: Browser, address: str, scheme: str, rules: tuple[str, ...], persona: str
) -> None:
    one = visit(browser, address, DESKTOP, scheme)
    one.be(persona)
    found = {}
    for path in PAGES:
        one.page.goto(path)
        found[path] = one.violations(rules)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    expected = ("404", "403") if persona == "customer" else ("404",)  # only the operator may ask the auditor
    assert [error for error in one.errors if not any(status in error for status in expected)] == []
    assert one.strangers == []
    one.context.close()


@pytest.mark.parametrize("size", [DESKTOP, TELEPHONE, SMALLEST])
def test_no_page_is_wider_than_the_screen(browser: Browser, address: str, size: tuple[int, int]) -> None:
    one = visit(browser, address, size)
    one.be("operator")
    for path in PAGES:
        one.page.goto(path)
        assert one.sideways() <= 0, path
    one.context.close()


def test_an_order_can_be_placed_and_its_saga_read_with_the_keyboard_alone(browser: Browser, address: str) -> None:
    one = visit(browser, address)
    page = one.page
    one.be("customer")
    page.goto("/shop?q=espresso cup")
    _tab_to(one, "Add to basket: Espresso cup")
    page.keyboard.press("Enter")
    page.wait_for_url("**/basket")
    _tab_to(one, "Buy for € 12.00")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{SAGA}")
    _tab_to(one, "ShipmentRefused, event of shipping")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary")).to_contain_text("because of RecordBooking")
    page.context.close()


def _tab_to(one: Visit, name: str) -> None:
    """Press Tab until what has the focus has a name that begins so."""
    for _ in range(120):
        one.page.keyboard.press("Tab")
        told = one.page.evaluate(
            "(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent).trim()"
        )
        if told.startswith(name):
            return
    raise AssertionError(f"the keyboard does not reach {name}")


def test_a_finished_saga_is_replayed_and_its_messages_are_chosen(browser: Browser, address: str) -> None:
    one = visit(browser, address)
    one.be("customer")
    page = one.page
    page.goto(SAGA)
    slider = page.get_by_label("Step shown last")
    slider.fill("2")
    expect(page.locator("svg.saga .row:not(.hidden-row)")).to_have_count(2)
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("svg.saga .row.hidden-row")).to_have_count(0, timeout=60_000)
    page.get_by_role("link", name="OrderCancelled, event of order").click()
    expect(page.get_by_role("complementary")).to_contain_text("the decision")
    times = page.get_by_role("button", name="Time of day")
    times.click()
    expect(times).to_have_attribute("aria-pressed", "true")
    assert one.errors == []
    one.context.close()


def test_the_search_shows_what_it_finds_while_one_types(browser: Browser, address: str) -> None:
    one = visit(browser, address)
    one.page.goto("/shop")
    one.page.get_by_label("Search the catalogue").press_sequentially("tea pot")
    expect(one.page.get_by_role("heading", level=2)).to_have_text(["Tea pot"])
    assert one.errors == []
    one.context.close()


def test_text_of_others_runs_nothing(browser: Browser, address: str) -> None:
    one = visit(browser, address)
    one.be("customer")
    before = PLAYED.order["lines"]
    PLAYED.order["lines"] = [{"sku": "<img src=x onerror=alert(1)>", "quantity": 1}]
    ran: list[str] = []
    one.page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    try:
        for path in ("/", "/orders", SAGA):
            one.page.goto(path)
    finally:
        PLAYED.order["lines"] = before
    assert ran == []
    assert one.errors == []
    one.context.close()
