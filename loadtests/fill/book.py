"""The rows of many settled orders: an ending and a basket for each, and the stock that they took."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice
from random import Random
from secrets import token_hex
from typing import Any, Final

from checkout.catalogue import AMPLE, CURRENCY
from inventory_service.domain import Restock, StockReceived
from inventory_service.service import SERVICE as INVENTORY
from loadtests.fill.baskets import Baskets, products
from loadtests.fill.endings import COMPLETED, KINDS
from loadtests.fill.templates import Template, templates
from order_service.placing import new_order_id
from sagakit.message import message_id

Lines = dict[tuple[str, str], bytes]
PER_SECOND: Final = 100  # orders, by the times on their rows
_BOUNDS: Final = {
    "ORDERS": (1, 100_000_000),
    "SKUS": (10, 100_000),
    "LINES": (1, 50),
    "ZIPF": (0, 10),
    "SEED": (0, 1 << 62),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fill in; see `__main__`."""

    orders: int = 100_000
    skus: int = 1000
    lines: int = 3
    zipf: float = 0.0
    seed: int = 1

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Plan":
        """The plan that the settings ask for.

        Raises:
            ValueError: A setting is wrong; the message names it and says what is valid.
        """
        values: dict[str, Any] = {}
        for name, (least, most) in _BOUNDS.items():
            if raw := environ.get(name):
                kind = float if name == "ZIPF" else int
                try:
                    value = kind(raw)
                except ValueError:
                    value = least - 1
                if not least <= value <= most:
                    raise ValueError(f"{name}={raw} is not valid: expected a number from {least} to {most}")
                values[name.lower()] = value
        return cls(**values)


class Book:
    """All that is filled in. Orders are asked for in portions; the stock that they took stands at the end."""

    def __init__(self, plan: Plan, run: str | None = None) -> None:
        self._run = run or token_hex(4)
        self._dice = Random(plan.seed)
        self._products = products(plan.skus)
        self._baskets = iter(Baskets(self._products, plan.lines, plan.zipf, self._dice))
        self._templates: Mapping[str, Sequence[Template]] = {kind: templates(kind) for kind in KINDS}
        self._begin = datetime.now(UTC) - timedelta(hours=1, seconds=plan.orders // PER_SECOND)
        self._committed: Counter[str] = Counter()
        every = [one for found in self._templates.values() for one in found]
        self.columns: Mapping[tuple[str, str], Sequence[str]] = {(one.service, one.table): one.columns for one in every}

    def orders(self, first: int, count: int) -> Lines:
        """The rows of orders number `first` and following, as lines for COPY."""
        parts: dict[tuple[str, str], list[str]] = defaultdict(list)
        begin, epoch = "", 0.0
        kinds = self._dice.choices(list(KINDS), list(KINDS.values()), k=count)
        baskets = zip(range(first, first + count), kinds, islice(self._baskets, count), strict=True)
        for number, kind, basket in baskets:
            key = f"{self._run}-{number:012d}"
            second, hundredth = divmod(number, PER_SECOND)
            if not hundredth:
                moment = self._begin + timedelta(seconds=second)
                begin, epoch = f"{moment:%Y-%m-%d %H:%M:%S}", moment.timestamp()
            if kind == COMPLETED:
                self._committed.update(basket.quantities)
            gaps = {
                "order": new_order_id(epoch + hundredth / PER_SECOND),
                "customer": basket.customer,
                "key": key,
                "fingerprint": sha256(key.encode()).hexdigest(),
                "sku": min(basket.quantities),
                "total": basket.total,
                "checkout": basket.checkout,
                "lines": basket.lines,
                "time": f"{begin}.{hundredth:02d}",
            }
            for one in self._templates[kind]:
                parts[one.service, one.table].append(one.text % gaps)
        return {where: "".join(texts).encode() for where, texts in parts.items()}

    async def stock(self, at: Mapping[str, Any]) -> None:
        """Put in what was bought: each SKU that was sold is restocked by as much, so that what is available stays."""
        inventory, order = at["inventory"], at["order"]
        shelf = [(item.sku, item.name, item.price, CURRENCY) for item in self._products]
        await order.executemany("INSERT INTO catalogue VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", shelf)
        known = {row["sku"] for row in await inventory.fetch("SELECT sku FROM stock_items")}
        new = [(*item, 0, 0) for item in shelf if item[0] not in known]
        items = (
            "INSERT INTO stock_items (sku, name, price, currency, received, available) VALUES ($1, $2, $3, $4, $5, $6)"
        )
        await inventory.executemany(items, new)
        moves = []
        for item in self._products:
            spare = 0 if item.sku in known else AMPLE
            if quantity := self._committed[item.sku] + spare:
                moves.append((item.sku, quantity, spare, self._committed[item.sku]))
        await inventory.executemany(
            "UPDATE stock_items SET received = received + $2, available = available + $3, committed = committed + $4 "
            "WHERE sku = $1",
            moves,
        )
        received = [StockReceived(f"restock-{uuid.uuid4()}", sku, quantity) for sku, quantity, _, _ in moves]
        claims = [message_id(Restock(one.restock_id, one.sku, one.quantity)) for one in received]
        await inventory.executemany(
            "INSERT INTO inbox (id, claimed_at) VALUES ($1, $2)", [(c, self._begin) for c in claims]
        )
        await inventory.executemany(
            "INSERT INTO journal (id, subject, name, command, data, recorded_at) VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (
                    message_id(one),
                    one.subject,
                    "StockReceived",
                    claim,
                    INVENTORY.vocabulary.encode(one).decode(),
                    self._begin,
                )
                for one, claim in zip(received, claims, strict=True)
            ],
        )
