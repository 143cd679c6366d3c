"""Orders of one shape share one verdict: the checks judge the first of them, and hold for all.

The shape of an order is everything that is known about it, with its own values replaced by marks: its id, its checkout,
its customer and key, its total. What is left, and whether values that must be equal are equal, decides every check of a
single order; so two orders of the same shape differ in nothing that a check reads, except

- the checkout itself, which is therefore read here for each order (`_values`), and
- times, of which a check only asks whether a cause came after its effect. The questions that were asked of the first
  order are asked of each other one, and the answers must be the same (`Verdict.holds`).

An order that has no shape (a value is odd), a shape with a violation, or other answers is judged by itself. The tests
hold this against the plain verdict, for all mutants.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import msgspec

from checkout.messages import Checkout
from checkout_audit.outcomes import adds_up, lines_of
from checkout_audit.report import Report
from checkout_audit.sources import CELL, ORDERS, PAYMENTS, RESERVATIONS, ROW, SHIPMENTS, SOURCES, TIME, Bundle

ID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PLAIN: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.:@_-]{0,199}")
"""A customer, a key or a fingerprint that JSON and COPY write as it is, and that is no word of any table."""
_LEDGERS: Final = tuple(at for at, source in enumerate(SOURCES) if source.table.name == "ledger")
_JOURNAL: Final = {source.service: at for at, source in enumerate(SOURCES) if source.table.name == "journal"}
_MISSING: Final = re.compile(rb'"missing":\[(?:"[A-Za-z0-9._-]+",?)*\]')
_RESTOCK: Final = re.compile(rb"restock-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RECEIVED: Final = re.compile(rb'"sku":"[A-Za-z0-9._-]+","quantity":\d{1,18}}')
_checkout: Final = msgspec.json.Decoder(Checkout)
_FIELDS: Final = 5  # the last columns of an order: key, fingerprint, checkout, customer


@dataclass(frozen=True, slots=True)
class Values:
    """An order's own values: what its shape leaves out and a sum needs."""

    customer: bytes
    key: bytes
    total: int
    currency: str
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether the time in one place came after the time in another one; a place is that of its first digit."""

    cause: int
    effect: int
    answer: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks said of the first order of a shape, which times they compared, and how it holds its lines."""

    report: Report
    asked: tuple[Asked, ...]
    held: str = ""

    def holds(self, times: bytes, tolerance: int) -> bool:
        """Whether the same questions have the same answers; `tolerance` is in microseconds."""
        for one in self.asked:
            cause, effect = times[one.cause : one.cause + TIME], times[one.effect : one.effect + TIME]
            late = cause > effect and _microseconds(cause) > _microseconds(effect) + tolerance
            if late is not one.answer:
                return False
        return True


@dataclass(slots=True)
class Shapes:
    """The shapes that were judged and found clean."""

    tolerance: timedelta
    known: dict[bytes, list[Verdict]] = field(default_factory=dict)

    def verdict(self, shape: bytes, times: bytes) -> Verdict | None:
        """The verdict on an order of this shape with these times; None if there is none yet."""
        for verdict in self.known.get(shape, ()):
            if verdict.holds(times, self.tolerance // timedelta(microseconds=1)):
                return verdict
        return None

    def keep(self, shape: bytes, verdict: Verdict) -> None:
        """Keep a verdict without violations for those to come."""
        self.known.setdefault(shape, []).append(verdict)


def shape_of(subject: bytes, bundle: Bundle) -> tuple[bytes, Values] | None:
    """The shape of an order and its own values; None if it has to be judged by itself."""
    parts = list(bundle.parts)
    fields = parts[ORDERS].rsplit(CELL, 4)
    if len(fields) < _FIELDS or ROW in parts[ORDERS] or not ID.fullmatch(subject):
        return None
    head, key, fingerprint, checkout, customer = fields
    values = _values(key, checkout, customer)
    if values is None or not (PLAIN.fullmatch(key) and PLAIN.fullmatch(fingerprint) and PLAIN.fullmatch(customer)):
        return None
    parts[ORDERS] = head
    mine = CELL + customer
    lines = CELL + msgspec.json.encode(values.lines)
    if parts[RESERVATIONS].endswith(mine):
        parts[RESERVATIONS] = _marked(_marked(parts[RESERVATIONS], mine, b"\3"), lines + b"\3", b"\4\3")
    money = CELL + b"%d" % values.total + CELL + values.currency.encode()
    parts[PAYMENTS] = _marked(parts[PAYMENTS], mine, b"\3")
    for paid, mark in ((checkout, b"\2\3"), (b"", b"\7\3")):  # a pruned payment has no checkout
        parts[PAYMENTS] = _marked(parts[PAYMENTS], money + CELL + paid + b"\3", b"\5" + mark)
    parts[SHIPMENTS] = _marked(parts[SHIPMENTS], mine, b"\3")
    for at in (*_LEDGERS, len(SOURCES)):
        parts[at] = (parts[at] + ROW).replace(money + ROW, b"\5" + ROW)
    journal = _JOURNAL["order"]
    named = b'"idempotency_key":"%s","fingerprint":"%s"' % (key, fingerprint)
    parts[journal] = parts[journal].replace(named, b"\6")
    journal = _JOURNAL["payment"]
    amount = b'"amount":%d,"currency":"%s"' % (values.total, values.currency.encode())
    parts[journal] = parts[journal].replace(checkout, b"\2").replace(amount, b"\5")
    if b'"missing":[' in parts[_JOURNAL["inventory"]]:
        refused = _MISSING.sub(b"\7", parts[_JOURNAL["inventory"]])
        parts[_JOURNAL["inventory"]] = refused.replace(b'"customer":"%s"' % customer, b"\3")
    text = b"\0".join(parts)
    return text.replace(checkout, b"\2").replace(subject, b"\1"), values


def restock_of(subject: bytes, bundle: Bundle) -> tuple[bytes, tuple[str, int]] | None:
    """The shape of a restock, and what came in; None if it has to be judged by itself."""
    journal = bundle.parts[_JOURNAL["inventory"]]
    if not _RESTOCK.fullmatch(subject) or len(found := _RECEIVED.findall(journal)) != 1:
        return None
    text = b"\0".join(bundle.parts).replace(found[0], b"\7").replace(subject, b"\1")
    received = msgspec.json.decode(b"{" + found[0])
    return text, (received["sku"], received["quantity"])


def _marked(text: bytes, end: bytes, mark: bytes) -> bytes:
    return text[: -len(end)] + mark if text.endswith(end) else text


def _values(key: bytes, checkout: bytes, customer: bytes) -> Values | None:
    """What the checks read in a checkout, if they find it in order."""
    if b"\\" in checkout:
        return None
    try:
        read = _checkout.decode(checkout)
    except msgspec.MsgspecError:
        return None
    if not adds_up(read) or read.customer.encode() != customer:
        return None
    return Values(customer, key, read.total.amount, read.total.currency, lines_of(read))


def _microseconds(time: bytes) -> int:
    return int(time, 16)
