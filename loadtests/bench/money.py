"""What a million checkouts cost at list prices: the figures of a bench times a table of prices. Pure, but for its file.

The table (`prices.json`, or the file in PRICES) has for each price what it is of, its date and where it can be looked
up; a price without one of them is not used, and what needs it stays empty. CPU is planned for 60 % use, as in
`capacity`. Requests to a cloud's carrier are counted as if none was shared by several messages: an upper bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from loadtests.bench.capacity import USE
from loadtests.bench.storage import BadRecord
from loadtests.bench.summary import Summary
from loadtests.bench.tables import Table, figure

FILE: Final = Path(__file__).with_name("prices.json")
MILLION: Final = 1_000_000
HOUR: Final = 3_600_000.0
"""Milliseconds."""
CALLS_PER_DELIVERY: Final = 2
"""A message is received and deleted, or acknowledged."""
DELIVERIES: Final[Mapping[str, float]] = {"choreography": 10, "orchestration": 12}
"""Of one checkout, by the carriers that filter; docs/scaling.md derives them, and a test holds them there."""
ACTIONS: Final[Mapping[str, float]] = {"choreography": 4 + 4 + 10 + 8, "orchestration": 1 + 1 + 10}
"""Of one checkout over Temporal: workflows, a timer of each, activities, and signals (in a choreography).
Local activities count as others, though those of one workflow task are billed as one: an upper bound."""


@dataclass(frozen=True, slots=True)
class Price:
    """An `amount` for `per` units of `what`; `date` and `source` say since when and where it can be looked up."""

    name: str
    what: str
    amount: float | None
    per: float
    date: str | None
    source: str | None

    @property
    def each(self) -> float | None:
        """The price of one unit; None if it cannot be looked up."""
        return self.amount / self.per if self.amount is not None and self.date and self.source else None


@dataclass(frozen=True, slots=True)
class Prices:
    """A table of list prices in one currency."""

    currency: str
    prices: tuple[Price, ...]

    def __getitem__(self, name: str) -> float | None:
        """The price of one unit; None if there is none that can be looked up."""
        return next((price.each for price in self.prices if price.name == name), None)


@dataclass(frozen=True, slots=True)
class Money:
    """What a million checkouts cost; None where a price is missing."""

    services: float | None
    databases: float | None
    carrier: float | None


def read_prices(path: Path = FILE) -> Prices:
    """Read a table of prices.

    Raises:
        BadRecord: The file is missing, or no table of prices.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Prices)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadRecord(f"{path} is no table of prices: {error}") from None


def money(summary: Summary, prices: Prices) -> Money:
    """What a million checkouts cost in one mode."""
    return Money(
        services=_cpu(summary.services.median, prices["service"]),
        databases=_cpu(summary.databases.median, prices["database"]),
        carrier=_carrier(summary, prices),
    )


def table(summaries: Sequence[Summary], prices: Prices) -> Table:
    """The table of a million checkouts."""
    head = ["mode", "services", "databases", "carrier"]
    rows = []
    for one in summaries:
        of = money(one, prices)
        rows.append([f"`{one.label}`", *map(_text, (of.services, of.databases, of.carrier))])
    return Table(f"{prices.currency} per million checkouts", head, rows)


def sources(prices: Prices) -> Table:
    """The table of the prices, with what is missing."""
    rows = [
        [
            price.what,
            f"{price.amount:g}" if price.each is not None else "",
            price.date or "",
            price.source or "none that could be looked up with its date",
        ]
        for price in prices.prices
    ]
    return Table("Prices", ["what", prices.currency, "date", "source"], rows)


def _cpu(milliseconds: float, price: float | None) -> float | None:
    return None if price is None else milliseconds * MILLION / HOUR / USE * price


def _carrier(summary: Summary, prices: Prices) -> float | None:
    if summary.substrate == "kafka":
        return _cpu(summary.carrier.median, prices["kafka"])
    style = summary.mode.rpartition("-")[2]
    deliveries = DELIVERIES[style]
    # how often each price is paid for one checkout
    units: Mapping[str, Mapping[str, float]] = {
        "sns_sqs": {"sns_publish": summary.messages.median, "sqs_request": CALLS_PER_DELIVERY * deliveries},
        "pubsub": {"pubsub_byte": summary.message_bytes.median * (1 + deliveries / max(summary.messages.median, 1))},
        "temporal": {"temporal_action": ACTIONS[style]},
    }
    parts = [(count, prices[name]) for name, count in units[summary.substrate].items()]
    return sum(count * price for count, price in parts if price is not None) * MILLION if _all(parts) else None


def _all(parts: Sequence[tuple[float, float | None]]) -> bool:
    return all(price is not None for _, price in parts)


def _text(amount: float | None) -> str:
    return "" if amount is None else figure(amount)
