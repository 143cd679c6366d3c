"""Texts of rows with gaps: the rows that an ending leaves, as lines of COPY, for any order, basket and time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from checkout import messages as m
from inventory_service.domain import Reservation
from inventory_service.store import RESERVATIONS_ROWS
from loadtests.fill.endings import At, Row, ending

GAPS: Final = ("order", "customer", "key", "fingerprint", "sku", "total", "checkout", "lines", "time")
"""What differs from one order to the next of the same kind."""
_TOTAL: Final = 987_654_321  # a number that occurs nowhere else
_SAMPLE: Final = m.Checkout(
    "<customer>",
    (m.Line("<sku>", 7, m.Money(_TOTAL // 7, "EUR")),),
    m.Money(_TOTAL, "EUR"),
    "<token>",
    m.Address("<name>", "<line1>", "<city>", "<postal_code>", "LV"),
)


@dataclass(frozen=True, slots=True)
class Template:
    """Lines for COPY into one table of one service; `text % gaps` fills them in."""

    service: str
    table: str
    columns: tuple[str, ...]
    text: str


def templates(kind: str) -> Sequence[Template]:
    """The templates of all rows of an order of this kind."""
    rows = ending(kind, m.PlaceOrder("<order>", "<key>", "<fingerprint>", _SAMPLE))
    return [
        Template(service, table, tuple(found[0]), "".join(_line(row) for row in found))
        for (service, table), found in rows.items()
    ]


def _line(row: Row) -> str:
    return "\t".join(_gapped(value) for value in row.values()) + "\n"


def _gapped(value: Any) -> str:
    if isinstance(value, At):
        return f"%(time)s{value.microseconds:04d}+00"
    text = cell(value).replace("%", "%%")
    for known, gap in _KNOWN.items():
        text = text.replace(known, f"%({gap})s")
    return text


def cell(value: object) -> str:
    """One value as COPY reads it."""
    if value is None:
        return r"\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _lines_of(checkout: m.Checkout) -> str:
    quantities = {line.sku: line.quantity for line in checkout.lines}
    return str(RESERVATIONS_ROWS.write(Reservation("", lines=quantities))["lines"])


_KNOWN: Final[Mapping[str, str]] = {  # the longest first, for they contain the others
    msgspec.json.encode(_SAMPLE).decode(): "checkout",
    _lines_of(_SAMPLE): "lines",
    str(_TOTAL): "total",
    **{f"<{gap}>": gap for gap in GAPS},
}
