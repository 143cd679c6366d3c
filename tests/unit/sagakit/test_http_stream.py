"""Streams and waits end when they should, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from starlette.types import Message

from sagakit.web.app import EventStream, ServerSentEvent, ShutdownSignal
from tests.waits import ENDS, until


class Client:
    """Collects what is sent; leaves when told to."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Source:
    """Events with an endless silence after them."""

    def __init__(self, *events: ServerSentEvent, endless: bool = True) -> None:
        self.events, self.endless, self.closed = events, endless, False

    async def stream(self) -> AsyncIterator[ServerSentEvent]:
        try:
            for event in self.events:
                yield event
            if self.endless:
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def drive(source: Source, client: Client, drain: ShutdownSignal, heartbeat: float = 15) -> None:
    stream = EventStream(source.stream(), drain, heartbeat=heartbeat)
    async with asyncio.timeout(ENDS):
        await stream({"type": "http"}, client.receive, client.send)


async def test_events_are_sent_in_order_and_the_stream_ends_with_its_source() -> None:
    events = (ServerSentEvent({"status": "PENDING"}, "order", "1"), ServerSentEvent("a\nb"))
    source, client = Source(*events, endless=False), Client()
    await drive(source, client, ShutdownSignal())
    headers = dict(client.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert b"content-length" not in headers
    assert b'id: 1\nevent: order\ndata: {"status":"PENDING"}\n\ndata: "a\\nb"\n\n' in client.body
    assert client.sent[-1]["more_body"] is False
    assert source.closed


async def test_a_silent_stream_sends_heartbeats() -> None:
    source, client, drain = Source(), Client(), ShutdownSignal()
    streaming = asyncio.create_task(drive(source, client, drain, heartbeat=0.01))
    await until(lambda: client.body.count(b": still here\n\n") >= 3)
    drain.start()
    await streaming


@pytest.mark.parametrize("ending", ["disconnect", "drain", "cancel"])
async def test_a_stream_ends_and_closes_its_source_when(ending: str) -> None:
    source, client, drain = Source(ServerSentEvent(1)), Client(), ShutdownSignal()
    streaming = asyncio.create_task(drive(source, client, drain))
    await until(lambda: b"data: 1\n\n" in client.body)
    endings: dict[str, Callable[[], object]]
    endings = {"disconnect": client.gone.set, "drain": drain.start, "cancel": streaming.cancel}
    endings[ending]()
    await asyncio.wait({streaming}, timeout=ENDS)
    assert streaming.done()
    assert source.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_source_that_raises_is_not_swallowed() -> None:
    async def broken() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(1)
        raise RuntimeError("broken")

    client = Client()
    with pytest.raises(RuntimeError, match="broken"):
        await EventStream(broken(), ShutdownSignal())({"type": "http"}, client.receive, client.send)


async def test_a_race_gives_the_result_or_none_after_the_time_or_when_draining() -> None:
    drain = ShutdownSignal()

    async def answer() -> int:
        return 7

    assert await drain.race(answer(), 1) == 7
    assert await drain.race(asyncio.sleep(60, 1), 0.01) is None
    waiting = asyncio.create_task(drain.race(asyncio.sleep(60, 1), 60))
    await asyncio.sleep(0.01)
    drain.start()
    assert await waiting is None
    assert drain.started
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_race_ends_when_the_client_disconnects() -> None:
    client = Client()
    waiting = asyncio.create_task(ShutdownSignal().race(asyncio.sleep(60, 1), 60, client.receive))
    done = await ShutdownSignal().race(asyncio.sleep(0, 7), 60, client.receive)
    assert (done, waiting.done()) == (7, False)
    client.gone.set()
    async with asyncio.timeout(ENDS):
        assert await waiting is None
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_a_race_leaves_the_callers_future_alone() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    assert await ShutdownSignal().race(future, 0.01) is None
    assert not future.done()


async def test_a_race_raises_what_was_raised() -> None:
    async def broken() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await ShutdownSignal().race(broken(), 1)
