"""What a hostile client without a token costs other clients and the process.

python -m tests.chaos.hostile [PAIRS=7 SECONDS=60 SEED=1 KINDS=pipeline,... in the environment]

Each pair is a run with the attack and one without it, in an order drawn by seed. An app is served by a process of its
own; others place 40 requests a second in it, each with a token, over 8 connections. The attacker is a second process.
It prints the median of the runs' 95th percentiles with and without, the attacker's share of a core, and the
served process's resident memory before, at most, and after. Exit status 1 if the p95 is more than 2 x what it is
without (plus 5 ms of noise), if memory is more than 50 MB above what it was at any time or
does not come back to within 50 MB, or if a smuggled request was executed.

RATES in `hostile_clients` lists the attacks with their rates.
"""

import asyncio
import itertools
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Annotated, Any, Final

import psutil
from fastapi import APIRouter, Depends, Request

from sagakit.app.server import run, serve
from sagakit.settings import Settings
from sagakit.web.app import JsonResponse, Principal, create_app, require_customer
from tests.chaos.hostile_clients import RATES, Others, attack
from tests.chaos.settings import chosen, names_in, number, whole
from tests.keys import PUBLIC_KEY

MAY_COST: Final = 2.0
NOISE_MS: Final = 5.0
MEMORY_MB: Final = 50.0
SETTLING: Final = 30.0  # seconds in which memory has to come back: bodies and unread answers have 15 each


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the p95 of others in ms, memory in MB, the attacker's seconds of CPU per second."""

    p95: float
    before: float
    most: float
    after: float
    cpu: float


async def _served() -> int:
    """Serve an app that answers clients with a token, and counts smuggled requests."""
    settings, router, numbers = Settings.from_env(os.environ), APIRouter(), itertools.count()
    smuggled_in = [next(numbers)]

    @router.post("/mine")
    async def mine(request: Request, caller: Annotated[Principal, Depends(require_customer)]) -> JsonResponse:
        return JsonResponse({"customer": caller.subject, "bytes": len(await request.body())})

    @router.post("/smuggled")
    async def smuggle() -> JsonResponse:
        smuggled_in[0] = next(numbers)
        return JsonResponse(smuggled_in)

    @router.get("/seen")
    async def count() -> JsonResponse:
        return JsonResponse(smuggled_in[0])

    async def nothing() -> None: ...

    async def ready() -> dict[str, Any]:
        return {}

    return await serve(create_app("Hostile", settings, ready, routers=[router]), settings, nothing, nothing)


def resident(pid: int) -> float:
    """Megabytes of a process that are resident now."""
    return int(psutil.Process(pid).memory_info().rss) / 2**20


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
    """The number of smuggled requests that the app reports; empty if it does not answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    writer.write(b"GET /seen HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.rpartition(b"\r\n\r\n")[2]


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
        await _run(port, pid, min(seconds, 5.0), attacked=False)  # warm up
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


def main(arguments: list[str]) -> int:
    match arguments:
        case ["served"]:
            run(_served())
        case ["attack", port, seconds]:
            return asyncio.run(attack(int(port), float(seconds)))
    try:
        pairs, seconds = whole(os.environ, "PAIRS", 7, 1, 1000), number(os.environ, "SECONDS", 60, 3600)
        port, seed = whole(os.environ, "HTTP_PORT", 18111, 1, 65535), whole(os.environ, "SEED", 1, 0, 2**32)
        chosen("KINDS", names_in(os.environ.get("KINDS", ",".join(RATES))), RATES)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return asyncio.run(_compare(pairs, seconds, seed, port))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
