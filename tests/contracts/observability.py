"""`python -m tests.contracts.observability` writes the lists of metrics and spans in `docs/observability.md`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from quartet_stack.layout import REPOSITORY
from sagakit.settings import Settings
from sagakit.tracing import SPANS
from sagakit.web.connections import Connections
from tests.keys import PUBLIC_KEY
from tests.postgres import definition
from tests.service_process import assembled

PAGE: Final = REPOSITORY / "docs" / "observability.md"
CLIENT_LIBRARY: Final = ("process_", "python_")


class Metric(NamedTuple):
    """A metric: its name as it is scraped, its type, its labels, and what it says."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def registry() -> CollectorRegistry:
    """All metrics of the order service, which has those of all services; nothing is opened."""
    url = "postgresql+asyncpg://nobody@127.0.0.1:1/none"
    settings = Settings(token_public_keys=PUBLIC_KEY, service="order", coordination_mode="kafka", database_url=url)
    context = assembled(settings)
    definition("order").router(context)
    Connections(settings, context.metrics)
    return context.metrics.registry


def metrics() -> Iterator[Metric]:
    """All metrics: our own, and those that the client library has of the process."""
    for collector in registry()._collector_to_names:
        for family in collector.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield Metric(name, family.type, tuple(getattr(collector, "_labelnames", ())), family.documentation)


def table() -> str:
    """The list as the page has it."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in sorted(metrics())
        if not one.name.startswith(CLIENT_LIBRARY)
    ]
    return "\n".join(["| name | type | labels | what |", "| --- | --- | --- | --- |", *rows, ""])


def spans() -> str:
    """The names of the spans as the page has them."""
    rows = [f"| `{name}` | {what} |" for name, what in SPANS.items()]
    return "\n".join(["| span | what |", "| --- | --- |", *rows, ""])


def written(page: str) -> str:
    """The page with the lists of the present code."""
    for name, content in (("metrics", table()), ("spans", spans())):
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = page.partition(start)
        page = f"{before}{start}{content}{end}{rest.partition(end)[2]}"
    return page


def main(page: Path = PAGE) -> None:
    """Write the page."""
    page.write_text(written(page.read_text()))


if __name__ == "__main__":
    main()
