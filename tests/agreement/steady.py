"""Scenarios that a real stack can be driven through, whose ends do not depend on timing.

Each has SKUs of its own, so that its effect on the stock is known although many run at the same time; those about
SCARCE share it, and run one after another. Where a cancellation has to come at a point that would be over in a
millisecond, the service that the order needs next is paused meanwhile (`HELD`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from tests.agreement.scenarios import SCARCE, Purchase, Scenario, body

HELD: Final = {"OrderPlaced": "inventory", "StockReserved": "payment", "PaymentAuthorized": "shipping"}
"""Where a customer cancels -> the service that is paused until then."""

AFTERWARDS: Final = ("OrderConfirmed", "OrderCompleted", "CancellationSettled")
_TOKENS: Final = (
    *("tok_visa",) * 12,
    *("tok_declined", "tok_insufficient_funds", "tok_of_no_bank"),
    *("tok_flaky", "tok_timeout", "tok_slow"),
)
_PLACES: Final = (
    *(
        ("LV", "Riga", "LV-1010"),
        ("DE", "Köln", "50667"),
        ("JP", "東京都", "100-0001"),
        ("BR", "São Paulo", "01000-000"),
    ),
    ("AQ", "McMurdo", "96599"),
)
_NAMES: Final = ("A. Customer", "Ó Súilleabháin, N.", "O'Neill", "李小龍", "x" * 100)


@dataclass(frozen=True, slots=True)
class Lanes:
    """`free` may run at the same time; of `held`, those of one point; `scarce` one after another."""

    free: tuple[Scenario, ...]
    held: Mapping[str, tuple[Scenario, ...]]
    scarce: tuple[Scenario, ...]

    @property
    def all(self) -> tuple[Scenario, ...]:
        return (*self.free, *(one for held in self.held.values() for one in held), *self.scarce)

    def share(self, which: int, of: int) -> "Lanes":
        """One of `of` shares, which together are all; each share has some scenarios of every kind."""

        def pick(lane: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
            return tuple(sorted(lane, key=_kind)[which::of])

        held = {point: pick(lane) for point, lane in self.held.items()}
        return Lanes(pick(self.free), held, pick(self.scarce))


def lanes(seed: int = 4, free: int = 172, held: int = 8, scarce: int = 8) -> Lanes:
    """The same arguments always give the same scenarios."""
    random = Random(f"steady {seed}")
    stock = (f"item-{number:04d}" for number in range(1, 1001))
    return Lanes(
        tuple(_free(random, stock, number) for number in range(free)),
        {point: tuple(_held(random, stock, point, number) for number in range(held)) for point in HELD},
        tuple(_scarce(random, number) for number in range(scarce)),
    )


def _kind(scenario: Scenario) -> tuple[str, ...]:
    # where it is cancelled, where it goes, how it is paid
    first = scenario.purchases[0]
    return first.cancel_at or "", first.body["shipping_address"]["country"], first.body["payment"]["token"]


def _free(random: Random, stock: Iterator[str], number: int) -> Scenario:
    purchase = Purchase(_request(random, stock))
    if number % 12 == 0:
        purchase = Purchase(body(_lines(random, stock), "tok_slow"), "PaymentAuthorizationRequested")
    elif random.random() < 0.25:
        purchase = replace(purchase, cancel_at=random.choice(AFTERWARDS))
    return Scenario(f"free {number}", 0, (purchase,))


def _held(random: Random, stock: Iterator[str], point: str, number: int) -> Scenario:
    late = point == "PaymentAuthorized"
    token = "tok_flaky" if number % 4 == 3 else "tok_visa"
    request = body(_lines(random, stock), token) if late else _request(random, stock)
    return Scenario(f"held at {point} {number}", 0, (Purchase(request, point),))


def _scarce(random: Random, number: int) -> Scenario:
    """Two or three customers order what there are up to four pieces of; some of them cannot pay."""
    tokens = [random.choice(("tok_visa", "tok_visa", "tok_declined")) for _ in range(random.choice((2, 3)))]
    purchases = tuple(Purchase(body({SCARCE: random.choice((1, 2, 3))}, token)) for token in tokens)
    return Scenario(f"scarce {number}", random.randint(0, 4), purchases)


def _request(random: Random, stock: Iterator[str]) -> Mapping[str, Any]:
    country, city, code = random.choice(_PLACES * 2 + _PLACES[:-1])
    request = dict(body(_lines(random, stock), random.choice(_TOKENS), country))
    address = {"city": city, "postal_code": code, "name": random.choice(_NAMES)}
    return {**request, "shipping_address": {**request["shipping_address"], **address}}


def _lines(random: Random, stock: Iterator[str]) -> Mapping[str, int]:
    return {next(stock): random.choice((1, 2, 3, 100)) for _ in range(random.choice((1, 1, 2, 4)))}
