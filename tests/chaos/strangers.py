"""Forges a well-formed message about an order that nobody placed: participants act on it."""

from collections.abc import Mapping

import msgspec

from checkout.messages import (
    PUBLIC,
    Address,
    AuthorizePayment,
    Checkout,
    Line,
    Money,
    OrderPlaced,
    StockReserved,
)
from sagakit.envelope import Envelope, encode
from sagakit.message import Message
from sagakit.modes import MODES
from sagakit.topology import CHOREOGRAPHY, commands_channel, events_channel
from tests.chaos.poison import to_kafka, to_pubsub, to_sqs


def checkout(customer: str) -> Checkout:
    """A basket that can be paid for and delivered."""
    address = Address("A. Customer", "1 Main St", "Riga", "LV-1010", "LV")
    return Checkout(customer, (Line("espresso-cup", 1, Money(1200, "EUR")),), Money(1200, "EUR"), "tok_visa", address)


async def forge(stack: Mapping[str, str], mode: str, order_id: str) -> None:
    """Make payment authorize money for `order_id`, with all that follows from it."""
    spec, basket = MODES[mode], checkout("nobody")
    choreographed = spec.style == CHOREOGRAPHY
    if spec.substrate == "temporal":
        await _temporal(stack, choreographed, order_id, basket)
        return
    message: Message = StockReserved(order_id, basket) if choreographed else AuthorizePayment(order_id, basket)
    body = encode(Envelope(message, "stranger", cause=f"{order_id}/StockReserved"), PUBLIC)
    channel = events_channel(CHOREOGRAPHY, "inventory") if choreographed else commands_channel("payment")
    if spec.substrate == "sns_sqs":
        await to_sqs(stack, spec.style, [("payment", body)])
    elif spec.substrate == "kafka":
        await to_kafka(stack, [(channel, body)])
    else:
        await to_pubsub(stack, [(channel, body)])


async def _temporal(stack: Mapping[str, str], choreographed: bool, order_id: str, basket: Checkout) -> None:
    from temporalio.client import Client

    from sagakit.modes.temporal.wire import CONVERTER

    client = await Client.connect(
        stack["TEMPORAL_ADDRESS"], namespace=stack.get("TEMPORAL_NAMESPACE", "default"), data_converter=CONVERTER
    )

    def note(message: Message) -> dict[str, object]:
        return {"type": type(message).__name__, "data": msgspec.Raw(PUBLIC.encode(message)), "cause": None}

    start = {"note": None, "retry_initial": 0.1, "retry_max": 1.0, "deadline": 30.0}
    if choreographed:
        await client.start_workflow(
            "Reactions",
            start,
            id=f"payment/{order_id}",
            task_queue="quartet-payment",
            start_signal="heard",
            start_signal_args=[note(StockReserved(order_id, basket))],
        )
    else:
        placed = note(OrderPlaced(order_id, basket, "no-key", "no-fingerprint"))
        await client.start_workflow("Saga", {**start, "note": placed}, id=order_id, task_queue="quartet-order")
