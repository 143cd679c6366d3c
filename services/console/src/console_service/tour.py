"""The seven steps of the tour, and which of them a customer's orders show to be done. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from console_service.acts import Act


@dataclass(frozen=True, slots=True)
class TourStep:
    """One thing to do and one thing to see.

    `order` is what the button orders, if there is one: fields of the checkout form. `go` is a page to go to instead.
    `seen` is the status and reason of an order that shows that the step is done, `act` what must be broken before it.
    """

    name: str
    title: str
    do: str
    see: str
    order: Mapping[str, str] = field(default_factory=dict)
    go: str = ""
    seen: tuple[str, str | None] | None = None
    act: str = ""


STEPS: Final = (
    TourStep(
        "place",
        "Place an order",
        "Buy an espresso cup with the good card.",
        "Stock, money and parcel are held one after another. The diamond is the decision; after it, all "
        "three settle at the same time.",
        {"sku": "espresso-cup", "token": "tok_visa"},
        seen=("COMPLETED", None),
    ),
    TourStep(
        "refuse",
        "Let the card be refused",
        "Buy it with a card that is declined.",
        "The refusal is an event like any other. It leads to the decision to cancel, and what was held "
        "is given back: the triangles.",
        {"sku": "espresso-cup", "token": "tok_declined"},
        seen=("CANCELLED", "PAYMENT_DECLINED"),
    ),
    TourStep(
        "cancel",
        "Cancel in flight",
        "Pay with the slow card, and press “Cancel the order” within three seconds.",
        "You, the deadline and the last hold compete for one decision. The provider's late answer is "
        "taken, and voided.",
        {"sku": "espresso-cup", "token": "tok_slow"},
        seen=("CANCELLED", "CUSTOMER_REQUESTED"),
    ),
    TourStep(
        "deadline",
        "Let it time out",
        "As the operator let the provider fail every call; as the customer buy something; wait for half a minute.",
        "At the deadline the order is cancelled although nobody knows what the provider has done. Heal "
        "the provider: what was in doubt is undone.",
        go="/break#provider",
        seen=("CANCELLED", "TIMED_OUT"),
    ),
    TourStep(
        "kill",
        "Kill a service",
        "As the operator let payment end at “after-commit”; as the customer buy something.",
        "The process ends after its commit and before its message is sent. It is started again, and the "
        "order completes: nothing was lost.",
        go="/break#service",
        seen=("COMPLETED", None),
        act="kill",
    ),
    TourStep(
        "duplicate",
        "Send everything twice",
        "As the operator let the messages of inventory be duplicated; as the customer buy something.",
        "The second copy of a message finds that it was handled. It has no effect, and is answered again. It comes "
        "within a second: load the page again, and it is marked at its step. With temporal-orchestration there is no "
        "mark: inventory answers Temporal directly, and sends no message that could be sent twice.",
        go="/break#messages",
        seen=("COMPLETED", None),
        act="duplicated",
    ),
    TourStep(
        "switch",
        "Switch the mode",
        "Run the command below in the checkout. Orders in flight go on.",
        "Place the same order again, and compare: the same steps, but other messages, and somebody else "
        "decides what comes next.",
        go="/compare",
    ),
)


def done(orders: Iterable[Mapping[str, Any]], acts: Iterable[Act] = ()) -> frozenset[str]:
    """The names of the steps that these orders show to be done, with what was broken before them."""
    broken = [(act.kind, act.at) for act in acts]

    def shows(order: Mapping[str, Any], step: TourStep) -> bool:
        placed = datetime.fromisoformat(order["created_at"])
        same = step.seen == (order["status"], order["cancellation_reason"])
        return same and (not step.act or any(kind == step.act and at <= placed for kind, at in broken))

    placed = list(orders)
    return frozenset(step.name for step in STEPS if any(shows(order, step) for order in placed))
