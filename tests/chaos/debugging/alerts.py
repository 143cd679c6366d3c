"""Which alerts of infra/observability would fire, and what else the metrics of the four services show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.debugging.model import Sight, Source

ENOUGH: Final = 20.0
"""A ratio of fewer says nothing."""

SERIES: Final = (
    "saga_commands_total",
    "saga_provider_calls_total",
    "saga_dead_letters_total",
    "saga_inbox_hits_total",
    "saga_seconds_count",
    "background_restarts_total",
)
"""Counters whose labels tell what happened: one that counts only with the bug is a symptom."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert as a threshold on the largest value of `top`, or on the ratio of the sums of `top` and `bottom`.

    `label` matches `pattern` in what is counted above.
    """

    alert: str
    top: str
    threshold: float
    bottom: str = ""
    label: str = ""
    pattern: str = ""


RULES: Final = (
    Rule("OrdersDoNotSettle", "saga_unsettled_oldest_seconds", 60),
    Rule("OutboxDoesNotDrain", "saga_outbox_oldest_seconds", 30),
    Rule("MessagesArriveLate", "saga_delivery_lag_seconds", 10),
    Rule("NeedsAttention", "saga_attention", 0),
    Rule("TaskFails", "background_failing", 0),
    Rule("OrdersRefused", "admission_refused_total", 0),
    Rule("ManyDuplicates", "saga_inbox_hits_total", 0.2, "saga_commands_total"),
    Rule(
        "ProviderCallsFail",
        "saga_provider_calls_total",
        0.2,
        "saga_provider_calls_total",
        "outcome",
        "unknown|rejected",
    ),
)
"""The alerts whose thresholds one look can judge. Left out: those on a share of all orders (the load is chosen so that
many are cancelled), on a budget over days, and on a part that is away, which no planted bug brings about."""


def samples(text: str) -> list[Sample]:
    """The samples in what `/metrics` answered."""
    return [
        Sample(one.name, one.labels, one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    ]


def sights(service: str, found: Sequence[Sample], at: float) -> Iterator[Sight]:
    """The alerts whose threshold a service has crossed, and the counters of SERIES that count."""
    for rule in RULES:
        if _crossed(rule, found):
            yield Sight(at, Source.ALERT, rule.alert, service)
    for one in found:
        if one.name in SERIES and one.value:
            labels = ", ".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
            yield Sight(at, Source.METRIC, f"{one.name}: {labels}", service, one.labels.get("name", ""))


def _crossed(rule: Rule, found: Sequence[Sample]) -> bool:
    top = [
        one.value
        for one in found
        if one.name == rule.top and (not rule.label or re.fullmatch(rule.pattern, one.labels[rule.label]))
    ]
    if not rule.bottom:
        return max(top, default=0.0) > rule.threshold
    bottom = sum(one.value for one in found if one.name == rule.bottom)
    return bottom >= ENOUGH and sum(top) / bottom > rule.threshold
