"""A few numbers from the services' metrics: counters and sums in the Prometheus text format. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_SAMPLE: Final = re.compile(
    r"(?P<name>[a-z_]+)(?:\{(?P<labels>[^}\n]{0,400})\})? (?P<value>[0-9.eE+-]+)$", re.MULTILINE
)
_LABEL: Final = re.compile(r'([a-z_]+)="([^"]*)"')
ENDS: Final = {"OrderPlaced": "placed", "OrderCompleted": "completed", "CancellationSettled": "cancelled"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one metric."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str, names: Iterable[str]) -> list[Sample]:
    """The samples of the named metrics."""
    wanted = set(names)
    return [
        Sample(found["name"], dict(_LABEL.findall(found["labels"] or "")), float(found["value"]))
        for found in _SAMPLE.finditer(text)
        if found["name"] in wanted
    ]


def totals(text: str) -> dict[str, float]:
    """What one service has done since it started.

    `commands` and `transactions` are counts, `seconds` the time in transactions, `published` and `dead` messages,
    `calls` those to providers; for the order service also how many orders were placed, completed and cancelled.
    """
    names = (
        "saga_commands_total",
        "saga_transaction_seconds_count",
        "saga_transaction_seconds_sum",
        "saga_outbox_published_total",
        "saga_dead_letters_total",
        "saga_provider_calls_total",
    )
    short = dict(zip(names, ("commands", "transactions", "seconds", "published", "dead", "calls"), strict=True))
    found = dict.fromkeys((*short.values(), *ENDS.values()), 0.0)
    for sample in samples(text, names):
        found[short[sample.name]] += sample.value
        if sample.name == "saga_commands_total" and (end := ENDS.get(sample.labels.get("outcome", ""))):
            found[end] += sample.value
    return found
