"""`make demo`: a basket of orders of every kind against the running stack, each saga's path live, then the audit.

Exit status 0 if every order ended as its kind must and the books agree, 1 if not, 2 if there is no stack.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from quartet_stack.errors import StackError
from quartet_stack.settings import SERVICES, stack_environment
from sagakit.web.app import issue_token

PATIENCE: Final = 60.0
CUSTOMER: Final = "demo"


@dataclass
class Story:
    """One order of the basket: what it is to show, how it must end, and its path so far."""

    title: str
    want: str
    sku: str = "espresso-cup"
    token: str = "tok_visa"  # noqa: S105 - a test input of the provider's sandbox
    country: str = "LV"
    cancel: bool = False
    path: list[str] = field(default_factory=list)
    end: str = ""

    def body(self) -> dict[str, Any]:
        return {
            "lines": [{"sku": self.sku, "quantity": 2}],
            "payment": {"token": self.token},
            "shipping_address": {
                "name": "A. Customer",
                "line1": "1 Main St",
                "city": "Riga",
                "postal_code": "LV-1010",
                "country": self.country,
            },
        }


def basket() -> list[Story]:
    return [
        Story("good", "COMPLETED"),
        Story("sold out", "CANCELLED: OUT_OF_STOCK", sku="sold-out"),
        Story("card declined", "CANCELLED: PAYMENT_DECLINED", token="tok_declined"),  # noqa: S106
        Story("no funds", "CANCELLED: PAYMENT_DECLINED", token="tok_insufficient_funds"),  # noqa: S106
        Story("undeliverable address", "CANCELLED: SHIPPING_UNAVAILABLE", country="AQ"),
        Story("provider's answer lost", "COMPLETED", token="tok_timeout"),  # noqa: S106
        Story("provider fails twice", "COMPLETED", token="tok_flaky"),  # noqa: S106
        Story("cancelled in flight", "CANCELLED: CUSTOMER_REQUESTED", token="tok_slow", cancel=True),  # noqa: S106
    ]


def table(stories: list[Story], mode: str) -> Table:
    shown = Table("order", "path", "end", title=f"one saga, {mode}", expand=True)
    for story in stories:
        mark = "" if not story.end else "[green]" if story.end == story.want else "[red]"
        shown.add_row(story.title, " → ".join(story.path), f"{mark}{story.end}")
    return shown


async def merged(stack: dict[str, str], headers: dict[str, str], order_id: str) -> list[str]:
    """The whole saga's path: the events of all four services' journals, in the order of their times."""
    events: list[tuple[str, str]] = []
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        for service in SERVICES:
            answer = await client.get(f"{stack[f'{service.upper()}_URL']}/timeline/{order_id}", headers=headers)
            items = answer.json()["items"] if answer.status_code == 200 else []
            events += [(item["at"], item["message"]) for item in items if item["kind"] == "event"]
    return [name for _, name in sorted(events)]


async def tell(client: httpx.AsyncClient, stack: dict[str, str], headers: dict[str, str], story: Story) -> None:
    """Place the order, cancel it if that is its story, and follow it to its end."""
    placed = await client.post(
        "/orders", json=story.body(), headers={**headers, "Idempotency-Key": f"demo-{uuid.uuid4().hex}"}
    )
    placed.raise_for_status()
    order_id = placed.json()["order_id"]
    if story.cancel:
        (await client.post(f"/orders/{order_id}/cancel", headers=headers)).raise_for_status()
    async with client.stream("GET", f"/orders/{order_id}/events", headers=headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                story.path.append(line.removeprefix("event: "))
    story.path = await merged(stack, headers, order_id)
    order = (await client.get(f"/orders/{order_id}", headers=headers)).json()
    reason = order["cancellation_reason"]
    story.end = order["status"] + (f": {reason}" if reason else "")
    if not order["settled"]:
        story.end += ", not settled"


async def show(stack: dict[str, str], console: Console) -> bool:
    """The live table; whether every story ended as it must."""
    stories = basket()
    headers = {"Authorization": f"Bearer {issue_token(stack['TOKEN_SIGNING_KEY'], CUSTOMER)}"}
    mode = stack["COORDINATION_MODE"]
    async with httpx.AsyncClient(base_url=stack["ORDER_URL"], timeout=PATIENCE) as client:
        tasks = [asyncio.create_task(tell(client, stack, headers, story)) for story in stories]
        with Live(table(stories, mode), console=console, refresh_per_second=10) as live:
            pending: set[asyncio.Task[None]] = set(tasks)
            while pending:
                _, pending = await asyncio.wait(pending, timeout=0.1)
                live.update(table(stories, mode))
        for story, task in zip(stories, tasks, strict=True):
            if error := task.exception():
                console.print(f"[red]{story.title}: {error!r}")
    return all(story.end == story.want for story in stories)


def main() -> int:
    console = Console()
    try:
        stack = stack_environment()
    except StackError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        fine = asyncio.run(asyncio.wait_for(show(stack, console), PATIENCE * 2))
    except (httpx.TransportError, TimeoutError) as error:
        print(f"the order service does not answer ({error!r}); see: make status", file=sys.stderr)
        return 2
    if not fine:
        console.print("[red]not every order ended as it must")
    audited = subprocess.run([sys.executable, "-m", "checkout_audit"], check=False, env=os.environ).returncode
    return 0 if fine and audited == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
