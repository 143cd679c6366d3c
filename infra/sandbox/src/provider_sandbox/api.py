"""The HTTP face of the two providers.

Guarantee: an effect is recorded before anything is answered; whoever hears nothing may call again with the
same key.
"""

import logging
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from checkout import limits
from checkout.provider_rules import OPERATIONS, QUIRKS
from provider_sandbox import records
from provider_sandbox.callers import Keys
from provider_sandbox.faults import Faults, FaultSettings
from provider_sandbox.ledger import Ledger
from provider_sandbox.provider import SandboxProvider
from sagakit.provider import ProviderCall
from sagakit.telemetry import Metrics
from sagakit.web.app import (
    DEFAULT_LIMIT,
    PRINTABLE,
    VISIBLE,
    Cursor,
    IdempotencyKey,
    Invalid,
    JsonResponse,
    Limit,
    NotFound,
    Principal,
    Problem,
    ShutdownSignal,
    decode_cursor,
    drain_of,
    encode_cursor,
    page,
    require_admin,
)

log = logging.getLogger(__name__)

HOLD: Final = 3.0


class Amount(BaseModel):
    """Minor units of a currency."""

    model_config = ConfigDict(extra="forbid")

    amount: int = Field(ge=0, le=limits.AMOUNT, strict=True)
    currency: str = Field(pattern=limits.CURRENCY)


class CallBody(BaseModel):
    """What a provider is asked; further members are kept for comparison and otherwise ignored."""

    model_config = ConfigDict(extra="allow")

    order_id: Annotated[str, Field(min_length=1, max_length=limits.ORDER_ID), PRINTABLE]
    amount: Amount | None = None
    token: Annotated[str, Field(min_length=1, max_length=limits.TOKEN), VISIBLE] | None = None
    country: Annotated[str, Field(pattern=limits.COUNTRY)] | None = None


class Silence(Response):
    """No answer: holds the connection until the client leaves or `seconds` pass, then hangs up."""

    def __init__(self, seconds: float, drain: ShutdownSignal) -> None:
        super().__init__()
        self._seconds, self._drain = seconds, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold, and leave the answer incomplete, which makes the server close the connection."""
        gone = await self._drain.race(_disconnected(receive), self._seconds)
        if not gone:
            await send({"type": "http.response.start", "status": 504, "headers": [(b"content-length", b"1")]})
            await send({"type": "http.response.body", "body": b"", "more_body": True})


async def _disconnected(receive: Receive) -> bool:
    while (await receive())["type"] != "http.disconnect":
        pass
    return True


def calls(provider: SandboxProvider, faults: Faults, metrics: Metrics, keys: Keys, hold: float = HOLD) -> APIRouter:
    """The calls of the services, and the question what became of one."""
    router = APIRouter(tags=["calls"])
    may_pay, may_carry = keys.only("payment"), keys.only("carrier")

    async def call(
        body: CallBody,
        key: IdempotencyKey,
        operation: str,
        party: str,
        drain: ShutdownSignal,
    ) -> Response:
        if operation not in OPERATIONS[party]:
            raise NotFound(f"The operations of {party}: {', '.join(OPERATIONS[party])}.")
        if key != f"{body.order_id}/{operation}":
            raise Invalid("Idempotency-Key", "must be {order_id}/{operation}", "idempotency_key_invalid")
        if body.amount is None and operation in ("authorize", "capture"):
            raise Invalid("amount", "is required to authorize and to capture")
        asked = ProviderCall(key, party, operation, body.model_dump(exclude_none=True))
        count = metrics.provider_calls
        try:
            await faults.before(operation)
            record, made = await provider.call(asked)
        except Problem as problem:
            count.labels(party, operation, problem.code).inc()
            if problem.status in (409, 422):
                log.warning("the caller must not ask this", extra={"key": key, "code": problem.code})
            raise
        count.labels(party, operation, record.outcome if made else "repeat").inc()
        if made and QUIRKS.get(body.token or "") == "lose_first_answer":
            return Silence(hold, drain)
        if faults.loses_answer():
            return Silence(0, drain)
        return JsonResponse(record.answer())

    async def payment(
        body: CallBody,
        key: IdempotencyKey,
        operation: str,
        drain: Annotated[ShutdownSignal, Depends(drain_of)],
        _: Annotated[Principal, Depends(may_pay)],
    ) -> Response:
        """authorize, capture (exactly what was authorized) or void. 409 is a defect of the caller."""
        return await call(body, key, operation, "payment", drain)

    async def carrier(
        body: CallBody,
        key: IdempotencyKey,
        operation: str,
        drain: Annotated[ShutdownSignal, Depends(drain_of)],
        _: Annotated[Principal, Depends(may_carry)],
    ) -> Response:
        """book, dispatch or cancel. 409 is a defect of the caller."""
        return await call(body, key, operation, "carrier", drain)

    async def recorded(
        key: Annotated[str, Path(max_length=255), PRINTABLE],
        _: Annotated[Principal, Depends(require_admin)],
    ) -> Response:
        """What is on record under a key; 404 is no answer: the call may still be under way."""
        return JsonResponse((await provider.recorded(key)).answer())

    router.add_api_route("/payment/{operation}", payment, methods=["POST"])
    router.add_api_route("/carrier/{operation}", carrier, methods=["POST"])
    router.add_api_route("/calls/{key:path}", recorded, methods=["GET"])
    return router


def oracle(ledger: Ledger) -> APIRouter:
    """The ledger, for auditors."""
    router = APIRouter(tags=["ledger"], dependencies=[Depends(require_admin)])

    async def entries(
        order_id: Annotated[Annotated[str, PRINTABLE] | None, Query(max_length=limits.ORDER_ID)] = None,
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> Response:
        """One entry per effect, oldest first."""
        after = decode_cursor(cursor, int)
        found = await ledger.run(
            lambda db: records.entries(db, order_id, after[0] if after else 0, limit + 1),
        )
        more = encode_cursor(found[limit - 1].seq) if len(found) > limit else None
        return JsonResponse(page([record.entry() for record in found[:limit]], more))

    router.add_api_route("/ledger", entries, methods=["GET"])
    return router


def fault_control(faults: Faults) -> APIRouter:
    """Reading and setting the faults in force."""
    router = APIRouter(tags=["faults"], dependencies=[Depends(require_admin)])

    def shown() -> dict[str, Any]:
        return {**faults.settings.model_dump(), "fired": dict(faults.fired)}

    async def read() -> Response:
        """The faults in force, and how often each fired."""
        return JsonResponse(shown())

    async def write(settings: FaultSettings) -> Response:
        """Replace the faults in force; an empty object ends them."""
        faults.set(settings)
        return JsonResponse(shown())

    router.add_api_route("/faults", read, methods=["GET"])
    router.add_api_route("/faults", write, methods=["PUT"])
    return router
