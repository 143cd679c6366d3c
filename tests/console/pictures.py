"""`python -m tests.console.pictures` takes the pictures in docs/console/ from the console of the running stack.

It breaks things, so the stack needs FAULT_INJECTION=on; and it puts a light load on it, so that Flow has something to
show.
"""

import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, expect

from quartet_stack.commands.console import link
from quartet_stack.settings import stack_environment
from tests.console.load import load
from tests.unit.console.chromium import DESKTOP, TELEPHONE, Visit, chromium

FOLDER: Final = Path(__file__).parents[2] / "docs" / "console"
SIZES: Final = (DESKTOP, TELEPHONE)
SCHEMES: Final = ("light", "dark")
OTHERS: Final = (
    ("home", "/", DESKTOP, "light"),
    ("flow", "/flow", DESKTOP, "dark"),
    ("compare", "/compare", DESKTOP, "light"),
    ("plots", "/compare#published", DESKTOP, "light"),
    ("shop", "/shop", DESKTOP, "dark"),
    ("break", "/break", DESKTOP, "light"),
    ("break", "/break", TELEPHONE, "light"),
    ("learn", "/learn", TELEPHONE, "dark"),
)
"""Name, page, size and scheme of the pictures besides those of a saga."""


def take(browser: Browser, base: str, code: str) -> None:
    """Sign in, let a card be declined, and take all pictures."""
    first = Visit(browser, base)
    first.sign_in(code)
    first.page.get_by_role("button", name="Place one whose card is declined").click()
    expect(first.page.locator(".said")).to_contain_text("Nothing is held any more", timeout=60_000)
    saga = first.page.url.removeprefix(base)
    killed = _killed(first).removeprefix(base)
    state = first.context.storage_state()
    pictures = [("saga", saga, size, scheme) for size in SIZES for scheme in SCHEMES]
    for name, path, size, scheme in (*pictures, ("killed", killed, DESKTOP, "light"), *OTHERS):
        one = Visit(browser, base, size, scheme, storage_state=state)
        one.page.goto(path)
        if name == "saga":
            one.page.get_by_role("link", name="PaymentDeclined, event of payment").click()
        if name == "flow":
            with load(stack_environment(), "5"):
                _broken(first)
                one.page.wait_for_timeout(15_000)  # some points of the chart
        one.page.screenshot(path=FOLDER / f"{name}-{size[0]}-{scheme}.png")
        one.context.close()


def _killed(visit: Visit) -> str:
    """Let payment be killed after a commit, place an order, and wait for its end; its address."""
    _broken(visit)
    visit.be("customer")
    visit.page.goto("/")
    visit.page.get_by_role("button", name="Place an order and watch it").click()
    expect(visit.page.locator(".said[data-ended]")).to_have_count(1, timeout=60_000)
    saga = visit.page.url
    visit.be("operator")
    visit.page.goto("/break")
    visit.page.get_by_role("button", name="Heal everything").click()
    return saga


def _broken(visit: Visit) -> None:
    """As the operator let payment be killed after its next commit."""
    visit.be("operator")
    visit.page.goto("/break")
    visit.page.get_by_role("form", name="A service, in the middle").get_by_role("button", name="Break it").click()
    visit.page.wait_for_url("**/break")


def main() -> int:
    """Take the pictures; the exit status."""
    base, _, code = link(stack_environment()).partition("/sign-in?code=")
    FOLDER.mkdir(exist_ok=True)
    with chromium() as browser:
        take(browser, base, code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
