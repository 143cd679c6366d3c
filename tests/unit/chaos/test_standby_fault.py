"""The fault `promote`, on a fake stack."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.servers import standby
from quartet_stack.servers.standby import Mark
from tests.chaos.faults import standby as fault
from tests.chaos.faults.standby import FAULTS
from tests.chaos.model import NotAvailable
from tests.chaos.stack import StackUnderTest


def stack(folder: Path, **environment: str) -> StackUnderTest:
    return StackUnderTest("kafka-choreography", folder, environment)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order; a promotion writes down what a real one does."""
    seen: list[str] = []

    def promote(service: str, folder: Path) -> None:
        seen.append(f"promote {service}")
        place = Layout(folder)
        standby.write(place, service, Mark(standby.mark(place, service).other, confirmed=True))

    def kill(name: str, number: int, stack_dir: Path) -> None:
        seen.append(f"kill {name}")

    async def answers(stack: StackUnderTest, name: str) -> None:
        seen.append(f"{name} answers")

    monkeypatch.setattr(api, "promote", promote)
    monkeypatch.setattr(api, "kill", kill)
    monkeypatch.setattr(fault, "answers", answers)
    return seen


def first(holds: Callable[[float], bool]) -> random.Random:
    """Dice whose first number is as wanted."""
    return random.Random(next(seed for seed in range(100) if holds(random.Random(seed).random())))


def test_it_is_not_available_without_a_standby(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="DB_STANDBY=all"):
        FAULTS["promote"].targets(stack(tmp_path, DB_STANDBY="off"))
    assert FAULTS["promote"].targets(stack(tmp_path, DB_STANDBY="order,shipping")) == ("order-db", "shipping-db")


@pytest.mark.parametrize("killed", [False, True])
async def test_the_standby_takes_over_and_the_next_time_the_other_way_round(
    tmp_path: Path, done: list[str], killed: bool
) -> None:
    one, dice = stack(tmp_path, DB_STANDBY="order"), first(lambda number: (number < 0.5) == killed)
    injection = await FAULTS["promote"].inject(one, "order-db", 1.0, dice)
    assert (injection.fault, injection.target, injection.felt) == ("promote", "order-db", True)
    assert injection.ended is not None
    assert "by order-standby" in injection.detail
    assert done == [*(["kill order-db"] if killed else []), "promote order", "order-db answers"]
    again = await FAULTS["promote"].inject(one, "order-db", 1.0, first(lambda number: number < 0.5))
    assert done[-3:] == ["kill order-standby", "promote order", "order-db answers"]
    assert "by order-db" in again.detail


async def test_a_promotion_that_is_refused_was_no_fault(
    tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(service: str, folder: Path) -> None:
        raise StackError("the standby of order has not caught up yet")

    monkeypatch.setattr(api, "promote", refuse)
    with pytest.raises(NotAvailable, match="not caught up"):
        await FAULTS["promote"].inject(stack(tmp_path), "order-db", 1.0, first(lambda number: number >= 0.5))


async def test_a_promotion_that_was_begun_is_finished_when_the_run_is_cancelled(
    tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(service: str, folder: Path) -> None:
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result(10)
        done.append("finished")

    monkeypatch.setattr(api, "promote", slow)
    dice = first(lambda number: number >= 0.5)
    task = asyncio.create_task(FAULTS["promote"].inject(stack(tmp_path), "order-db", 1.0, dice))
    await began.wait()
    task.cancel()
    loop.call_later(0.05, may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["finished"]
