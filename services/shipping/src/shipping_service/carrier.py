"""The carrier: which private event asks for which call, and which command records the answer. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from checkout.messages import Address
from checkout.sealing import open_address
from sagakit.message import Command, Event
from sagakit.provider import ENDED_BY_OPERATOR, ProviderCall, ProviderOutcome, ProviderRejected
from sagakit.sealing import Sealer
from shipping_service.domain import (
    EndBooking,
    LateBookingCancellationRequested,
    RecordBooking,
    RecordCancellation,
    RecordDispatch,
    ShipmentBookingRequested,
    ShipmentCancellationRequested,
    ShipmentDispatchRequested,
)

PROVIDER = "carrier"


def call(event: Event) -> ProviderCall | None:
    """The call that `event` asks for, or None; its idempotency key is `{order_id}/{operation}`."""
    match event:
        case ShipmentBookingRequested(order_id=order_id, checkout=checkout):
            address = checkout.address
            if isinstance(address, Address):  # written before addresses were sealed, or without a key
                return _call(order_id, "book", country=address.country)
            return _call(order_id, "book", address=address)
        case ShipmentDispatchRequested(order_id=order_id):
            return _call(order_id, "dispatch")
        case ShipmentCancellationRequested(order_id=order_id) | LateBookingCancellationRequested(order_id=order_id):
            return _call(order_id, "cancel")
    return None


def opened(request: ProviderCall, sealer: Sealer) -> ProviderCall:
    """The call with its address opened and reduced to the country, as the carrier gets it. It must not be stored."""
    if "address" not in request.payload:
        return request
    payload = {name: value for name, value in request.payload.items() if name != "address"}
    return replace(request, payload={**payload, "country": open_address(request.payload["address"], sealer).country})


def outcome(request: ProviderCall, answer: ProviderOutcome) -> Command:
    """The internal command that records the carrier's definitive answer.

    Raises:
        ProviderRejected: The carrier refused a dispatch or a cancellation, which it must not; a human has to see why.
    """
    order_id = str(request.payload["order_id"])
    if request.operation == "book":
        return RecordBooking(order_id, answer.outcome, answer.code or "")
    if answer.outcome != "ok":
        raise ProviderRejected(f"{request.key}: {answer.outcome} {answer.code}".rstrip())
    return (RecordDispatch if request.operation == "dispatch" else RecordCancellation)(order_id, answer.outcome)


def endings(request: ProviderCall) -> Mapping[str, Command]:
    """The outcomes that an operator may give to a call without an answer, each with its command.

    A booking may be ended as refused. Whether a parcel was dispatched or cancelled only the carrier can say.
    """
    if request.operation != "book":
        return {}
    return {"refused": EndBooking(str(request.payload["order_id"]), ENDED_BY_OPERATOR)}


def _call(order_id: str, operation: str, **more: str) -> ProviderCall:
    return ProviderCall(f"{order_id}/{operation}", PROVIDER, operation, {"order_id": order_id, **more})
