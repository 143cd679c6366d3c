"""The breakdown as tables, for the page and for the terminal. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from loadtests.bench.tables import Table, figure
from loadtests.breakdown import groups
from loadtests.breakdown.kinds import KINDS
from loadtests.breakdown.record import Floor, Measured, Record
from loadtests.breakdown.shares import PROCESSES, by_kind, by_process, by_statement, samples, together
from quartet_stack.settings import SERVICES
from sagakit.modes import MODES

NONE_YET: Final = "Not measured yet on a quiet machine."
NO_FIGURE: Final = "–"


def tables(record: Record) -> Sequence[Table]:
    """One row for each mode that was measured: its rates, and its CPU by process, by kind of work, by statement."""
    modes = {name: record.modes[name] for name in MODES if name in record.modes}
    return (
        Table(
            "Throughput and floors",
            (
                *("mode", "clients", "settled a second", "p50, ms", "p99, ms", "of pgbench", "of the carrier's floor"),
                "settled a second while sampled",
            ),
            [_rates(name, measured) for name, measured in modes.items()],
        ),
        _table(
            "CPU for an order by process, ms", PROCESSES, {name: by_process(one.plain) for name, one in modes.items()}
        ),
        _table(
            "CPU for an order in the four services by kind of work, ms",
            KINDS,
            {name: together(one) for name, one in modes.items()},
        ),
        _table(
            "CPU for an order in the databases by statement, ms",
            groups.NAMES,
            {name: by_statement(one) for name, one in modes.items()},
        ),
    )


def inside(name: str, measured: Measured) -> Table:
    """The kinds of work in each service of one mode."""
    kinds = by_kind(measured)
    rows = [(kind, *(_milliseconds(kinds[service].get(kind, 0.0)) for service in SERVICES)) for kind in KINDS]
    rows.append(("samples", *(str(samples(measured, service)) for service in SERVICES)))
    return Table(f"{name}: CPU for an order by kind of work, ms", ("kind", *SERVICES), rows)


def markdown(record: Record) -> str:
    """The section of the page."""
    machine = record.machine
    busiest = max(record.modes.values(), key=lambda one: one.plain.disturbance.foreign, default=None)
    others = f"; other programs used {busiest.plain.disturbance.foreign:.0f} % of the CPU at most" if busiest else ""
    lines = [
        f"Made by `{record.command}` at {record.commit}: {machine.cores} cores ({machine.cpu}), PostgreSQL "
        f"{machine.postgresql}; `PROVIDERS=instant`, loads of {record.seconds:g} s, every audit clean{others}."
    ]
    for table in tables(record):
        lines += ["", f"**{table.title}**", "", table.markdown()]
    return "\n".join(lines)


def _table(title: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, float]]) -> Table:
    shown = [
        (
            f"`{name}`",
            *(_milliseconds(values.get(column, 0.0)) for column in columns),
            _milliseconds(sum(values.values())),
        )
        for name, values in rows.items()
    ]
    return Table(title, ("mode", *columns, "together"), shown)


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else figure(value)


def _rates(name: str, measured: Measured) -> Sequence[str]:
    load = measured.plain
    return (
        f"`{name}`",
        str(measured.clients),
        figure(load.rate),
        figure(load.p50),
        figure(load.p99),
        _of(measured.database_floor, load.rate),
        _of(measured.carrier_floor, load.rate),
        figure(measured.sampled.rate),
    )


def _of(floor: Floor | None, rate: float) -> str:
    """A rate as part of the floor's, with the floor's own rate and CPU."""
    if floor is None:
        return NO_FIGURE
    return f"{rate / floor.rate:.3g} of {figure(floor.rate)} at {figure(floor.cpu_ms)} ms"
