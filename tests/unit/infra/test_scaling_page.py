"""docs/scaling.md repeats the counts of docs/modes.md, and its arithmetic is right."""

import re

from checkout.topology import SUBSCRIPTIONS, topology_of
from quartet_stack.layout import REPOSITORY

PAGE = (REPOSITORY / "docs" / "scaling.md").read_text()
MODES = (REPOSITORY / "docs" / "modes.md").read_text()


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_costs_are_those_that_are_counted() -> None:
    counted = {row[0].strip("`"): (row[4], row[5]) for row in rows(MODES) if row[0].startswith("`")}
    said = {
        name: (row[1], row[2])
        for row in rows(PAGE)
        if row[0].startswith("`") and len(row) == 5
        for name in re.findall(r"`([a-z-]+)`", row[0])
    }
    assert said == {name: counted[name] for name in said}
    assert len(said) == len(counted) == 8


def test_deliveries_follow_from_the_subscriptions() -> None:
    hold = ["OrderPlaced", "StockReserved", "PaymentAuthorized", "ShipmentBooked", "OrderConfirmed"]
    settle = ["StockCommitted", "PaymentCaptured", "ShipmentDispatched", "OrderCompleted"]
    heard = [kind.__name__ for kinds in SUBSCRIPTIONS.values() for kind in kinds]
    assert sum(heard.count(event) for event in hold + settle) == 10
    assert len(hold + settle) == 9
    assert len(topology_of("orchestration").subscriptions) == 6


def test_the_arithmetic_of_three_sizes() -> None:
    table = {row[0]: row[1:] for row in rows(PAGE) if len(row) == 4}

    def numbers(cell: str) -> list[float]:
        return [float(text.replace(",", "")) for text in cell.split(" / ")]

    for name, per_order in (
        ("choreography: published / delivered", [9, 10]),
        ("broker orchestration: published / delivered", [12, 12]),
        ("Temporal orchestration: workflows / activities", [1, 10]),
        ("commands at the doors, without group commit: transactions", [15]),
        ("the same with *b* = 100", [0.15]),
        ("SNS/SQS: API calls at 10 messages each, publish + receive + delete", [2.9]),
    ):
        for cell, orders in zip(table[name], (1_000, 10_000, 100_000), strict=True):
            assert numbers(cell) == [round(one * orders) for one in per_order], name
