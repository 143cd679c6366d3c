"""Resources that run out: on a real database, or on a fake stack."""

import asyncio
import random
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.chaos.faults import resources
from tests.chaos.faults.resources import FAULTS
from tests.chaos.model import NotAvailable
from tests.chaos.stack import SERVICES, StackUnderTest

TARGET = "payment-db"


def stack(url: str = "", **environment: str) -> StackUnderTest:
    return StackUnderTest("kafka-choreography", Path("/nowhere"), {"PAYMENT_DATABASE_URL": url, **environment})


def test_databases_and_services_are_what_it_can_break() -> None:
    system = stack(FAULT_INJECTION="on")
    for name in ("pool-exhausted", "frozen-transaction"):
        assert tuple(FAULTS[name].targets(system)) == tuple(f"{service}-db" for service in SERVICES)
    for name in ("slow-consumer", "rebalance-storm"):
        assert tuple(FAULTS[name].targets(system)) == SERVICES
    with pytest.raises(NotAvailable, match="FAULT_INJECTION=on is needed"):
        FAULTS["slow-consumer"].targets(stack(FAULT_INJECTION="off"))


async def test_a_frozen_transaction_is_felt_by_those_who_wait_for_it_and_ends(payment_url: str) -> None:
    writer = await asyncpg.connect(payment_url)
    try:
        frozen = asyncio.create_task(
            FAULTS["frozen-transaction"].inject(stack(payment_url), TARGET, 1.5, random.Random(1))
        )
        await _locked(payment_url)
        await asyncio.wait_for(writer.execute("INSERT INTO inbox (id, cause) VALUES ('a', NULL)"), 20)
        injection = await frozen
    finally:
        await writer.close()
    assert injection.felt is True
    assert injection.detail == "up to 1 sessions waited for it"


async def test_a_frozen_transaction_that_nobody_meets_is_not_felt(payment_url: str) -> None:
    injection = await FAULTS["frozen-transaction"].inject(stack(payment_url), TARGET, 0.2, random.Random(1))
    assert injection.felt is False


async def test_all_connections_are_taken_those_of_the_service_ended_and_given_back(payment_url: str) -> None:
    service = await asyncpg.connect(payment_url)
    exhausted = asyncio.create_task(FAULTS["pool-exhausted"].inject(stack(payment_url), TARGET, 1.0, random.Random(1)))
    async with asyncio.timeout(30):
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await _until_refused(payment_url)
        while not service.is_closed():  # noqa: ASYNC110 - what ends it is a server
            await asyncio.sleep(0.02)
        injection = await exhausted
    service.terminate()
    assert injection.felt is True
    await _free(payment_url)


async def test_a_slow_consumer_is_stalled_repeatedly_until_the_fault_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    async def call(method: str, path: str, service: str = "order", body: Any = None, seconds: float = 10.0) -> Any:
        told.append(body["set"])
        return {"pid": 1, "fired": {"before-handler": len(told) // 2}}

    system = stack(FAULT_INJECTION="on")
    monkeypatch.setattr(system, "call", call)
    injection = await FAULTS["slow-consumer"].inject(system, "payment", 0.7, random.Random(1))
    assert injection.felt is True
    assert len(told) > 3, "a failpoint stalls once, so it is set again"
    assert told[-1] == []


async def test_in_a_storm_a_consumer_leaves_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    system, pids = stack(), iter(range(100, 200))

    async def processes() -> dict[str, int]:
        return {"payment-1": next(pids), "payment-2": 7, "order": 1}

    async def here(*_: object) -> None:
        """It answers."""

    cycled: list[str] = []
    monkeypatch.setattr(system, "processes", processes)
    monkeypatch.setattr(resources, "answers", here)
    monkeypatch.setattr(resources, "CYCLE", 0.05)
    monkeypatch.setattr("quartet_stack.api.restart", lambda name, folder: cycled.append(name))
    injection = await FAULTS["rebalance-storm"].inject(system, "payment", 0.2, random.Random(3))
    assert injection.felt is True
    assert len(cycled) > 1
    assert len(set(cycled)) == 1, "of several replicas one comes and goes"
    assert injection.detail == f"{cycled[0]} left and came back {len(cycled)} times"


async def _locked(url: str) -> None:
    """Wait until the inbox is locked."""
    session = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(20):
            while True:
                if await session.fetchval("SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND granted"):
                    return
                await asyncio.sleep(0.02)
    finally:
        await session.close()


async def _until_refused(url: str) -> None:
    while True:
        await (await asyncpg.connect(url)).close()


async def _free(url: str) -> None:
    """Wait until the server accepts connections again."""
    async with asyncio.timeout(20):
        while True:
            try:
                await (await asyncpg.connect(url)).close()
                return
            except asyncpg.TooManyConnectionsError:
                await asyncio.sleep(0.05)
