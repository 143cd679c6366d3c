"""The port to the payment provider: which private event asks for which call, and what its answer means. Pure."""

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
    """The call that `event` asks for; its key is `{order_id}/{operation}`."""
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


def opened(made: ProviderCall, sealer: Sealer) -> ProviderCall:
    """The call as the provider is to get it, with the token in clear: of that nothing is written down."""
    token = made.payload.get("token")
    return made if token is None else replace(made, payload={**made.payload, "token": sealer.open(token)})


def outcome(made: ProviderCall, answer: ProviderOutcome) -> Command:
    """The internal command that brings the provider's definitive answer through the door.

    A refusal to authorize is an answer; of anything later it is not, a human has to see why: raises ProviderRejected.
    """
    order_id = str(made.payload["order_id"])
    if made.operation != "authorize" and answer.outcome != "ok":
        raise ProviderRejected(f"{made.key}: {answer.outcome} {answer.code}".rstrip())
    if made.operation == "authorize":
        return RecordAuthorization(order_id, answer.outcome, answer.code or "")
    if made.operation == "capture":
        return RecordCapture(order_id, answer.outcome)
    return RecordVoid(order_id, answer.outcome)


def endings(made: ProviderCall) -> Mapping[str, Command]:
    """How an operator may end a call that gets no answer: an authorization as declined.

    Nothing else: money that was taken or let go is what the provider says it is.
    """
    if made.operation != "authorize":
        return {}
    return {"declined": EndAuthorization(str(made.payload["order_id"]), ENDED_BY_OPERATOR)}


def _call(order_id: str, operation: str, amount: int, currency: str, **more: str) -> ProviderCall:
    payload = {"order_id": order_id, "amount": {"amount": amount, "currency": currency}, **more}
    return ProviderCall(f"{order_id}/{operation}", PROVIDER, operation, payload)
