"""Services of one stack in different modes notice it, and only then."""

import asyncio
import json
import logging
from dataclasses import dataclass, field

import pytest

from sagakit.app.peers import PATIENCE, PERIOD, Peers, urls_of
from sagakit.http_get import get
from sagakit.settings import Settings
from tests.keys import PUBLIC_KEY
from tests.waits import until

OURS, OTHER = "kafka-choreography", "kafka-orchestration"


class Stack:
    """Peers by address: the mode that each says, or an error."""

    def __init__(self) -> None:
        self.says: dict[str, object] = {"payment": OURS, "shipping": OURS}
        self.asked = 0

    async def ask(self, url: str) -> tuple[int, bytes]:
        self.asked += 1
        name = url.removeprefix("http://").removesuffix("/health/ready")
        said = self.says[name]
        if isinstance(said, Exception):
            raise said
        body = (
            said if isinstance(said, bytes) else json.dumps({"status": "ready", "service": name, "mode": said}).encode()
        )
        return 200, body


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Asked:
    """Peers whose answers come from `stack`, asked every five seconds of a clock that stands still meanwhile."""

    stack: Stack = field(default_factory=Stack)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        urls = {"payment": "http://payment", "shipping": "http://shipping"}
        self.peers = Peers(OURS, urls, ask=self.stack.ask, clock=self.clock)

    async def after(self, seconds: float) -> dict[str, str]:
        """What the peers disagree about, so many seconds later."""
        for _ in range(int(seconds / PERIOD)):
            self.clock.now += PERIOD
            await self.peers.look()
        return self.peers.disagreement()


async def test_a_switch_of_the_mode_has_thirty_seconds() -> None:
    asked = Asked()
    assert await asked.after(60) == {}
    asked.stack.says["shipping"] = OTHER
    assert await asked.after(PATIENCE) == {}, "a switch of the mode takes a while"
    asked.stack.says = {"payment": OTHER, "shipping": OURS}
    assert await asked.after(PATIENCE) == {}, "each service has its own time"
    assert await asked.after(PERIOD * 2) == {"payment": OTHER}
    asked.stack.says["payment"] = OURS
    assert await asked.after(PERIOD) == {}


async def test_the_log_tells_when_a_disagreement_begins_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    with caplog.at_level(logging.INFO, "sagakit.app.peers"):
        for said in (OURS, OTHER, OURS):
            asked.stack.says["shipping"] = said
            await asked.after(PATIENCE * 3)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"not ready: this service runs in {OURS}, but shipping runs in {OTHER}"),
        ("INFO", f"all services run in {OURS} again"),
    ]


async def test_a_peer_that_does_not_answer_or_is_somebody_else_disagrees_with_nobody() -> None:
    elsewhere = json.dumps({"status": "ready", "service": "blog", "mode": OTHER}).encode()
    for said in (ConnectionRefusedError(), TimeoutError(), b"<html>", b'{"status": "ready"}', elsewhere):
        asked = Asked()
        asked.stack.says = {"payment": OTHER, "shipping": OTHER}
        assert len(await asked.after(PATIENCE * 2)) == 2
        asked.stack.says["payment"] = said
        assert await asked.after(PERIOD) == {"shipping": OTHER}


async def test_peers_are_asked_again_and_again() -> None:
    stack = Stack()
    peers = Peers(OURS, {"payment": "http://payment"}, period=0.01, ask=stack.ask)
    task = asyncio.create_task(peers.run())
    await until(lambda: stack.asked > 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_service_asks_all_but_itself() -> None:
    settings = Settings(token_public_keys=PUBLIC_KEY, service="payment", order_url="http://order:1")
    assert urls_of(settings).keys() == {"order", "inventory", "shipping"}
    assert urls_of(settings)["order"] == "http://order:1"


async def test_a_small_get_reads_what_servers_send() -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 503 Unavailable\r\nContent-Length: 4\r\n\r\naway",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut off",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000,
        b"SSH-2.0-nonsense\r\n\r\n",
    ]
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[len(asked) - 1])
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/health/ready"
        assert await get(url) == (200, b"ok")
        assert await get(url) == (200, b"ok")
        assert await get(url) == (503, b"away")
        for _ in range(3):
            try:
                await get(url)
            except ConnectionError:
                continue
            raise AssertionError("what is no whole answer was taken for one")
    assert asked[0].startswith(b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1:")
