"""A database with a standby, which is promoted under load and which dies: no answered order is lost.

On a stack of its own, in one mode: what a commit waits for does not depend on the mode.
"""

import asyncio
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import asyncpg
import httpx
import psutil
import pytest

from quartet_stack import api, secrets_store
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.servers import replication, standby
from quartet_stack.servers.promotion import describe, promote
from tests.e2e.conftest import FOLDER, OFFSET, SETTINGS
from tests.e2e.shop import Shop, audit
from tests.e2e.stack import Stack, basket

OWN: Final = FOLDER.with_name(f"{FOLDER.name}-standby")
MODE: Final = "kafka-choreography"
STANDBY_TIMEOUT: Final = 2
BACK_WITHIN: Final = 10.0
"""Seconds within which an order is accepted again after a promotion began, on a machine that does much else."""

PATIENT: Final = {
    **SETTINGS,
    "SAGA_DEADLINE": "120",
    "DB_STANDBY": "order",
    "STANDBY_TIMEOUT": str(STANDBY_TIMEOUT),
}


@pytest.fixture(scope="module")
def standby_stack() -> Iterator[Stack]:
    """One stack at a time is enough for a machine."""
    for folder in (FOLDER, OWN):
        api.down(stack_dir=folder, delete_data=True)
    yield Stack(MODE, OWN, _up(), timeout=60)
    api.down(stack_dir=OWN, delete_data=True)


def _up(**settings: str) -> dict[str, str]:
    return api.up(MODE, stack_dir=OWN, port_offset=OFFSET, env={**PATIENT, **settings})


def _servers() -> tuple[str, str]:
    """The names of the primary and of its standby."""
    mark = standby.mark(Layout(OWN), "order")
    return f"order-{mark.primary}", f"order-{mark.other}"


@contextmanager
def frozen(name: str) -> Iterator[None]:
    """Pause every process of a server while the block runs."""
    server = psutil.Process(api.processes(OWN)[name])
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


async def known(stack: Stack) -> set[str]:
    """The orders in the database, whichever server has it."""
    connection = await asyncpg.connect(stack.environment["ORDER_DATABASE_URL"].replace("+asyncpg", ""), timeout=5)
    try:
        return {str(row[0]) for row in await connection.fetch("SELECT order_id FROM orders")}
    finally:
        await connection.close()


async def place(stack: Stack, key: str) -> tuple[httpx.Response, float]:
    """Place one order, without retries; returns the answer and the seconds that it took."""
    began = time.monotonic()
    async with stack.client() as client:
        answer = await client.post("/orders", headers=stack.headers(**{"Idempotency-Key": key}), json=basket())
    return answer, time.monotonic() - began


async def not_ready(stack: Stack) -> Any:
    """Wait until the order service is not ready; returns its reason."""
    async with asyncio.timeout(10), stack.client() as client:
        while (answer := await client.get("/health/ready")).status_code == 200:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        return answer.json()


@pytest.mark.timeout(240)
async def test_make_up_leaves_a_standby_alone_that_confirms_commits(standby_stack: Stack) -> None:
    before = api.processes(OWN)
    assert {"order-db", "order-standby"} < before.keys()
    await asyncio.to_thread(_up)
    assert api.processes(OWN) == before
    (line,) = describe(Layout(OWN))
    assert line.startswith("order: order-db is the primary, order-standby its standby (streaming, ")
    assert line.endswith("each commit waits for it")


@pytest.mark.timeout(240)
async def test_the_role_that_replicates_can_read_no_table_and_no_other_role_can_replicate(standby_stack: Stack) -> None:
    secrets = secrets_store.read(Layout(OWN))
    port = int(standby_stack.environment["ORDER_DB_PORT"])
    for user, password, more in (
        ("replicator", secrets["replication"], {"database": "order_service"}),
        ("replicator", secrets["replication"], {"database": "postgres"}),
        ("order_service", secrets["order"], {"database": "order_service", "server_settings": {"replication": "true"}}),
        ("postgres", secrets["postgres"], {"database": "postgres", "server_settings": {"replication": "true"}}),
    ):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match=r"pg_hba\.conf rejects"):
            await asyncpg.connect(host="127.0.0.1", port=port, user=user, password=password, timeout=5, **more)


