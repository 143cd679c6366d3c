"""Looks into each source of a stack, as an engineer would: every look returns the sights it gives."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import httpx
from temporalio.client import Client
from temporalio.service import RPCError

from checkout_audit.audit import AuditOptions, examine
from checkout_audit.target import Target
from quartet_stack import api
from tests.chaos.checks import SETTLES_WITHIN
from tests.chaos.debugging import alerts
from tests.chaos.debugging.model import Sight, Source
from tests.chaos.debugging.orders import history, order_in, plain, timeline, total_of
from tests.chaos.evidence import OrderRow
from tests.chaos.purchases import Purchase
from tests.chaos.stack import SERVICES, StackUnderTest

LOOK_EVERY: Final = 1.0
SERIOUS: Final = ("WARNING", "ERROR", "CRITICAL")
AT_A_TIME: Final = 4
STARTS: Final = -1.0
"""The first order comes less than a second before the load counts as begun."""
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "inventory": ("inventory", "stock", "reserve", "reservation"),
    "payment": ("payment", "captur", "charge", "void", "authoriz", "ledger"),
    "shipping": ("shipping", "shipment", "parcel", "carrier", "dispatch"),
}
"""Service -> the words in a finding of the auditor that are about what this service owns."""
NAMED: Final = re.compile(r"(?:^|letter of |inbox of )(order|payment|inventory|shipping)\b")
OWNERS: Final = {5: "inventory", 6: "payment"}
"""Invariants about what one service owns: stock, and money at the provider."""


async def watch(stack: StackUnderTest, began: float, found: dict[tuple[str, str, str], Sight]) -> None:
    """Look at metrics and at what needs attention every second, and note each sight the first time; until cancelled."""
    headers = stack.headers("root", "admin")
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            for service in SERVICES:
                url = stack.environment[f"{service.upper()}_URL"]
                with suppress(httpx.HTTPError):  # a service that a fault has stopped
                    metrics = (await client.get(f"{url}/metrics")).text
                    needs = (await client.get(f"{url}/attention", headers=headers)).json()
                    at = time.time() - began
                    for one in (*alerts.sights(service, alerts.samples(metrics), at), *_attention(service, needs, at)):
                        found.setdefault(one.key, one)
            await asyncio.sleep(LOOK_EVERY)


def _attention(service: str, page: Mapping[str, Any], at: float) -> Iterator[Sight]:
    for item in page.get("items", ()):
        text = f"{item['kind']}: {plain(item['detail'])}"
        yield Sight(at, Source.ATTENTION, text, service, "", order_in(f"{item['id']} {item['detail']}"))


def logged(stack: StackUnderTest, began: float) -> Iterator[Sight]:
    """The lines of the services' logs that are warnings or worse, without those of the start of the stack."""
    for service in SERVICES:
        for line in api.log(service, stack.folder).read_text(errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):  # what is not a line of JSON has no level
                entry = json.loads(line)
                at = datetime.fromisoformat(entry["time"]).timestamp() - began
                if entry["level"] in SERIOUS and at > STARTS:
                    text = entry["message"].partition("\n")[0]
                    about = order_in(f"{text} {entry.get('exception', '')} {line}")
                    yield Sight(at, Source.LOG, f"{entry['level']}: {plain(text)}", service, "", about)


def told(purchases: Sequence[Purchase], began: float) -> Iterator[Sight]:
    """What customers were told about the end of their orders."""
    for one in purchases:
        if one.answered is not None:
            what = f"{one.kind}: {one.status} {one.reason or ''}".rstrip()
            yield Sight(one.answered - began, Source.CLIENT, what, "", "", one.order_id or "")


def stuck(rows: Sequence[OrderRow], kinds: Mapping[str, str], began: float) -> Iterator[Sight]:
    """Orders that were not settled in time."""
    for row in rows:
        if not row.settled or row.updated - row.created > SETTLES_WITHIN:
            what = f"{kinds.get(row.order_id, 'unknown')}: {row.status}, not settled in time"
            yield Sight(row.created + SETTLES_WITHIN - began, Source.STUCK, what, "order", "", row.order_id)


async def of_orders(stack: StackUnderTest, kinds: Mapping[str, str], began: float) -> list[Sight]:
    """The timelines of these orders in all services, and over Temporal their histories."""
    client = None
    if stack.substrate == "temporal":
        namespace = stack.environment.get("TEMPORAL_NAMESPACE", "default")
        client = await Client.connect(stack.environment["TEMPORAL_ADDRESS"], namespace=namespace)
    gate, sights = asyncio.Semaphore(AT_A_TIME), list[Sight]()

    async def one(order: str, kind: str) -> None:
        async with gate:
            shown = {name: await stack.get(f"/timeline/{order}", name, role="admin") for name in SERVICES}
            total = total_of(shown["order"]) if shown["order"] else None
            for name, seen in shown.items():
                sights.extend(timeline(name, kind, seen, began, total) if seen else ())
            if client:
                sights.extend(await _histories(stack, client, order, kind, began))

    await asyncio.gather(*(one(*item) for item in kinds.items()))
    return sights


async def _histories(stack: StackUnderTest, client: Client, order: str, kind: str, began: float) -> list[Sight]:
    orchestrated = stack.style == "orchestration"
    ids = {order: "order"} if orchestrated else {f"{name}/{order}": name for name in SERVICES}
    found: list[Sight] = []
    for workflow, owner in ids.items():
        with suppress(RPCError):  # a service that has not taken part has no workflow
            events = (await client.get_workflow_handle(workflow).fetch_history()).events
            found += history(owner, kind, order, events, began)
    return found


async def audited(stack: StackUnderTest, began: float, wait: float) -> list[Sight]:
    """What the auditor finds, once nothing is in flight or after `wait` seconds."""
    report = await examine(Target.from_environment(stack.environment), AuditOptions(), wait)
    at = time.time() - began
    return [
        Sight(at, Source.AUDIT, f"invariant {one.invariant.number}: {plain(violation.what)}",
              owner(one.invariant.number, violation.what), "", order_in(violation.subject))
        for one in report.findings
        for violation in one.violations
    ]  # fmt: skip


def owner(number: int, what: str) -> str:
    """The service that a finding names, or that owns what it is about; the order service if that is not clear."""
    if number in OWNERS:
        return OWNERS[number]
    if named := NAMED.search(what):
        return named.group(1)
    text = what.lower()
    places = {name: [at for word in words if (at := text.find(word)) >= 0] for name, words in WORDS.items()}
    found = {name: min(at) for name, at in places.items() if at}
    return min(found, key=lambda name: found[name]) if found else "order"
