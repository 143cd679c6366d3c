"""One order of each kind in the mode of a stack, and all that is recorded about them.

What a process only remembers is gone when it is killed, so everything is read as soon as the orders have settled.
"""

import asyncio
import json
import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import asyncpg

from tests.e2e.failpoints import arm
from tests.e2e.stack import SERVICES, Stack, basket

WITHOUT_CARRIER: Final = ("declined", "no funds", "out of stock", "cancelled in flight", "timed out")
"""Placed while no parcel can be booked; for the last one that is why it is late."""


class End(NamedTuple):
    """How an order ends: its status and reason, its payment and shipment, and its effects in the providers' ledger."""

    status: str
    reason: str | None
    payment: str | None
    shipment: str | None
    effects: Sequence[str]


_DONE: Final = End("COMPLETED", None, "CAPTURED", "DISPATCHED", ("authorize", "book", "capture", "dispatch"))
KINDS: Final[Mapping[str, tuple[Any, End]]] = {
    "completed": (basket(quantity=2), _DONE),
    "call retried": (basket(token="tok_flaky"), _DONE),
    "provider unknown": (basket(token="tok_timeout"), _DONE),
    "placed twice": (basket(), _DONE),
    "cancelled too late": (basket(), _DONE),
    "declined": (
        basket(token="tok_declined"),
        End("CANCELLED", "PAYMENT_DECLINED", "DECLINED", None, ("authorize declined",)),
    ),
    "no funds": (
        basket(token="tok_insufficient_funds"),
        End("CANCELLED", "PAYMENT_DECLINED", "DECLINED", None, ("authorize declined",)),
    ),
    "out of stock": (basket(sku="sold-out"), End("CANCELLED", "OUT_OF_STOCK", None, None, ())),
    "refused": (
        basket(country="AQ"),
        End("CANCELLED", "SHIPPING_UNAVAILABLE", "VOIDED", "REFUSED", ("authorize", "book refused", "void")),
    ),
    "cancelled in flight": (
        basket(token="tok_slow"),
        End("CANCELLED", "CUSTOMER_REQUESTED", "VOIDED", None, ("authorize", "void")),
    ),
    "timed out": (
        basket(),
        End("CANCELLED", "TIMED_OUT", "VOIDED", "CANCELLED", ("authorize", "book", "cancel", "void")),
    ),
}
"""Kind -> what is ordered, and how it ends."""


@dataclass
class Placed:
    """An order of one kind.

    Attributes:
        kind: Which one.
        client: The span of the client, under which the order was placed.
        answers: The HTTP answers, by what was asked for.
        order: The order as the order service shows it in the end.
        payment: The payment's status, `shipment` the shipment's.
        timelines: Of each service that knows the order, `/timeline`.
        inbox: Service -> the rows of the inbox; `journal`, `dead_letters` and `owed` (the outbox) likewise.
        ledger: The providers' effects.
    """

    kind: str
    trace: str = field(default_factory=lambda: uuid.uuid4().hex)
    client: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    answers: dict[str, Any] = field(default_factory=dict)
    order: Any = None
    payment: str | None = None
    shipment: str | None = None
    timelines: dict[str, Any] = field(default_factory=dict)
    inbox: dict[str, list[Any]] = field(default_factory=dict)
    journal: dict[str, list[Any]] = field(default_factory=dict)
    dead_letters: dict[str, list[Any]] = field(default_factory=dict)
    owed: dict[str, list[Any]] = field(default_factory=dict)
    ledger: list[Any] = field(default_factory=list)

    @property
    def id(self) -> str:
        answered: str = self.answers["placed"].json()["order_id"]
        return answered

    @property
    def is_late(self) -> bool:
        """Whether it met its deadline."""
        return bool(self.order["cancellation_reason"] == "TIMED_OUT")


_placed: dict[str, Mapping[str, Placed]] = {}


async def placed(stack: Stack) -> Mapping[str, Placed]:
    """The orders of this mode by their kinds; placed when this is called first."""
    if stack.mode not in _placed:
        _placed[stack.mode] = await _place_all(stack)
    return _placed[stack.mode]


async def _place_all(stack: Stack) -> Mapping[str, Placed]:
    orders = {kind: Placed(kind) for kind in KINDS}
    await _provider(stack, fail_operations=["book"])
    try:
        await asyncio.gather(*(_place(stack, orders[kind]) for kind in WITHOUT_CARRIER))
        # the cancellation comes before the parcel is booked after all
        await _until(lambda: _recorded(stack, orders["timed out"], "shipping", "CancelShipment"))
    finally:
        await _provider(stack)
    # what arrives during this commit is committed together
    await arm(stack, "order", {"point": "before-commit", "action": "stall", "seconds": 0.3})
    await asyncio.gather(*(_place(stack, one) for kind, one in orders.items() if kind not in WITHOUT_CARRIER))
    await asyncio.gather(*(_learn(stack, one) for one in orders.values()))
    for kind in [kind for kind, one in orders.items() if await _too_slow(stack, one)]:
        orders[kind] = Placed(kind)
        await _place(stack, orders[kind])
        await _learn(stack, orders[kind])
    for service in SERVICES:
        await _read(stack, service, orders)
    _read_ledger(stack, orders)
    return orders


