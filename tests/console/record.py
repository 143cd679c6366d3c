"""`python -m tests.console.record` places an order of each kind in the running stack, and writes the examples.

An example holds what the services' timelines say about one order, so that the console can show it without a stack.
"""

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import httpx

from checkout_demo.stories import Story, basket
from quartet_stack.settings import SERVICES, stack_environment
from sagakit.web.app import issue_token

FOLDER: Final = Path(__file__).parents[2] / "services/console/src/console_service/examples"
NAMES: Final = {
    "good": "completed",
    "sold out": "sold-out",
    "card declined": "declined",
    "undeliverable address": "undeliverable",
    "provider's answer lost": "answer-lost",
    "provider fails twice": "provider-fails-twice",
    "cancelled in flight": "cancelled",
}
"""Story of the demo -> the name of the example."""


async def recorded(client: httpx.AsyncClient, stack: dict[str, str], story: Story) -> dict[str, Any]:
    """Place the order of a story, wait until it is settled, and return what an example of it holds."""
    customer = {"Authorization": f"Bearer {issue_token(stack['TOKEN_SIGNING_KEY'], 'example')}"}
    key = {**customer, "Idempotency-Key": f"example-{uuid.uuid4().hex}"}
    placed = await client.post(f"{stack['ORDER_URL']}/orders", json=story.body(), headers=key)
    order_id = placed.raise_for_status().json()["order_id"]
    if story.cancel:
        await asyncio.sleep(0.6)  # until the provider has been called
        (await client.post(f"{stack['ORDER_URL']}/orders/{order_id}/cancel", headers=customer)).raise_for_status()
    async with client.stream("GET", f"{stack['ORDER_URL']}/orders/{order_id}/events", headers=customer) as stream:
        async for _ in stream.aiter_lines():
            pass
    order = (await client.get(f"{stack['ORDER_URL']}/orders/{order_id}", headers=customer)).json()
    operator = {"Authorization": f"Bearer {issue_token(stack['TOKEN_SIGNING_KEY'], 'operator', 'admin')}"}
    timelines = {}
    for service in SERVICES:
        answer = await client.get(f"{stack[f'{service.upper()}_URL']}/timeline/{order_id}", headers=operator)
        timelines[service] = _body(answer) if answer.status_code == 200 else {"items": []}
    ledger = await client.get(f"{stack['PROVIDER_URL']}/ledger", params={"order_id": order_id}, headers=operator)
    return {"title": story.title, "order": order, "timelines": timelines, "ledger": ledger.json()["items"]}


def _body(answer: httpx.Response) -> dict[str, Any]:
    """A timeline without what the example says already."""
    return {name: value for name, value in answer.json().items() if name not in ("order_id", "service")}


async def main() -> int:
    """Write the examples of the stack's mode; the exit status."""
    stack = stack_environment()
    mode = stack["COORDINATION_MODE"]
    FOLDER.mkdir(exist_ok=True)
    stories = [story for story in basket() if story.title in NAMES]
    async with httpx.AsyncClient(timeout=60) as client:
        for story in stories:
            example = await recorded(client, stack, story)
            lines = json.dumps(example, indent=None, separators=(",", ":"), ensure_ascii=False)
            (FOLDER / f"{mode}.{NAMES[story.title]}.json").write_text(lines.replace("},{", "},\n{") + "\n")
            print(f"{mode}: {story.title}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
