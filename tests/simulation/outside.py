"""The outside world: a payment provider and a carrier with a ledger of their own.

Guarantee: the same key gets the same answer for ever, with one effect. A request that is invalid at this point of
an order's life is rejected and recorded: a correct system never sends one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sagakit.provider import ProviderCall, ProviderOutcome, ProviderRejected
from tests.simulation.sealed import decide_opened

# operation -> (what must have succeeded before, what must not)
_RULES: Final[Mapping[str, tuple[str, str]]] = {
    "capture": ("authorize", "void"),
    "void": ("authorize", "capture"),
    "dispatch": ("book", "cancel"),
    "cancel": ("book", "dispatch"),
}


@dataclass(frozen=True, slots=True)
class Deed:
    """One entry of the ledger: an effect for an order."""

    order_id: str
    operation: str
    outcome: str
    amount: tuple[int, str] | None
    key: str
    provider: str


@dataclass(slots=True)
class Outside:
    """Both providers. `keyed`: whether a repeated key is recognised, as every provider promises."""

    keyed: bool = True
    answers: dict[str, ProviderOutcome] = field(default_factory=dict)
    ledger: list[Deed] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    def copy(self) -> "Outside":
        return Outside(self.keyed, dict(self.answers), list(self.ledger), list(self.rejected))

    def ask(self, call: ProviderCall) -> ProviderOutcome:
        """The answer to `call`; raises ProviderRejected for one that is not allowed now."""
        if self.keyed and call.key in self.answers:
            return self.answers[call.key]
        order_id = str(call.payload["order_id"])
        needed, excluded = _RULES.get(call.operation, ("", ""))
        if needed and (not self.succeeded(order_id, needed) or self.succeeded(order_id, excluded)):
            self.rejected.append(call.key)
            raise ProviderRejected(call.key)
        outcome = decide_opened(call)
        self.note(call, outcome)
        return outcome

    def note(self, call: ProviderCall, outcome: ProviderOutcome) -> None:
        """Write down what an instant provider did inside a service's own transaction, or what `ask` did."""
        self.answers[call.key] = outcome
        money = call.payload.get("amount")
        amount = (int(money["amount"]), str(money["currency"])) if money else None
        order_id = str(call.payload["order_id"])
        self.ledger.append(Deed(order_id, call.operation, outcome.outcome, amount, call.key, call.provider))

    def deeds(self, order_id: str, operation: str) -> list[Deed]:
        """The successful ones."""
        return [
            deed
            for deed in self.ledger
            if deed.order_id == order_id and deed.operation == operation and deed.outcome == "ok"
        ]

    def succeeded(self, order_id: str, operation: str) -> bool:
        return bool(self.deeds(order_id, operation))
