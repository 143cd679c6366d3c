"""`python -m checkout_demo`: places a basket of orders, shows the path of each saga live, then runs the audit.

Exit status 0 if every order ended as it must and the audit is clean, 1 if not, 2 if there is no stack.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from typing import Final

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from checkout_demo.stories import Story, basket
from quartet_stack.errors import StackError
from quartet_stack.settings import SERVICES, stack_environment
from sagakit.web.app import issue_token

PATIENCE: Final = 60.0
"""Seconds for one request; the whole basket may take twice as long."""
CUSTOMER: Final = "demo"


def table(stories: list[Story], mode: str) -> Table:
    """The stories as a table: green where an order ended as it must, red where not."""
    rows = Table("order", "path", "end", title=f"one saga, {mode}", expand=True)
    for story in stories:
        mark = "" if not story.end else "[green]" if story.as_expected else "[red]"
        rows.add_row(story.title, " → ".join(story.path), f"{mark}{story.end}")
    return rows


async def journalled_path(stack: dict[str, str], headers: dict[str, str], order_id: str) -> list[str]:
    """The path of the whole saga: the events in all four services' journals, by time."""
    events: list[tuple[str, str]] = []
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        for service in SERVICES:
            answer = await client.get(f"{stack[f'{service.upper()}_URL']}/timeline/{order_id}", headers=headers)
            items = answer.json()["items"] if answer.status_code == 200 else []
            events += [(item["at"], item["message"]) for item in items if item["kind"] == "event"]
    return [name for _, name in sorted(events)]


async def play(client: httpx.AsyncClient, stack: dict[str, str], headers: dict[str, str], story: Story) -> None:
    """Place the order, cancel it if its story says so, and follow it to its end, which the story then holds."""
    accepted = await client.post(
        "/orders", json=story.body(), headers={**headers, "Idempotency-Key": f"demo-{uuid.uuid4().hex}"}
    )
    accepted.raise_for_status()
    order_id = accepted.json()["order_id"]
    if story.cancel:
        (await client.post(f"/orders/{order_id}/cancel", headers=headers)).raise_for_status()
    async with client.stream("GET", f"/orders/{order_id}/events", headers=headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                story.path.append(line.removeprefix("event: "))
    story.path = await journalled_path(stack, headers, order_id)
    order = (await client.get(f"/orders/{order_id}", headers=headers)).json()
    reason = order["cancellation_reason"]
    story.end = order["status"] + (f": {reason}" if reason else "")
    if not order["settled"]:
        story.end += ", not settled"


async def show(stack: dict[str, str], console: Console) -> bool:
    """Play all stories at once under a live table; returns whether every one ended as it must."""
    stories = basket()
    headers = {"Authorization": f"Bearer {issue_token(stack['TOKEN_SIGNING_KEY'], CUSTOMER)}"}
    mode = stack["COORDINATION_MODE"]
    async with httpx.AsyncClient(base_url=stack["ORDER_URL"], timeout=PATIENCE) as client:
        tasks = [asyncio.create_task(play(client, stack, headers, story)) for story in stories]
        with Live(table(stories, mode), console=console, refresh_per_second=10) as live:
            pending: set[asyncio.Task[None]] = set(tasks)
            while pending:
                _, pending = await asyncio.wait(pending, timeout=0.1)
                live.update(table(stories, mode))
        for story, task in zip(stories, tasks, strict=True):
            if error := task.exception():
                console.print(f"[red]{story.title}: {error!r}")
    return all(story.as_expected for story in stories)


def main() -> int:
    """Show the demo and run the audit; returns the exit status."""
    console = Console()
    try:
        stack = stack_environment()
    except StackError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        as_expected = asyncio.run(asyncio.wait_for(show(stack, console), PATIENCE * 2))
    except (httpx.TransportError, TimeoutError) as error:
        print(f"the order service does not answer ({error!r}); see: make status", file=sys.stderr)
        return 2
    if not as_expected:
        console.print("[red]not every order ended as it must")
    audited = subprocess.run([sys.executable, "-m", "checkout_audit"], check=False, env=os.environ).returncode
    return 0 if as_expected and audited == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