@pytest.mark.timeout(240)
async def test_a_frozen_standby_makes_writes_wait_and_then_503_and_loses_nothing(standby_stack: Stack) -> None:
    stack, keys = standby_stack, [uuid.uuid4().hex for _ in range(4)]
    assert (await stack.order(basket())).json()["status"] == "COMPLETED"
    before = await known(stack)
    with frozen(_servers()[1]):
        for answer, seconds in await asyncio.gather(*(place(stack, key) for key in keys)):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert seconds <= STANDBY_TIMEOUT + 1
        answer, seconds = await place(stack, keys[0])
        assert answer.status_code == 503
        assert seconds < 1, "it is in doubt whether the standby confirms, and no write begins meanwhile"
        assert "standby" in (await not_ready(stack))["reason"]
        answer, seconds = await place(stack, keys[0])
        assert answer.status_code == 503
        assert seconds < 1, "the service has noticed, and does not wait again"
        # what no standby has is not visible: the primary did not continue alone
        assert await known(stack) == before
    await stack.ready("order")
    orders = [(await stack.order(basket(), key)).json() for key in keys]
    assert [order["status"] for order in orders] == ["COMPLETED"] * 4
    assert {order["order_id"] for order in orders} <= await known(stack)
    await audit(stack)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.nightly), True], ids=["healthy", "killed"])
async def test_a_promotion_under_load_takes_no_answer_back(standby_stack: Stack, killed: bool) -> None:
    stack, (primary, other) = standby_stack, _servers()
    shop = Shop(stack)
    async with shop.open():
        await shop.serves()
        before = set(shop.accepted)
        if killed:
            stack.kill(primary)
        began, steps = time.monotonic(), list[str]()

        def step(line: str) -> None:
            steps.append(f"{time.monotonic() - began:.1f} s {line}")

        promotion = asyncio.create_task(asyncio.to_thread(promote, Layout(OWN), "order", step))
        while _servers() != (other, primary):  # noqa: ASYNC110 - a file says so
            await asyncio.sleep(0.05)
        await shop.buy("good")
        step("an order is accepted")
        await promotion
        assert [line for line in steps if "accepted" in line and float(line.split()[0]) < BACK_WITHIN], steps
        assert before < set(shop.accepted)
        await shop.serves()
    assert set(shop.accepted) <= await known(stack)
    place = Layout(OWN)
    assert standby.mark(place, "order").confirmed
    assert standby.follows(standby.folder(place, "order", primary.removeprefix("order-")))  # a copy of the new primary
    await shop.judge(60)
    await audit(stack)


@pytest.mark.nightly
@pytest.mark.timeout(240)
async def test_a_promotion_that_was_interrupted_is_finished_by_make_up(
    standby_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, (primary, other) = standby_stack, _servers()
    accepted = (await stack.order(basket())).json()["order_id"]

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(replication, "promote", dies)
        with pytest.raises(KeyboardInterrupt):
            await asyncio.to_thread(api.promote, "order", OWN)
    assert primary not in api.processes(OWN)
    with pytest.raises((OSError, asyncpg.InternalClientError)):
        await known(stack)  # there is no primary now
    await asyncio.to_thread(_up)
    assert _servers() == (other, primary)
    assert (await stack.get(f"/orders/{accepted}"))["status"] == "COMPLETED"
    assert (await stack.order(basket())).json()["status"] == "COMPLETED"


@pytest.mark.nightly
@pytest.mark.timeout(240)
async def test_a_database_goes_on_without_a_standby_when_that_is_asked_for(standby_stack: Stack) -> None:
    stack, (primary, other) = standby_stack, _servers()
    accepted = (await stack.order(basket())).json()["order_id"]
    await asyncio.to_thread(_up, DB_STANDBY="off")
    assert {primary, other} & api.processes(OWN).keys() == {primary}
    with pytest.raises(StackError, match="has no standby"):
        await asyncio.to_thread(api.promote, "order", OWN)
    assert (await stack.order(basket())).json()["status"] == "COMPLETED"
    await asyncio.to_thread(_up)
    assert {primary, other} <= api.processes(OWN).keys()
    assert (await stack.get(f"/orders/{accepted}"))["status"] == "COMPLETED"
