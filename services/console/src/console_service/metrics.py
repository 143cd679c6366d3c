"""A few numbers from the services' metrics: counters and sums in the Prometheus text format. Pure."""

from typing import Final

from prometheus_client.parser import text_string_to_metric_families

ENDS: Final = {"OrderPlaced": "placed", "OrderCompleted": "completed", "CancellationSettled": "cancelled"}


def totals(text: str) -> dict[str, float]:
    """What one service has done since it started.

    `commands` and `transactions` are counts, `seconds` the time in transactions, `published` and `dead` messages,
    `calls` those to providers; for the order service also how many orders were placed, completed and cancelled. Two are
    of the moment: `waiting` messages in the outbox, and `lag`, how many seconds old what came last from the broker was.
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
    short |= {"saga_outbox_rows": "waiting", "saga_delivery_lag_seconds": "lag"}
    found = dict.fromkeys((*short.values(), *ENDS.values()), 0.0)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in short:
                found[short[sample.name]] += sample.value
            if sample.name == "saga_commands_total" and (end := ENDS.get(sample.labels.get("outcome", ""))):
                found[end] += sample.value
    return found