async def _provider(stack: Stack, **faults: Any) -> None:
    headers = stack.headers("root", "admin")
    (await stack.insist("PUT", "/faults", headers, faults, service="provider")).raise_for_status()


async def _place(stack: Stack, one: Placed) -> None:
    request = KINDS[one.kind][0]
    headers = stack.headers(**{"Idempotency-Key": uuid.uuid4().hex, "traceparent": f"00-{one.trace}-{one.client}-01"})
    waiting = one.kind not in ("cancelled in flight", "timed out")
    one.answers["placed"] = await stack.insist(
        "POST", "/orders", headers | ({"Prefer": "wait=40"} if waiting else {}), request
    )
    if one.kind == "placed twice":
        again = {name: value for name, value in headers.items() if name != "traceparent"}
        one.answers["again"] = await stack.insist("POST", "/orders", again, request)
    if one.kind in ("cancelled in flight", "cancelled too late"):
        if one.kind == "cancelled in flight":
            await _until(lambda: _recorded(stack, one, "payment", "PaymentAuthorizationRequested"))
        for name in ("cancelled", "cancelled again"):
            one.answers[name] = await stack.insist("POST", f"/orders/{one.id}/cancel", stack.headers())


async def _until(holds: Callable[[], Awaitable[object]], seconds: float = 30) -> None:
    """Wait until what is asked for is true, by asking again and again."""
    async with asyncio.timeout(seconds):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


async def _too_slow(stack: Stack, one: Placed) -> bool:
    """Whether it is no order of its kind, because the machine was busy: late, or paid for before it was cancelled."""
    if one.kind == "cancelled in flight":
        return one.is_late or await _recorded(stack, one, "shipping", "BookShipment")
    return one.kind != "timed out" and one.is_late


async def _recorded(stack: Stack, one: Placed, service: str, message: str) -> bool:
    timeline = await stack.get(f"/timeline/{one.id}", service, "root", "admin")
    return timeline is not None and message in {item["message"] for item in timeline["items"]}


async def _learn(stack: Stack, one: Placed) -> None:
    one.order = await stack.settled(one.id)
    payment = await stack.get(f"/payments/{one.id}", "payment")
    shipment = await stack.get(f"/shipments/{one.id}", "shipping")
    one.payment, one.shipment = payment and payment["status"], shipment and shipment["status"]


async def _read(stack: Stack, service: str, orders: Mapping[str, Placed]) -> None:
    """Read a service's timelines, and its tables, until no message and no call is left in its outbox."""
    url = stack.environment[f"{service.upper()}_DATABASE_URL"].replace("+asyncpg", "")
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await _until(lambda: connection.fetchval("SELECT count(*) = 0 FROM outbox_waiting"))
        for one in orders.values():
            around = f"{one.id}/", f"{one.id}0"
            for rows, statement in (
                (one.inbox, "SELECT id, cause, claimed_at FROM inbox WHERE id >= $1 AND id < $2"),
                (one.journal, "SELECT * FROM journal WHERE id >= $1 AND id < $2"),
                (one.dead_letters, "SELECT * FROM dead_letter WHERE subject >= $1 AND subject < $2"),
                (one.owed, "SELECT * FROM outbox_waiting WHERE id >= $1 AND id < $2"),
            ):
                rows[service] = await connection.fetch(statement, *around)
            one.timelines[service] = await stack.get(f"/timeline/{one.id}", service, "root", "admin")
    finally:
        await connection.close()


def _read_ledger(stack: Stack, orders: Mapping[str, Placed]) -> None:
    (file,) = stack.folder.rglob("sandbox.db")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        for one in orders.values():
            rows = database.execute("SELECT * FROM effects WHERE order_id = ? ORDER BY seq", (one.id,))
            one.ledger = [dict(row) for row in rows]


def effects(one: Placed) -> list[str]:
    """The effects of an order as KINDS has them."""
    outcomes = ((row["operation"], row["outcome"]) for row in one.ledger)
    return sorted(operation if outcome == "ok" else f"{operation} {outcome}" for operation, outcome in outcomes)


async def spans(stack: Stack, one: Placed, seconds: float = 20) -> list[Any]:
    """The spans about an order, and those of its trace, from the files of the services, once they are all written."""
    commands = sum(len(rows) for rows in one.inbox.values())
    async with asyncio.timeout(seconds):
        while True:
            found = [span for span in written(stack) if about(span) == one.id or span["trace_id"] == one.trace]
            if len([span for span in found if span["kind"] == "consumer"]) >= commands:
                return found
            await asyncio.sleep(0.3)


def about(span: Any) -> str | None:
    """The id of the order that a span is about."""
    attributes = span["attributes"]
    subject: str | None = attributes.get("saga.subject") or attributes.get("messaging.message.conversation_id")
    return subject


def written(stack: Stack) -> list[Any]:
    """All spans in the files of a stack."""
    files = (stack.folder / "data" / "spans").glob("*.jsonl*")
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines() if line.endswith(b"}")]
