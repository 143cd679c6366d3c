"""Debian's Chromium, driven by Playwright: the pages as people see them, and what must never happen on any."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

AXE: Final = Path(__file__).with_name("axe") / "axe.min.js"
CHROMIUM: Final = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
ABSENT: Final = not CHROMIUM and not os.environ.get("CI")  # in CI nothing may be missing
MISSING: Final = "MISSING, so no page was tested in a browser: Chromium; apt-get install chromium"
DESKTOP: Final = (1440, 900)
TELEPHONE: Final = (390, 844)
SMALLEST: Final = (360, 640)
ALL_RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")
COLOURS: Final = ("color-contrast",)
SCAN: Final = """async rules => {
    const found = await axe.run(document, { runOnly: rules });
    return found.violations.map(each => each.id + ": " + each.nodes.map(node => node.target.join(" ")).join(", "));
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A tab of its own, which writes down what went wrong in it and whom it asked."""

    def __init__(
        self, browser: Browser, base: str, size: tuple[int, int] = DESKTOP, scheme: Any = "light", **more: Any
    ) -> None:
        self.base = base
        self.context = browser.new_context(
            base_url=base, viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, **more
        )
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.strangers.append(url)

    def sign_in(self, code: str) -> None:
        """Sign in as people do."""
        self.page.goto(f"/sign-in?code={code}")
        self.page.get_by_role("main").get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.base}/")

    def be(self, persona: str) -> None:
        """Change the persona."""
        self.page.get_by_role("button", name=persona).click()
        self.page.wait_for_load_state()

    def violations(self, rules: tuple[str, ...] = ALL_RULES) -> list[str]:
        """What axe finds wrong with the page by these rules."""
        self.page.evaluate(AXE.read_text())
        found: list[str] = self.page.evaluate(SCAN, list(rules))
        return found

    def sideways(self) -> int:
        """By how many pixels the page is wider than the window."""
        wider: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return wider
