"""The database work of a checkout that every peer does: nine transactions in four databases, and what has to come out.

It is the least that the handlers of the services do for a good order: place it, hold in three services, confirm it,
settle in three services, complete it. Each step can be repeated: its first statement returns a row only the first time,
and only then the others are executed, in the same transaction.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

SCHEMA: Final = "peer"
SKUS: Final = 1000
STOCK: Final = 1_000_000_000
SERVICES: Final = ("order", "payment", "inventory", "shipping")
SETTLEMENTS: Final = 3
INBOX: Final = "CREATE TABLE inbox (message_id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
HEARD: Final = "INSERT INTO inbox (message_id) VALUES (:message_id) ON CONFLICT DO NOTHING RETURNING 1"

TABLES: Final[Mapping[str, Sequence[str]]] = {
    "order": (
        "CREATE TABLE orders (order_id text PRIMARY KEY, customer text NOT NULL, sku text NOT NULL, "
        "quantity bigint NOT NULL, amount bigint NOT NULL, status text NOT NULL, settled int NOT NULL DEFAULT 0, "
        "created_at timestamptz NOT NULL DEFAULT now())",
        INBOX,
    ),
    "inventory": (
        "CREATE TABLE stock (sku text PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0), "
        "reserved bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50)",
        "CREATE TABLE reservations (order_id text PRIMARY KEY, sku text NOT NULL, quantity bigint NOT NULL, "
        "status text NOT NULL)",
        f"INSERT INTO stock SELECT 'item-' || n, {STOCK} FROM generate_series(1, {SKUS}) n",
        INBOX,
    ),
    "payment": (
        "CREATE TABLE payments (order_id text PRIMARY KEY, amount bigint NOT NULL, status text NOT NULL)",
        INBOX,
    ),
    "shipping": (
        "CREATE TABLE shipments (order_id text PRIMARY KEY, address text NOT NULL, status text NOT NULL)",
        INBOX,
    ),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction: the service in whose database it runs, and its statements, with parameters `:name`."""

    service: str
    statements: Sequence[str]


STEPS: Final[Mapping[str, Step]] = {
    "place": Step(
        "order",
        (
            "INSERT INTO orders (order_id, customer, sku, quantity, amount, status) "
            "VALUES (:order_id, 'shopper', :sku, :quantity, :amount, 'PLACED') ON CONFLICT DO NOTHING RETURNING 1",
        ),
    ),
    "reserve": Step(
        "inventory",
        (
            HEARD,
            "UPDATE stock SET available = available - :quantity, reserved = reserved + :quantity "
            "WHERE sku = :sku AND available >= :quantity",
            "INSERT INTO reservations (order_id, sku, quantity, status) VALUES (:order_id, :sku, :quantity, 'HELD')",
        ),
    ),
    "authorize": Step(
        "payment",
        (HEARD, "INSERT INTO payments (order_id, amount, status) VALUES (:order_id, :amount, 'HELD')"),
    ),
    "book": Step(
        "shipping",
        (HEARD, "INSERT INTO shipments (order_id, address, status) VALUES (:order_id, :address, 'HELD')"),
    ),
    "confirm": Step(
        "order",
        ("UPDATE orders SET status = 'CONFIRMED' WHERE order_id = :order_id AND status = 'PLACED' RETURNING 1",),
    ),
    "commit": Step(
        "inventory",
        (
            HEARD,
            "UPDATE stock SET reserved = reserved - :quantity WHERE sku = :sku",
            "UPDATE reservations SET status = 'DONE' WHERE order_id = :order_id",
        ),
    ),
    "capture": Step("payment", (HEARD, "UPDATE payments SET status = 'DONE' WHERE order_id = :order_id")),
    "dispatch": Step("shipping", (HEARD, "UPDATE shipments SET status = 'DONE' WHERE order_id = :order_id")),
    "complete": Step(
        "order",
        ("UPDATE orders SET status = 'COMPLETED', settled = 3 WHERE order_id = :order_id AND settled < 3 RETURNING 1",),
    ),
    # in a choreography the order service hears of each settlement alone, and the third one completes the order
    "note": Step(
        "order",
        (
            HEARD,
            "UPDATE orders SET settled = settled + 1, "
            f"status = CASE settled WHEN {SETTLEMENTS - 1} THEN 'COMPLETED' ELSE status END "
            "WHERE order_id = :order_id",
        ),
    ),
}
COMPLETED: Final = "SELECT status = 'COMPLETED' FROM orders WHERE order_id = :order_id"
OUTCOME: Final[Mapping[str, str]] = {
    "order": "SELECT count(*) FILTER (WHERE status = 'COMPLETED') FROM orders",
    "inventory": "SELECT count(*) FILTER (WHERE status = 'DONE') FROM reservations",
    "payment": "SELECT count(*) FILTER (WHERE status = 'DONE') FROM payments",
    "shipping": "SELECT count(*) FILTER (WHERE status = 'DONE') FROM shipments",
}
"""What has to be the same number in all four databases when nothing is in flight."""
SOLD: Final = (
    f"SELECT sum({STOCK} - available) = (SELECT sum(quantity) FROM reservations), sum(reserved) = 0 FROM stock"
)
"""Whether as many pieces have left the stock as were reserved, and none is held any more."""


@dataclass(frozen=True, slots=True)
class Order:
    """A good order, as its messages carry it."""

    order_id: str
    sku: str
    quantity: int
    amount: int
    address: str

    def values(self, step: str, about: str = "") -> dict[str, Any]:
        """The parameters of a step; `about` tells repeats of `note` from one another."""
        return {**asdict(self), "message_id": f"{self.order_id}/{step}{about}"}


def numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """A statement with `$1` for its parameters, and their names in that order, for asyncpg."""
    names = tuple(dict.fromkeys(re.findall(r"(?<!:):(\w+)", statement)))
    return re.sub(r"(?<!:):(\w+)", lambda found: f"${names.index(found[1]) + 1}", statement), names


def percent(statement: str) -> str:
    """A statement with `%(name)s` for its parameters, for psycopg."""
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", statement)
