"""The two providers over HTTP.

Guarantee: an effect is on disk before the call is answered; a caller without an answer may repeat the call with the
same key.
"""

import logging
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from checkout import limits
from checkout.provider_rules import CARRIER, OPERATIONS, PAYMENT, QUIRKS
from provider_sandbox import records
from provider_sandbox.callers import Keys
from provider_sandbox.documents import CARRIER_CALL, GET_CALL, GET_FAULTS, LIST_LEDGER, PAYMENT_CALL, SET_FAULTS
from provider_sandbox.faults import Faults, FaultSettings
from provider_sandbox.ledger import Ledger
from provider_sandbox.provider import SandboxProvider
from sagakit.provider import ProviderCall
from sagakit.telemetry import Metrics
from sagakit.web.app import (
    DEFAULT_LIMIT,
    PRINTABLE,
    VISIBLE,
    WHOLE,
    Cursor,
    Draining,
    IdempotencyKey,
    Invalid,
    JsonResponse,
    Limit,
    NotFound,
    Problem,
    ShutdownSignal,
    decode_cursor,
    encode_cursor,
    page,
    require_admin,
)
from sagakit.web.streaming import disconnected

log = logging.getLogger(__name__)

HOLD: Final = 3.0  # seconds for which a lost answer keeps the connection

Payments = Annotated[str, Path(json_schema_extra={"enum": list(OPERATIONS[PAYMENT])})]
Carriage = Annotated[str, Path(json_schema_extra={"enum": list(OPERATIONS[CARRIER])})]


def calls(provider: SandboxProvider, faults: Faults, metrics: Metrics, keys: Keys, hold: float = HOLD) -> APIRouter:
    """The routes on which the services call the providers, and the one that tells what became of a call."""
    handlers = Calls(provider, faults, metrics, hold)
    may_pay, may_carry = [Depends(keys.only("payment"))], [Depends(keys.only("carrier"))]
    router = APIRouter()
    for path, handler, may, about in (
        ("/payment/{operation}", handlers.payment, may_pay, PAYMENT_CALL),
        ("/carrier/{operation}", handlers.carrier, may_carry, CARRIER_CALL),
    ):
        router.add_api_route(path, handler, methods=["POST"], dependencies=may, **about)
    may_audit = [Depends(require_admin)]
    router.add_api_route("/calls/{key:path}", handlers.recorded, methods=["GET"], dependencies=may_audit, **GET_CALL)
    return router


def oracle(ledger: Ledger) -> APIRouter:
    """The route on which the auditor reads the ledger."""
    router = APIRouter(dependencies=[Depends(require_admin)])

    async def entries(
        order_id: Annotated[Annotated[str, PRINTABLE] | None, Query(max_length=limits.ORDER_ID)] = None,
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> Response:
        """List the effects, oldest first, in pages."""
        after = decode_cursor(cursor, int)
        rows = await ledger.run(lambda db: records.entries(db, order_id, after[0] if after else 0, limit + 1))
        following = encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None
        return JsonResponse(page([record.entry() for record in rows[:limit]], following))

    router.add_api_route("/ledger", entries, methods=["GET"], **LIST_LEDGER)
    return router


def fault_control(faults: Faults) -> APIRouter:
    """The routes that show and set the faults."""
    router = APIRouter(dependencies=[Depends(require_admin)])

    def state() -> dict[str, Any]:
        return {**faults.settings.model_dump(), "fired": dict(faults.fired)}

    async def read() -> Response:
        """Show the faults that are set, and how often each has fired."""
        return JsonResponse(state())

    async def write(settings: FaultSettings) -> Response:
        """Replace the faults that are set; an empty object removes them."""
        faults.set(settings)
        return JsonResponse(state())

    router.add_api_route("/faults", read, methods=["GET"], **GET_FAULTS)
    router.add_api_route("/faults", write, methods=["PUT"], **SET_FAULTS)
    return router


class Amount(BaseModel):
    """An amount in minor units of a currency."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(ge=0, le=limits.AMOUNT, strict=True), WHOLE]
    currency: str = Field(pattern=limits.CURRENCY)


class CallBody(BaseModel):
    """The body of a call. Further members are ignored, except that a repeat must have the same."""

    model_config = ConfigDict(extra="allow")

    order_id: Annotated[str, Field(min_length=1, max_length=limits.ORDER_ID), PRINTABLE]
    amount: Amount | None = None
    token: Annotated[str, Field(min_length=1, max_length=limits.TOKEN), VISIBLE] | None = None
    country: Annotated[str, Field(pattern=limits.COUNTRY)] | None = None


class Silence(Response):
    """No answer: keep the connection until the client disconnects or `seconds` have passed, then close it."""

    def __init__(self, seconds: float, drain: ShutdownSignal) -> None:
        super().__init__()
        self._seconds, self._drain = seconds, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then leave the answer incomplete, which makes the server close the connection."""
        if not await self._drain.race(disconnected(receive), self._seconds):
            await send({"type": "http.response.start", "status": 504, "headers": [(b"content-length", b"1")]})
            await send({"type": "http.response.body", "body": b"", "more_body": True})


class Calls:
    """The handlers of the providers' routes. Their docstrings are shown in the interface's documentation."""

    def __init__(self, provider: SandboxProvider, faults: Faults, metrics: Metrics, hold: float) -> None:
        self._provider, self._faults, self._count, self._hold = provider, faults, metrics.provider_calls, hold

    async def payment(self, body: CallBody, key: IdempotencyKey, operation: Payments, drain: Draining) -> Response:
        """Authorize, capture (exactly what was authorized) or void. 409 is a defect of the caller."""
        return await self._call("payment", operation, key, body, drain)

    async def carrier(self, body: CallBody, key: IdempotencyKey, operation: Carriage, drain: Draining) -> Response:
        """Book, dispatch or cancel. 409 is a defect of the caller."""
        return await self._call("carrier", operation, key, body, drain)

    async def recorded(self, key: Annotated[str, Path(max_length=255), PRINTABLE]) -> Response:
        """Show the effect under a key. 404 is not an answer: the call may still be under way."""
        return JsonResponse((await self._provider.recorded(key)).answer())

    async def _call(self, party: str, operation: str, key: str, body: CallBody, drain: ShutdownSignal) -> Response:
        _check(party, operation, key, body)
        call = ProviderCall(key, party, operation, body.model_dump(exclude_none=True))
        try:
            await self._faults.before(operation)
            record, is_new = await self._provider.call(call)
        except Problem as problem:
            self._count.labels(party, operation, problem.code).inc()
            if problem.status in (409, 422):
                log.warning("the caller must not make this call", extra={"key": key, "code": problem.code})
            raise
        self._count.labels(party, operation, record.outcome if is_new else "repeat").inc()
        if is_new and QUIRKS.get(body.token or "") == "lose_first_answer":
            return Silence(self._hold, drain)
        if self._faults.loses_answer():
            return Silence(0, drain)
        return JsonResponse(record.answer())


def _check(party: str, operation: str, key: str, body: CallBody) -> None:
    if operation not in OPERATIONS[party]:
        raise NotFound(f"The operations of {party}: {', '.join(OPERATIONS[party])}.")
    if key != f"{body.order_id}/{operation}":
        raise Invalid("Idempotency-Key", "must be {order_id}/{operation}", "idempotency_key_invalid")
    if body.amount is None and operation in ("authorize", "capture"):
        raise Invalid("amount", "is required to authorize and to capture")
