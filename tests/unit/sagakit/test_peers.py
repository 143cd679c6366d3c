"""Services of one stack in different modes notice it, and only then."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sagakit.app.peers import Peers, urls_of
from sagakit.http_get import get
from sagakit.settings import Settings
from tests.keys import PUBLIC_KEY

OURS, OTHER = "kafka-choreography", "kafka-orchestration"


class Stack:
    """Peers by address: the mode that each says, or an error."""

    def __init__(self) -> None:
        self.says: dict[str, object] = {"payment": OURS, "shipping": OURS}
        self.asked = 0

    async def ask(self, url: str) -> tuple[int, bytes]:
        self.asked += 1
        name = url.removeprefix("http://").removesuffix("/health/live")
        said = self.says[name]
        if isinstance(said, Exception):
            raise said
        body = (
            said if isinstance(said, bytes) else json.dumps({"status": "live", "service": name, "mode": said}).encode()
        )
        return 200, body


@asynccontextmanager
async def among(stack: Stack, patience: float = 0.6) -> AsyncIterator[Peers]:
    urls = {"payment": "http://payment", "shipping": "http://shipping"}
    peers = Peers(OURS, urls, period=0.01, patience=patience, ask=stack.ask)
    task = asyncio.create_task(peers.run())
    yield peers
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the pauses of what is watched are real time
            await asyncio.sleep(0.005)


async def test_another_mode_is_a_disagreement_once_it_has_lasted() -> None:
    stack = Stack()
    async with among(stack) as peers:
        await until(lambda: stack.asked > 4)
        assert peers.disagreement() == {}
        stack.says["shipping"] = OTHER
        before = stack.asked
        await until(lambda: stack.asked > before + 4)
        assert peers.disagreement() == {}, "a switch of the mode takes a while"
        await until(peers.disagreement)
        assert peers.disagreement() == {"shipping": OTHER}
        stack.says["shipping"] = OURS
        await until(lambda: not peers.disagreement())


async def test_a_peer_that_does_not_answer_or_is_somebody_else_disagrees_with_nobody() -> None:
    stack = Stack()
    elsewhere = json.dumps({"status": "live", "service": "blog", "mode": OTHER}).encode()
    for said in (ConnectionRefusedError(), TimeoutError(), b"<html>", b'{"status": "live"}', elsewhere):
        stack.says = {"payment": OTHER, "shipping": OTHER}
        async with among(stack) as peers:
            await until(lambda: len(peers.disagreement()) == 2)
            stack.says["payment"] = said
            await until(lambda: peers.disagreement() == {"shipping": OTHER})


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
        url = f"http://127.0.0.1:{port}/health/live"
        assert await get(url) == (200, b"ok")
        assert await get(url) == (200, b"ok")
        assert await get(url) == (503, b"away")
        for _ in range(3):
            try:
                await get(url)
            except ConnectionError:
                continue
            raise AssertionError("what is no whole answer was taken for one")
    assert asked[0].startswith(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:")
