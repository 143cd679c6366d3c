"""The tour as a user follows it in a browser: for each step what the page says to do, and what it promises to see.

`python -m tests.console.tour` follows it on the running stack (with FAULT_INJECTION=on), whose mode its last step
switches; TIMES=8 goes on in the new mode, until all eight have been seen.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from playwright.sync_api import Locator, expect

from quartet_stack.commands.console import link
from quartet_stack.settings import stack_environment
from tests.unit.console.chromium import Visit, chromium

LONG: Final = 90_000  # milliseconds
TRIES: Final = 5
LOADS: Final = 40
SENDS_NOTHING: Final = "temporal-orchestration"
"""The mode in which inventory has no message that could be sent twice: it answers Temporal directly."""
DECIDED: Final = re.compile("you asked for it|Confirmed|Completed")
IN_FLIGHT: Final = re.compile(f"Waiting for the provider of payment|{DECIDED.pattern}")


class Tour:
    """Follows the steps; each begins at the tour's page and ends when all is to be seen."""

    def __init__(self, visit: Visit) -> None:
        self.visit, self.page = visit, visit.page

    def most(self) -> None:
        """All steps but the last."""
        for follow in (self.place, self.refuse, self.cancel, self.deadline, self.kill, self.duplicate):
            follow()

    def place(self) -> None:
        """Buy with the good card, and see the order complete."""
        self._do("place")
        self._says("Completed.")
        expect(self.page.get_by_role("link", name="OrderConfirmed, event of order")).to_be_visible(timeout=LONG)
        expect(self.page.locator("svg.saga .owed")).to_have_count(0, timeout=LONG)
        self._is_done("place")

    def refuse(self) -> None:
        """Buy with a card that is declined, and see the compensations."""
        self._do("refuse")
        self._says("the payment was declined")
        self._says("Nothing is held any more")
        expect(self.page.locator("svg.saga .row.undo.event")).not_to_have_count(0, timeout=LONG)
        self._is_done("refuse")

    def cancel(self) -> None:
        """Buy with the slow card, and cancel while the provider is asked; who is too late does it again."""
        said = self.page.locator(".said")
        for _ in range(TRIES):
            self._do("cancel")
            expect(said).to_contain_text(IN_FLIGHT, timeout=LONG)
            if (button := self.page.get_by_role("button", name="Cancel the order")).count():
                button.click(timeout=LONG)
            expect(said).to_contain_text(DECIDED, timeout=LONG)
            if "you asked for it" in said.inner_text():
                break
        self._says("you asked for it")
        self._says("Nothing is held any more")
        self._is_done("cancel")

    def deadline(self) -> None:
        """Let the provider fail every call, buy, see the order time out, heal, and see what was in doubt undone."""
        self._break("deadline", "The payment provider and the carrier")
        self._buy()
        saga = self.page.url
        self._says("it took too long")
        expect(self._act()).to_contain_text("the providers: each fails every call", timeout=LONG)
        self._heal()
        self.page.goto(saga)
        self._says("Nothing is held any more")
        expect(self._act()).to_contain_text("everything: healed", timeout=LONG)
        self._is_done("deadline")

    def kill(self) -> None:
        """Let payment end after a commit, buy, and see the order complete all the same."""
        self._break("kill", "A service, in the middle of a step")
        self._buy()
        self._says("Completed.")
        expect(self._act()).to_contain_text("payment: kill at after-commit", timeout=LONG)
        self._is_done("kill")
        self._heal()

    def duplicate(self) -> None:
        """Let the messages of inventory be duplicated, buy, and see the copies have no effect."""
        self._break("duplicate", "The messages of a service")
        self._buy()
        self._says("Completed.")
        expect(self._act()).to_contain_text("inventory: its messages are sent twice", timeout=LONG)
        if self.page.locator(".mode").inner_text() != SENDS_NOTHING:
            self._is_marked("duplicate")
        self._is_done("duplicate")
        self._heal()

    def switch(self, run: Callable[[str], object]) -> None:
        """Run the command that the page shows, see the page notice it, place the same order, and compare the two."""
        self.place()
        self.page.get_by_role("button", name="Keep to compare").click()
        self.page.goto("/learn")
        command = self.page.locator("#switch .command").inner_text()
        mode = command.split()[2].removeprefix("MODE=")
        run(command)
        expect(self.page.locator("#switch [role=status]")).to_contain_text(f"{mode} runs now", timeout=LONG)
        self.place()
        self.page.get_by_role("button", name="Keep to compare").click()
        self.page.goto("/learn")
        self.page.locator("#switch").get_by_role("link", name="Compare").click()
        expect(self.page.locator(".pair svg.saga")).to_have_count(2)
        expect(self.page.locator(".pair h2").nth(1)).to_contain_text(mode)

    def _do(self, step: str) -> None:
        """Press the button of a step, as the customer."""
        self.visit.be("customer")
        self.page.goto("/learn")
        self.page.locator(f"#{step}").get_by_role("button", name="Do it").click()
        self.page.wait_for_url("**/orders/*")

    def _break(self, step: str, form: str) -> None:
        """As the operator follow a step to “Break it”, and press the button of the form as it is."""
        self.visit.be("operator")
        self.page.goto("/learn")
        self.page.locator(f"#{step}").get_by_role("link", name="To “Break it”").click()
        self.page.get_by_role("form", name=form).get_by_role("button", name="Break it").click()
        self.page.wait_for_url("**/break")

    def _buy(self) -> None:
        self.visit.be("customer")
        self.page.goto("/")
        self.page.get_by_role("button", name="Place an order and watch it").click()
        self.page.wait_for_url("**/orders/*")

    def _heal(self) -> None:
        self.visit.be("operator")
        self.page.goto("/break")
        self.page.get_by_role("button", name="Heal everything").click()
        self.page.wait_for_url("**/break")
        self.visit.be("customer")

    def _says(self, text: str) -> None:
        expect(self.page.locator(".said")).to_contain_text(text, timeout=LONG)

    def _act(self) -> Locator:
        """The last act in the diagram."""
        return self.page.locator("svg.saga .act").last

    def _is_marked(self, mark: str) -> None:
        """The diagram of all steps shows the mark, at last: a copy may come after the order has ended."""
        self.page.get_by_role("link", name="Every step").click()
        marks = self.page.locator("svg.saga .marks").filter(has_text=mark)
        for _ in range(LOADS):
            if marks.count():
                break
            self.page.wait_for_timeout(500)
            self.page.reload()
        expect(marks).not_to_have_count(0, timeout=LONG)

    def _is_done(self, step: str) -> None:
        """The tour has noticed it."""
        here = self.page.url
        self.page.goto("/learn")
        expect(self.page.locator(f"#{step}.done")).to_have_count(1)
        self.page.goto(here)


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Follow the tour; the exit status."""
    for _ in range(int(os.environ.get("TIMES", "1"))):
        stack = stack_environment()
        base, _, code = link(stack).partition("/sign-in?code=")
        with chromium() as browser:
            visit = Visit(browser, base)
            visit.page.set_default_timeout(LONG)
            visit.sign_in(code)
            tour = Tour(visit)
            tour.most()
            tour.switch(_run)
            print(f"{stack['COORDINATION_MODE']}: the tour was followed to its end", flush=True)
            if visit.strangers:
                print(f"another host was asked: {visit.strangers}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
