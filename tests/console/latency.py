"""`python -m tests.console.latency` measures how soon a saga's page shows each step, while the running stack is busy.

It puts the load of `make load RATE=20` on the stack, and meanwhile opens the pages of ORDERS=24 orders one after
another in a browser: of good cards, slow ones, ones that fail twice, and ones that are declined. The time of a step
begins when it is written down, and ends when it is in the page's document. Steps that are written down while the
browser still opens the page are told apart.
"""

import os
import sys
import uuid
from itertools import cycle, islice
from typing import Any, Final

import httpx
from playwright.sync_api import expect

from checkout_demo.stories import basket
from loadtests.outcomes import share
from quartet_stack.commands.console import link
from quartet_stack.settings import stack_environment
from sagakit.web.app import issue_token
from tests.console.load import load
from tests.unit.console.chromium import Visit, chromium

CARDS: Final = ("tok_visa", "tok_slow", "tok_flaky", "tok_declined")
CUSTOMER: Final = "latency"
WATCH: Final = """
window.arrived = [];
const seen = new Set();
function look() {
  const now = performance.timeOrigin + performance.now();
  for (const item of document.querySelectorAll("li[id^='m-'] time")) {
    const name = item.closest("li").id;
    if (seen.has(name)) continue;
    seen.add(name);
    const written = Date.parse(item.dateTime);
    const open = window.opened && written >= window.opened;
    if (written >= performance.timeOrigin) window.arrived.push([open, now - written]);
  }
}
document.addEventListener("DOMContentLoaded", () => { window.opened = performance.timeOrigin + performance.now(); });
new MutationObserver(look).observe(document, {childList: true, subtree: true});
"""
"""Notes for each step of a saga, when it comes into the document, the milliseconds since it was written down."""


def order(stack: dict[str, str], card: str) -> str:
    """Place an order with that card; its id."""
    body: dict[str, Any] = {**basket()[0].body(), "payment": {"token": card}}
    token = issue_token(stack["TOKEN_SIGNING_KEY"], CUSTOMER)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex}
    answer = httpx.post(f"{stack['ORDER_URL']}/orders", json=body, headers=headers, timeout=30)
    return str(answer.raise_for_status().json()["order_id"])


def latencies(stack: dict[str, str], orders: int) -> list[tuple[bool, float]]:
    """For each step of so many orders whether the page was open, and the milliseconds that it took into the page."""
    base, _, code = link(stack, CUSTOMER).partition("/sign-in?code=")
    found: list[tuple[bool, float]] = []
    with chromium() as browser:
        visit = Visit(browser, base)
        visit.sign_in(code)
        visit.page.add_init_script(WATCH)
        with load(stack, os.environ.get("RATE", "20")):
            for card in islice(cycle(CARDS), orders):
                visit.page.goto(f"/orders/{order(stack, card)}", wait_until="commit")
                expect(visit.page.locator(".said[data-ended]")).to_have_count(1, timeout=60_000)
                found += [(bool(was_open), ms) for was_open, ms in visit.page.evaluate("window.arrived")]
    return found


def told(times: list[float]) -> str:
    """The figures of some steps."""
    quantiles = ", ".join(f"{name} {share(times, part):.0f} ms" for name, part in (("median", 0.5), ("p95", 0.95)))
    return f"{len(times)} steps, {quantiles}, maximum {times[-1]:.0f} ms"


def main() -> int:
    """Measure and print; the exit status says whether 95 % of the steps are shown within 300 ms."""
    stack = stack_environment()
    found = latencies(stack, int(os.environ.get("ORDERS", "24")))
    later, opening = (sorted(ms for was_open, ms in found if was_open is wanted) for wanted in (True, False))
    print(f"{stack['COORDINATION_MODE']}, the page is open: {told(later)}")
    if opening:
        print(f"{stack['COORDINATION_MODE']}, while it is opened: {told(opening)}")
    return 0 if share(later, 0.95) <= 300 else 1


if __name__ == "__main__":
    sys.exit(main())
