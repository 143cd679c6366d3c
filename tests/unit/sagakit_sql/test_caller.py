"""Calls to the outside world: repeated under one key until they are answered, across crashes and replicas."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from checkout.messages import (
    AuthorizePayment,
    BookShipment,
    CapturePayment,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentVoided,
    ShipmentRefused,
    VoidPayment,
)
from checkout.provider_rules import decide
from payment_service.domain import PaymentAuthorizationRequested
from sagakit import telemetry
from sagakit.logs import JsonFormatter
from sagakit.provider import OutcomeUnknown, ProviderCall, ProviderOutcome, ProviderRejected
from tests.postgres import Server
from tests.service_process import ServiceProcess, basket, service_process
from tests.waits import until

Database = Callable[[str], str]
CALLING: Mapping[str, object] = {"providers": "sandbox", "outbox_lease": 0.5, "retry_max": 0.3}


class Scripted:
    """Raises what it is told to, then answers; remembers every key it was called with."""

    def __init__(self, *failures: Exception, pause: float = 0.0) -> None:
        self.failures = list(failures)
        self.pause = pause
        self.calls: Counter[str] = Counter()
        self.at_once = self.most = 0

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        self.calls[call.key] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(self.pause)
        finally:
            self.at_once -= 1
        if self.failures:
            raise self.failures.pop(0)
        return decide(call)

    def decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        return None

    async def close(self) -> None:
        pass


def authorize(order_id: str) -> AuthorizePayment:
    return AuthorizePayment(order_id, basket())


async def _drained(payment: ServiceProcess) -> None:
    await payment.until("SELECT count(*) FROM outbox WHERE is_call", 0, 10)


async def test_an_unknown_outcome_is_retried_under_the_same_key(database: Database) -> None:
    provider = Scripted(OutcomeUnknown("lost"), ProviderRejected("wrong"), OutcomeUnknown("lost"))
    async with service_process("payment", database("payment"), provider=provider, **CALLING) as payment:
        answer = await payment.engine.conclude(authorize("o1"), None, 5)
        assert isinstance(answer, PaymentAuthorized)
        await _drained(payment)
        assert provider.calls == {"o1/authorize": 4}
        assert await payment.count("journal") == 2


class Refusing(Scripted):
    """Will never process calls of these operations, and says so."""

    def __init__(self, *operations: str) -> None:
        super().__init__()
        self.operations = operations

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        answer = await super().call(call)
        return ProviderOutcome("refused", "token_too_long") if call.operation in self.operations else answer


async def test_a_refusal_to_authorize_declines_the_payment(database: Database) -> None:
    provider = Refusing("authorize")
    async with service_process("payment", database("payment"), provider=provider, **CALLING) as payment:
        answer = await payment.engine.conclude(authorize("o1"), None, 5)
        assert answer == PaymentDeclined("o1", "token_too_long")
        await _drained(payment)
        assert provider.calls == {"o1/authorize": 1}


async def test_a_refusal_to_book_refuses_the_shipment(database: Database) -> None:
    provider = Refusing("book")
    async with service_process("shipping", database("shipping"), provider=provider, **CALLING) as shipping:
        answer = await shipping.engine.conclude(BookShipment("o1", basket()), None, 5)
        assert answer == ShipmentRefused("o1", "token_too_long")


@pytest.mark.parametrize("operation", ["capture", "void"])
async def test_any_other_refusal_waits_for_a_human_and_is_asked_for_again(database: Database, operation: str) -> None:
    provider = Refusing(operation)
    after = CapturePayment("o1") if operation == "capture" else VoidPayment("o1")
    settings = {**CALLING, "saga_attention_after": 0.1}
    async with service_process("payment", database("payment"), provider=provider, **settings) as payment:
        await payment.engine.conclude(authorize("o1"), None, 5)
        await payment.engine.dispatcher.do(after)
        await payment.until("SELECT count(*) > 0 FROM outbox WHERE is_call AND attempts > 1", True, 10)
        items = [(row.id, row.kind) for row in await payment.attention.page(None, 10)]
        assert items == [(f"o1/{operation}", "provider-call")]
        provider.operations = ()
        await _drained(payment)


async def test_a_crash_between_call_and_record_repeats_the_key_and_records_once(database: Database) -> None:
    url = database("payment")
    crashing, working = Scripted(pause=2), Scripted()
    async with service_process("payment", url, provider=crashing, **CALLING) as payment:
        assert isinstance(await payment.engine.dispatcher.do(authorize("o1")), PaymentAuthorizationRequested)
        await until(lambda: crashing.calls)
    assert crashing.calls == {"o1/authorize": 1}
    async with service_process("payment", url, provider=working, **CALLING) as payment:
        answer = await payment.engine.conclude(authorize("o1"), None, 5)
        assert isinstance(answer, PaymentAuthorized)
        await _drained(payment)
        assert working.calls == {"o1/authorize": 1}
        assert await payment.count("journal") == 2


async def test_an_answer_waits_for_the_database(postgres: Server, database: Database) -> None:
    provider = Scripted(pause=0.3)
    async with service_process("payment", database("payment"), provider=provider, **CALLING) as payment:
        await payment.engine.dispatcher.do(authorize("o1"))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(postgres.kill)
        await asyncio.sleep(0.8)
        await asyncio.to_thread(postgres.start)
        await _drained(payment)
        rows = await payment.rows("SELECT status, open FROM payments")
        assert [(row.status, row.open) for row in rows] == [("AUTHORIZED", False)]


async def test_a_late_authorization_is_voided_before_that_is_recorded(database: Database) -> None:
    provider = Scripted(pause=0.2)
    async with service_process("payment", database("payment"), provider=provider, **CALLING) as payment:
        await payment.engine.dispatcher.do(authorize("o1"))
        answer = await payment.engine.conclude(VoidPayment("o1"), None, 5)
        assert isinstance(answer, PaymentVoided)
        assert list(provider.calls) == ["o1/authorize", "o1/void"]
        events = [row.name for row in await payment.rows("SELECT name FROM journal ORDER BY seq")]
        assert events == [
            "PaymentAuthorizationRequested",
            "PaymentVoidDeferred",
            "PaymentVoidRequested",
            "PaymentVoided",
        ]


async def test_calls_are_bounded_and_none_is_forgotten(database: Database) -> None:
    provider = Scripted(*(OutcomeUnknown("lost") for _ in range(30)), pause=0.02)
    async with service_process(
        "payment", database("payment"), provider=provider, **{**CALLING, "provider_concurrency": 5, "outbox_lease": 5}
    ) as payment:
        await asyncio.gather(*(payment.engine.dispatcher.do(authorize(f"o{n}")) for n in range(100)))
        await _drained(payment)
        assert provider.most == 5
        assert sum(provider.calls.values()) == 130
        rows = await payment.rows("SELECT DISTINCT status FROM payments")
        assert [row.status for row in rows] == ["AUTHORIZED"]


@pytest.mark.parametrize("count", [40])
async def test_two_replicas_make_each_call_once_while_leases_hold(database: Database, count: int) -> None:
    url = database("payment")
    one_provider, two_provider = Scripted(pause=0.01), Scripted(pause=0.01)
    lasting = {**CALLING, "outbox_lease": 5.0}
    async with (
        service_process("payment", url, provider=one_provider, **lasting) as one,
        service_process("payment", url, provider=two_provider, **lasting) as two,
    ):
        await asyncio.gather(
            *((one, two)[n % 2].engine.dispatcher.do(authorize(f"o{n // 2}")) for n in range(count * 2))
        )
        await _drained(one)
        assert set((one_provider.calls + two_provider.calls).values()) == {1}
        assert len(one_provider.calls) + len(two_provider.calls) == count


async def test_a_call_whose_task_fails_is_logged_and_comes_again_when_its_lease_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One call's bug stops no other call: the caller goes on, and somebody hears of it."""
    provider = Scripted(OutcomeUnknown("lost"))
    async with service_process("payment", database("payment"), provider=provider, **CALLING) as payment:
        failures = [RuntimeError("a bug")]
        postpone = payment.store.postpone

        async def failing(rows: Any, seconds: float) -> None:
            if failures:
                raise failures.pop()
            await postpone(rows, seconds)

        monkeypatch.setattr(payment.store, "postpone", failing)
        answer = await payment.engine.conclude(authorize("o1"), None, 10)
        assert isinstance(answer, PaymentAuthorized)
        await _drained(payment)
        assert "caller" not in payment.engine.ailing()
    assert provider.calls["o1/authorize"] >= 2, "a lease of half a second may end again on a slow machine"
    (record,) = [one for one in caplog.records if one.name == "sagakit.engine.provider_calls" and one.exc_info]
    assert record.getMessage() == "call o1/authorize failed, it is repeated when its lease ends"


async def test_the_log_lines_of_a_call_have_its_trace_and_the_provider_is_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    told = []

    class Listening(Scripted):
        async def call(self, call: ProviderCall) -> ProviderOutcome:
            told.append(telemetry.traceparent.get())
            return await super().call(call)

    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(JsonFormatter("payment", "kafka-choreography"))
    provider = Listening(OutcomeUnknown("lost"))
    async with service_process("payment", database("payment"), provider=provider, **CALLING) as payment:
        await payment.engine.conclude(authorize("o1"), None, 10, f"00-{'a' * 32}-{'b' * 16}-01")
    assert set(told) == {f"00-{'a' * 32}-{'b' * 16}-01"}
    lines = [json.loads(one) for one in caplog.text.splitlines() if "o1/authorize" in one]
    assert lines
    assert {line["trace_id"] for line in lines} == {"a" * 32}
