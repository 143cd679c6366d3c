"""Writes the dashboards of Grafana: `python infra/observability/dashboards.py`. A test fails when a file differs.

A dashboard is a title and rows of panels; a panel is a title, a unit and its queries, each with a legend.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "grafana" / "dashboards"
WIDTH: Final = 24  # columns of Grafana's grid
HEIGHT: Final = 8
DATASOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
STYLE: Final = "* on (instance) group_left (style, mode) saga_process_info"


@dataclass(frozen=True)
class Panel:
    """A graph. `unit` is one of Grafana's; `queries` are expressions and the legends of their series."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Dashboard:
    """A page of rows of panels; the panels of a row share its width."""

    name: str
    title: str
    rows: Sequence[Sequence[Panel]]


def rate(metric: str, by: str = "service", where: str = "") -> str:
    """The sum of a counter's rates, for each value of the labels `by`."""
    return f"sum by ({by}) (rate({metric}{where}[5m]))"


def quantile(share: float, histogram: str, by: str, where: str = "") -> str:
    """The quantile of a histogram of durations, for each value of the labels `by`."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', f'{by}, le', where)})"


def styled(metric: str, by: str = "style, mode", where: str = "") -> str:
    """As `rate`, with the labels `style` and `mode` of the processes."""
    return f"sum by ({by}) (rate({metric}{where}[5m]) {STYLE})"


DECIDED: Final = '{event=~"OrderConfirmed|OrderCancelled"}'
ENDED: Final = '{event=~"OrderCompleted|CancellationSettled"}'
PER_ORDER: Final = styled("saga_seconds_count", where=DECIDED)
BOTH: Final = "{{style}} {{mode}}"

DASHBOARDS: Final = (
    Dashboard(
        "overview",
        "Quartet: overview",
        (
            (
                Panel("Orders started", "reqps", [("saga:started:rate5m", "started")]),
                Panel("Orders decided", "reqps", [("saga:decided:rate5m", "{{outcome}}")]),
                Panel("Orders not settled", "short", [("saga:unsettled:max", "{{status}}")]),
            ),
            (
                Panel("Share of server errors", "percentunit", [("slo:availability_errors:ratio", "{{window}}")]),
                Panel("Share of late decisions", "percentunit", [("slo:latency_errors:ratio", "{{window}}")]),
                Panel("Oldest order not settled", "s", [("saga:unsettled_oldest_seconds:max", "oldest")]),
            ),
            (
                Panel("Needs a human", "short", [("max by (service, kind) (saga_attention)", "{{service}} {{kind}}")]),
                Panel("Dependencies", "short", [("min by (service, name) (dependency_up)", "{{service}} {{name}}")]),
                Panel("Refused because of overload", "reqps", [(rate("admission_refused_total"), "{{service}}")]),
            ),
        ),
    ),
    Dashboard(
        "saga",
        "Quartet: the saga",
        (
            (
                Panel("From placed, p50", "s", [(quantile(0.5, "saga_seconds", "event"), "{{event}}")]),
                Panel("From placed, p99", "s", [(quantile(0.99, "saga_seconds", "event"), "{{event}}")]),
                Panel("To the end, p99", "s", [(quantile(0.99, "saga_seconds", "outcome", ENDED), "{{outcome}}")]),
            ),
            (
                Panel("Compensations", "reqps", [("saga:compensations:rate5m", "{{name}}")]),
                Panel("Lost races at the pivot", "reqps", [("saga:pivot_races_lost:rate5m", "lost")]),
                Panel("Ends", "reqps", [("saga:ended:rate5m", "{{event}}")]),
            ),
            (
                Panel("Commands in a transaction", "short", [("service:batch_size:mean5m", "{{service}}")]),
                Panel("Commands handled before", "percentunit", [("service:inbox_hits:ratio5m", "{{service}}")]),
                Panel("Delivery lag", "s", [("max by (service) (saga_delivery_lag_seconds)", "{{service}}")]),
            ),
            (
                Panel("Outbox: rows", "short", [("max by (service, kind) (saga_outbox_rows)", "{{service}} {{kind}}")]),
                Panel("Outbox: oldest", "s", [("service:outbox_oldest_seconds:max", "{{service}} {{kind}}")]),
                Panel(
                    "Calls to providers",
                    "reqps",
                    [(rate("saga_provider_calls_total", "operation, outcome"), "{{operation}} {{outcome}}")],
                ),
            ),
        ),
    ),
    Dashboard(
        "services",
        "Quartet: requests and processes",
        (
            (
                Panel("Requests", "reqps", [("sum by (route) (service:http_requests:rate5m)", "{{route}}")]),
                Panel(
                    "Errors",
                    "reqps",
                    [('sum by (route, status) (service:http_requests:rate5m{status=~"5.."})', "{{route}} {{status}}")],
                ),
                Panel("Duration, p99", "s", [("service:http_request_seconds:p99_5m", "{{service}} {{route}}")]),
            ),
            (
                Panel("Requests under way", "short", [("sum by (service) (http_in_flight)", "{{service}}")]),
                Panel("Processor", "percentunit", [(rate("process_cpu_seconds_total"), "{{service}}")]),
                Panel("Memory", "bytes", [("sum by (service) (process_resident_memory_bytes)", "{{service}}")]),
            ),
            (
                Panel(
                    "Transactions, p99", "s", [(quantile(0.99, "saga_transaction_seconds", "service"), "{{service}}")]
                ),
                Panel("Dead letters", "reqps", [(rate("saga_dead_letters_total"), "{{service}}")]),
                Panel("Tasks restarted", "reqps", [(rate("background_restarts_total", "task"), "{{task}}")]),
            ),
        ),
    ),
    Dashboard(
        "styles",
        "Quartet: choreography against orchestration",
        (
            (
                Panel("Orders decided", "reqps", [(PER_ORDER, BOTH)]),
                Panel(
                    "From placed to decided, p99",
                    "s",
                    [(f"histogram_quantile(0.99, {styled('saga_seconds_bucket', 'style, mode, le', DECIDED)})", BOTH)],
                ),
            ),
            (
                Panel("Processor per order", "s", [(f"{styled('process_cpu_seconds_total')} / {PER_ORDER}", BOTH)]),
                Panel(
                    "Messages per order", "short", [(f"{styled('saga_outbox_published_total')} / {PER_ORDER}", BOTH)]
                ),
            ),
            (
                Panel("Commands per order", "short", [(f"{styled('saga_commands_total')} / {PER_ORDER}", BOTH)]),
                Panel("Commands handled before", "reqps", [(styled("saga_inbox_hits_total"), BOTH)]),
            ),
        ),
    ),
)


def rendered(dashboard: Dashboard) -> Mapping[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": f"quartet-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["quartet"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": list(_panels(dashboard.rows)),
    }


def _panels(rows: Sequence[Sequence[Panel]]) -> Iterator[Mapping[str, Any]]:
    number = 0
    for y, row in enumerate(rows):
        width = WIDTH // len(row)
        for x, panel in enumerate(row):
            number += 1
            yield {
                "id": number,
                "type": "timeseries",
                "title": panel.title,
                "datasource": DATASOURCE,
                "gridPos": {"x": x * width, "y": y * HEIGHT, "w": width, "h": HEIGHT},
                "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "expr": query, "legendFormat": legend}
                    for at, (query, legend) in enumerate(panel.queries)
                ],
            }


def text_of(dashboard: Dashboard) -> str:
    """The content of the dashboard's file."""
    return json.dumps(rendered(dashboard), indent=2) + "\n"


if __name__ == "__main__":
    for one in DASHBOARDS:
        (FOLDER / f"{one.name}.json").write_text(text_of(one))
