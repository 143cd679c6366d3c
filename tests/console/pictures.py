"""`python -m tests.console.pictures` takes the pictures in docs/console/ from the console of the running stack."""

import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, expect

from quartet_stack.commands.console import link
from quartet_stack.settings import stack_environment
from tests.unit.console.chromium import DESKTOP, TELEPHONE, Visit, chromium

FOLDER: Final = Path(__file__).parents[2] / "docs" / "console"
SIZES: Final = (DESKTOP, TELEPHONE)
SCHEMES: Final = ("light", "dark")
OTHERS: Final = (
    ("home", "/", DESKTOP, "light"),
    ("flow", "/flow", DESKTOP, "dark"),
    ("compare", "/compare", DESKTOP, "light"),
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
    first.be("operator")
    state = first.context.storage_state()
    pictures = [("saga", saga, size, scheme) for size in SIZES for scheme in SCHEMES]
    for name, path, size, scheme in (*pictures, *OTHERS):
        one = Visit(browser, base, size, scheme, storage_state=state)
        one.page.goto(path)
        if name == "saga":
            one.page.get_by_role("link", name="PaymentDeclined, event of payment").click()
        if name == "flow":
            one.page.wait_for_timeout(7000)  # three points of the chart
        one.page.screenshot(path=FOLDER / f"{name}-{size[0]}-{scheme}.png")
        one.context.close()


def main() -> int:
    """Take the pictures; the exit status."""
    base, _, code = link(stack_environment()).partition("/sign-in?code=")
    FOLDER.mkdir(exist_ok=True)
    with chromium() as browser:
        take(browser, base, code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
