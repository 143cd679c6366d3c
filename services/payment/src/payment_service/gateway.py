"""The payment provider: which private event asks for which call, and which command records the answer. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from payment_service.domain import (
    EndAuthorization,
    LateAuthorizationVoidRequested,
    PaymentAuthorizationRequested,
    PaymentCaptureRequested,
    PaymentVoidRequested,
    RecordAuthorization,
    RecordCapture,
    RecordVoid,
)
from sagakit.message import Command, Event
from sagakit.provider import ENDED_BY_OPERATOR, ProviderCall, ProviderOutcome, ProviderRejected
from sagakit.sealing import Sealer

PROVIDER = "payment"


def call(event: Event) -> ProviderCall | None:
    """The call that `event` asks for, or None; its idempotency key is `{order_id}/{operation}`."""
    match event:
        case PaymentAuthorizationRequested(order_id=order_id, checkout=checkout):
            total = checkout.total
            return _call(order_id, "authorize", total.amount, total.currency, token=checkout.payment_token)
        case PaymentCaptureRequested(order_id=order_id, amount=amount, currency=currency):
            return _call(order_id, "capture", amount, currency)
        case (
            PaymentVoidRequested(order_id=order_id, amount=amount, currency=currency)
            | LateAuthorizationVoidRequested(order_id=order_id, amount=amount, currency=currency)
        ):
            return _call(order_id, "void", amount, currency)
    return None


def opened(request: ProviderCall, sealer: Sealer) -> ProviderCall:
    """The call with its token opened, as the provider gets it. It must not be stored or logged."""
    token = request.payload.get("token")
    return request if token is None else replace(request, payload={**request.payload, "token": sealer.open(token)})


def outcome(request: ProviderCall, answer: ProviderOutcome) -> Command:
    """The internal command that records the provider's definitive answer.

    Raises:
        ProviderRejected: The provider refused a capture or a void, which it must not; a human has to see why.
    """
    order_id = str(request.payload["order_id"])
    if request.operation == "authorize":
        return RecordAuthorization(order_id, answer.outcome, answer.code or "")
    if answer.outcome != "ok":
        raise ProviderRejected(f"{request.key}: {answer.outcome} {answer.code}".rstrip())
    return (RecordCapture if request.operation == "capture" else RecordVoid)(order_id, answer.outcome)


def endings(request: ProviderCall) -> Mapping[str, Command]:
    """The outcomes that an operator may give to a call without an answer, each with its command.

    An authorization may be ended as declined. Whether money was captured or voided only the provider can say.
    """
    if request.operation != "authorize":
        return {}
    return {"declined": EndAuthorization(str(request.payload["order_id"]), ENDED_BY_OPERATOR)}


def _call(order_id: str, operation: str, amount: int, currency: str, **more: str) -> ProviderCall:
    payload = {"order_id": order_id, "amount": {"amount": amount, "currency": currency}, **more}
    return ProviderCall(f"{order_id}/{operation}", PROVIDER, operation, payload)
