"""The launcher of the emulator: a message wakes a long poll of its queue, one poll at a time."""

import asyncio
import importlib.util
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from quartet_stack.servers.sns_sqs import LAUNCHER


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("launcher", LAUNCHER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "POLL_SECONDS", 3600.0)
    return module


class Emulator:
    """What the launcher replaces in MiniStack, and a long poll as MiniStack makes it."""

    def __init__(self, launcher: ModuleType) -> None:
        unused = SimpleNamespace(set=lambda: None)
        self.sqs: Any = SimpleNamespace(
            _collect_fifo=None,
            _expire_retained=lambda queue: None,
            _dlq_sweep=lambda queue: None,
            _ensure_msg_fields=lambda message: None,
            _HANDLERS={},
            new_uuid=lambda: "receipt",
            esm_wake=unused,
        )
        self.sns: Any = SimpleNamespace(esm_wake=unused)
        launcher.replace(self.sqs, self.sns)
        self.queue: dict[str, Any] = {"url": "one", "is_fifo": False, "attributes": {}, "messages": []}

    def send(self, count: int) -> None:
        for _ in range(count):
            self.queue["messages"].append(
                {"receipt_handle": None, "visible_at": 0.0, "receive_count": 0, "first_receive_at": None}
            )
            self.sns.esm_wake.set()

    async def poll(self, looks: list[int]) -> int:
        while not (taken := self.sqs._collect_msgs(self.queue, 10, 30)):
            looks.append(0)
            await self.sqs.asyncio.sleep(3600.0)
        looks.append(len(taken))
        return len(taken)


async def test_a_message_wakes_one_of_the_polls_that_wait(launcher: ModuleType) -> None:
    emulator, looks = Emulator(launcher), list[int]()
    async with asyncio.timeout(10), asyncio.TaskGroup() as polls:
        waiting = [polls.create_task(emulator.poll(looks)) for _ in range(3)]
        await asyncio.sleep(0)
        assert looks == [0, 0, 0]
        emulator.send(4)
        assert await waiting[0] == 4
        assert looks == [0, 0, 0, 4]
        for poll in waiting[1:]:
            poll.cancel()


async def test_more_messages_than_one_poll_takes_wake_the_next(launcher: ModuleType) -> None:
    emulator, looks = Emulator(launcher), list[int]()
    async with asyncio.timeout(10), asyncio.TaskGroup() as polls:
        waiting = [polls.create_task(emulator.poll(looks)) for _ in range(2)]
        await asyncio.sleep(0)
        emulator.send(13)
        assert [await poll for poll in waiting] == [10, 3]
    assert looks == [0, 0, 10, 3]
