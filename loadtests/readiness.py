"""Polls the readiness of services and appends its changes to a history."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import httpx

from loadtests.history import History

SERVICES: Final = ("order", "payment", "inventory", "shipping")
EVERY: Final = 0.25
TIMEOUT: Final = 2.5  # seconds; a service answers within 2
_STATUSES: Final = {"ready": "ready", "degraded": "degraded", "not ready": "unready"}


def urls(stack: Mapping[str, str]) -> dict[str, str]:
    """The addresses of the services in a stack's environment, by name."""
    return {name: stack[f"{name.upper()}_URL"] for name in SERVICES}


async def watch(services: Mapping[str, str], history: History, every: float = EVERY) -> None:
    """Until cancelled, poll /health/ready of each service and append what has changed.

    The first answer counts as a change.

    Args:
        services: Name -> base URL.
        history: Where changes are appended.
        every: Seconds between two polls.
    """
    async with asyncio.TaskGroup() as group:
        for name, url in services.items():
            group.create_task(_watch(name, url, history, every))


@contextmanager
def watching(services: Mapping[str, str], history: History, every: float = EVERY) -> Iterator[None]:
    """Do the same in a thread, until the block ends."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(watch(services, history, every))

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, name="readiness", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(TIMEOUT * 2)
        loop.close()


async def _watch(name: str, url: str, history: History, every: float) -> None:
    last: tuple[str, list[str]] | None = None
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as client:
        while True:
            state = await _ask(client)
            if state != last:
                history.ready(name, *state)
                last = state
            await asyncio.sleep(every)


async def _ask(client: httpx.AsyncClient) -> tuple[str, list[str]]:
    try:
        body = (await client.get("/health/ready")).json()
        return _STATUSES[body["status"]], _reasons(body)
    except httpx.TransportError as error:
        return "unreachable", [type(error).__name__]
    except (ValueError, TypeError, KeyError) as error:
        return "unreachable", [f"no readiness in the answer: {type(error).__name__}"]


def _reasons(body: Mapping[str, Any]) -> list[str]:
    """Why a service is not ready, or what it depends on and cannot reach."""
    away = [f"{name} is away: {why}" for name, why in (body.get("away") or {}).items()]
    return [*([body["reason"]] if body.get("reason") else []), *away]
