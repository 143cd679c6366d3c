"""What one client without a token costs others and the process, while it does everything at once that it may not.

python -m tests.chaos.hostile [PAIRS=7 SECONDS=60 SEED=1 KINDS=pipeline,... in the environment]

Each pair is a run with the attack and one without it, in an order drawn by seed. An app is served by a process of its
own; others place 40 requests a second in it, each with a token, over 8 connections. The attacker is a second process.
Said at the end: the median of the runs' 95th percentiles with and without, the attacker's share of a core, and the
served process's resident memory before, at most, and after. Exit status 1 if the p95 is more than 2 x what it is
without (and 5 ms, which no clock here tells apart), if memory is more than 50 MB above what it was at any time or
does not come back to within 50 MB, or if anything was executed that must not be.

What it does, all the time: see RATES, in connections or requests a second.
"""

import asyncio
import itertools
import os
import random
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request

from sagakit.app.server import run, serve
from sagakit.settings import Settings
from sagakit.web.app import JsonResponse, Principal, create_app, issue_token, require_customer
from tests.keys import PUBLIC_KEY, SIGNING_KEY

LEGITIMATE: Final = 40.0
CONNECTIONS: Final = 8
MAY_COST: Final = 2.0
NOISE_MS: Final = 5.0
MEMORY_MB: Final = 50.0
SETTLING: Final = 30.0  # seconds in which memory has to come back: bodies and unread answers have 15 each
RATES: Final[Mapping[str, float]] = {
    "upgrade": 5.0,  # a body that looks like a request, after an offer to upgrade, in a second packet
    "endless_header": 1.0,  # 4 MB of one header field
    "pipeline": 0.2,  # 10,000 requests whose answers are not read
    "half_header": 10.0,  # and nothing more
    "half_body": 10.0,  # and nothing more
    "silent": 40.0,  # connections that say nothing
    "no_host": 5.0,
    "old": 5.0,  # HTTP/1.0
    "stream": 5.0,  # event streams without a token
}
_HEAD: Final = b"POST /mine HTTP/1.1\r\nHost: a\r\n"
_SMUGGLED: Final = b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the p95 of others in ms, memory in MB, the attacker's seconds of CPU per second."""

    p95: float
    before: float
    most: float
    after: float
    cpu: float


async def _served() -> int:
    """The served process: an app that answers those with a token, and counts what was smuggled in."""
    settings, router, smuggled = Settings.from_env(os.environ), APIRouter(), itertools.count()
    seen = [next(smuggled)]

    @router.post("/mine")
    async def mine(request: Request, caller: Annotated[Principal, Depends(require_customer)]) -> JsonResponse:
        return JsonResponse({"customer": caller.subject, "bytes": len(await request.body())})

    @router.post("/smuggled")
    async def smuggle() -> JsonResponse:
        seen[0] = next(smuggled)
        return JsonResponse(seen)

    @router.get("/seen")
    async def told() -> JsonResponse:
        return JsonResponse(seen[0])

    async def nothing() -> None: ...

    async def ready() -> dict[str, Any]:
        return {}

    return await serve(create_app("Hostile", settings, ready, routers=[router]), settings, nothing, nothing)


class Attack:
    """All that is done to `port`; what it holds open it never closes by itself."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._held: list[asyncio.StreamWriter] = []

    async def run(self, seconds: float) -> None:
        """Everything at once, each kind at its rate."""
        kinds: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            name: getattr(self, name) for name in os.environ.get("KINDS", ",".join(RATES)).split(",")
        }
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for name, kind in kinds.items():
                    group.create_task(self._repeat(group, kind, 1 / RATES[name]))

    async def _repeat(
        self, group: asyncio.TaskGroup, kind: Callable[[], Coroutine[Any, Any, None]], pause: float
    ) -> None:
        while True:
            group.create_task(self._once(kind))
            await asyncio.sleep(pause)

    async def _once(self, kind: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with suppress(OSError):
            await kind()

    async def _say(self, *sent: bytes) -> None:
        """Send, read nothing, hold the connection."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1024)
        self._held.append(writer)
        for one in sent:
            writer.write(one)
            await writer.drain()
            await asyncio.sleep(0.01)

    async def upgrade(self) -> None:
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAE\r\n"
        await self._say(_HEAD + offer + b"Content-Length: %d\r\n\r\n" % len(_SMUGGLED), _SMUGGLED)

    async def endless_header(self) -> None:
        await self._say(_HEAD + b"X: ", *[b"x" * 65536] * 64)

    async def pipeline(self) -> None:
        await self._say(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n" * 10_000)

    async def half_header(self) -> None:
        await self._say(_HEAD)

    async def half_body(self) -> None:
        await self._say(_HEAD + b"Content-Length: 10000\r\n\r\n" + b"x" * 100)

    async def silent(self) -> None:
        await self._say()

    async def no_host(self) -> None:
        await self._say(b"POST /smuggled HTTP/1.1\r\nContent-Length: 0\r\n\r\n")

    async def old(self) -> None:
        await self._say(b"GET /health/live HTTP/1.0\r\n\r\n")

    async def stream(self) -> None:
        await self._say(b"GET /orders/any/events HTTP/1.1\r\nHost: a\r\n\r\n")


async def _attack(port: int, seconds: float) -> int:
    began, cpu = time.monotonic(), time.process_time()
    await Attack(port).run(seconds)
    print((time.process_time() - cpu) / (time.monotonic() - began), flush=True)
    return 0


class Others:
    """Those who have a token and do nothing wrong: an open-loop load over a few connections."""

    def __init__(self, port: int) -> None:
        self._port, self.took = port, list[float]()
        body = b'{"sku": "espresso-cup"}'
        token = issue_token(SIGNING_KEY, "alice").encode()
        self._request = _HEAD + b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (token, len(body), body)

    async def run(self, seconds: float) -> None:
        """Requests at fixed times, spread over the connections; time counts from when a request was due."""
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._one(began, seconds, position) for position in range(CONNECTIONS)))

    async def _one(self, began: float, seconds: float, position: int) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for turn in range(position, int(seconds * LEGITIMATE), CONNECTIONS):
            due = began + turn / LEGITIMATE
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head)
            await reader.readuntil(b"}")
            self.took.append((loop.time() - due) * 1000)
        writer.close()


