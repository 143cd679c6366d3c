"""The report for a terminal: a table of the invariants, what there was to check, and what violates them."""

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from checkout_audit.report import Finding, Report

SHOWN: Final = 20  # subjects per invariant


def show(report: Report, console: Console) -> None:
    """Print the report."""
    console.print(_table(report))
    console.print(_counts(report))
    for note in report.notes:
        console.print(f"[yellow]note:[/] {escape(note)}")
    for finding in report.findings:
        _violations(finding, console)
    if report.vacuous:
        console.print("[bold yellow]0 orders: NOTHING WAS CHECKED. Place some, then audit again.[/]")
    elif report.consistent:
        total = sum(report.tally.orders.values())
        console.print(f"[bold green]consistent[/]: {total:,} orders in {report.seconds:.1f} s")
    else:
        numbers = ", ".join(map(str, sorted(report.violated)))
        console.print(f"[bold red]INCONSISTENT[/]: violated: {numbers}")


def _table(report: Report) -> Table:
    table = Table(title="Consistency audit", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("invariant", no_wrap=True)
    table.add_column("meaning")
    table.add_column("checked", justify="right", no_wrap=True)
    table.add_column("violations", justify="right", no_wrap=True)
    for finding in report.findings:
        style = "red" if finding.violated else "" if finding.judged else "dim"
        table.add_row(
            str(finding.invariant.number),
            finding.invariant.name,
            finding.invariant.meaning,
            f"{finding.checked:,}" if finding.judged else "no history",
            f"{finding.violated:,}" if finding.judged else "-",
            style=style,
        )
    return table


def _counts(report: Report) -> Table:
    tally = report.tally
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("orders", _listed(tally.orders))
    table.add_row("cancelled", _listed(tally.cancelled))
    table.add_row("compensations", _listed(tally.compensations))
    table.add_row("races", _listed(tally.races))
    table.add_row("events", f"{sum(tally.events.values()):,} recorded, of {len(tally.events)} kinds")
    money = ", ".join(f"{amount / 100:,.2f} {currency}" for currency, amount in sorted(tally.captured.items()))
    table.add_row("captured", money or "nothing")
    return table


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def _violations(finding: Finding, console: Console) -> None:
    if not finding.violated:
        return
    console.print(f"\n[bold red]{finding.invariant.number}. {finding.invariant.name}[/]: {finding.invariant.meaning}")
    subjects: dict[str, list[str]] = {}
    for violation in finding.violations:
        subjects.setdefault(violation.subject, []).append(violation.what)
    for subject, whats in list(subjects.items())[:SHOWN]:
        console.print(f"  [bold]{escape(subject)}[/]", highlight=False, soft_wrap=True)
        for what in whats:
            console.print(f"    {escape(what)}", highlight=False, soft_wrap=True)
    if (more := finding.violated - sum(len(whats) for whats in list(subjects.values())[:SHOWN])) > 0:
        console.print(f"  … and {more:,} more violations; FORMAT=json lists up to 1,000")