def resident(pid: int) -> float:
    """Megabytes of a process that are resident now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@asynccontextmanager
async def _app(port: int) -> AsyncIterator[int]:
    environ = {**os.environ, "TOKEN_PUBLIC_KEYS": PUBLIC_KEY, "HTTP_PORT": str(port), "LOG_LEVEL": "ERROR"}
    command = (sys.executable, "-m", "tests.chaos.hostile", "served")
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        async with asyncio.timeout(30):
            while not await _seen(port):  # noqa: ASYNC110  (another process)
                await asyncio.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        async with asyncio.timeout(20):
            await process.wait()


async def _seen(port: int) -> bytes:
    """How much was smuggled in, as the app says it; nothing if it does not answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    writer.write(b"GET /seen HTTP/1.0\r\n\r\n")
    told = await reader.read()
    writer.close()
    return told.rpartition(b"\r\n\r\n")[2]


async def _run(port: int, pid: int, seconds: float, *, attacked: bool) -> Run:
    others, before, attacker = Others(port), resident(pid), None
    if attacked:
        attacker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.hostile", "attack", str(port), str(seconds)),
            stdout=asyncio.subprocess.PIPE,
        )
    most = before
    loading = asyncio.create_task(others.run(seconds))
    while not loading.done():
        most = max(most, resident(pid))
        await asyncio.wait({loading}, timeout=0.1)
    await loading
    cpu = float((await attacker.communicate())[0]) if attacker is not None else 0.0
    async with asyncio.timeout(SETTLING + 5):
        ends = time.monotonic() + (SETTLING if attacked else 0)
        while time.monotonic() < ends and resident(pid) > before + 5:  # noqa: ASYNC110  (another process)
            await asyncio.sleep(0.5)
    return Run(quantiles(others.took, n=20)[-1], before, most, resident(pid), cpu)


async def _compare(pairs: int, seconds: float, seed: int, port: int) -> int:
    runs: dict[bool, list[Run]] = {True: [], False: []}
    drawn = random.Random(seed)
    async with _app(port) as pid:
        await _run(port, pid, min(seconds, 5.0), attacked=False)  # what is made once is made before
        start = resident(pid)
        for pair in range(pairs):
            for attacked in drawn.sample([True, False], 2):
                done = await _run(port, pid, seconds, attacked=attacked)
                runs[attacked].append(done)
                print(f"pair {pair + 1} {'attacked' if attacked else 'quiet':8} {done}", flush=True)
        executed = await _seen(port)
    quiet, attacked_p95 = (median(one.p95 for one in runs[kind]) for kind in (False, True))
    most, after = max(one.most for one in runs[True]), runs[True][-1].after
    cpu = median(one.cpu for one in runs[True])
    print(f"p95 of others: {quiet:.1f} ms without, {attacked_p95:.1f} ms with; the attacker's CPU: {cpu:.0%} of a core")
    print(f"memory: {start:.0f} MB before, {most:.0f} at most, {after:.0f} after; smuggled in: {executed.decode()}")
    wrong = [
        text
        for text, bad in {
            "others are slowed": attacked_p95 > MAY_COST * quiet + NOISE_MS,
            "memory is not bounded": most > start + MEMORY_MB,
            "memory does not come back": after > start + MEMORY_MB,
            "a body was executed as a request": executed != b"0",
        }.items()
        if bad
    ]
    print("; ".join(wrong) or "held")
    return 1 if wrong else 0


def _main(arguments: list[str]) -> int:
    match arguments:
        case ["served"]:
            run(_served())
        case ["attack", port, seconds]:
            return asyncio.run(_attack(int(port), float(seconds)))
    pairs, seconds = int(os.environ.get("PAIRS", "7")), float(os.environ.get("SECONDS", "60"))
    port = int(os.environ.get("HTTP_PORT", "18111"))
    return asyncio.run(_compare(pairs, seconds, int(os.environ.get("SEED", "1")), port))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
