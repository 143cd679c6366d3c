"""The process as a whole: a real one is started, signalled and watched."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from sagakit.app.server import listen
from sagakit.settings import Settings
from tests.keys import PUBLIC_KEY

pytestmark = pytest.mark.thorough

PROGRAM = """
import asyncio, os, sys
from fastapi import APIRouter, Depends
from sagakit.web.app import create_app, drain_of
from sagakit.app.server import Background, run, serve
from sagakit.settings import Settings
from sagakit.logs import configure_logging

def say(text):
    print(text, flush=True)

async def main():
    settings = Settings.from_env(os.environ)
    configure_logging("test", "none")
    router = APIRouter()

    @router.get("/slow")
    async def slow():
        await asyncio.sleep(0.5)
        return "finished"

    @router.post("/slow")
    async def take(body: dict):
        return body

    @router.get("/wait")
    async def wait(drain=Depends(drain_of)):
        return {"result": await drain.race(asyncio.sleep(60), 60)}

    @router.get("/crash")
    async def crash():
        background.start("fragile", fail, restart=False)

    async def ready():
        return {}

    async def fail():
        raise RuntimeError("fragile")

    async def consume():
        try:
            await asyncio.Event().wait()
        finally:
            say("consumer stopped")

    async def startup():
        if sys.argv[1:] == ["broken"]:
            raise RuntimeError("cannot start")
        background.start("consume", consume)
        say("started")

    async def shutdown():
        if sys.argv[1:] == ["stubborn"]:
            await asyncio.sleep(60)
        say("closed")

    app = create_app("Test", settings, ready, routers=[router])
    background = Background(app.state.metrics)
    return await serve(app, settings, startup, shutdown, background=background)

run(main())
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Process:
    def __init__(self, *arguments: str, port: int = 0, **environ: str) -> None:
        self.port = port or free_port()
        path = os.pathsep.join(sys.path)
        environ = {
            **os.environ,
            "PYTHONPATH": path,
            "TOKEN_PUBLIC_KEYS": PUBLIC_KEY,
            "HTTP_PORT": str(self.port),
            **environ,
        }
        self.child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{self.port}"

    def ready(self) -> Process:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.child.poll() is None:
            try:
                if httpx.get(f"{self.url}/health/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"not ready: {self.child.communicate()}")

    def end(self, seconds: float = 10) -> tuple[int, str, str]:
        out, err = self.child.communicate(timeout=seconds)
        return self.child.returncode, out, err


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        if process.child.poll() is None:
            process.child.kill()
        process.child.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_requests_finish_releases_waiters_and_ends_with_0(
    processes: list[Process], number: signal.Signals
) -> None:
    process = Process()
    processes.append(process)
    process.ready()
    async with httpx.AsyncClient(base_url=process.url, timeout=10) as client:
        slow = asyncio.create_task(client.get("/slow"))
        wait = asyncio.create_task(client.get("/wait"))
        await asyncio.sleep(0.2)
        process.child.send_signal(number)
        assert (await wait).json() == {"result": None}
        assert (await slow).json() == "finished"
    status, out, err = process.end()
    assert (status, out.split("\n")) == (0, ["started", "consumer stopped", "closed", ""]), err


async def test_a_background_task_that_must_not_fail_ends_the_process_with_1(processes: list[Process]) -> None:
    process = Process()
    processes.append(process)
    process.ready()
    async with httpx.AsyncClient() as client:
        await client.get(f"{process.url}/crash")
    status, out, err = process.end()
    assert (status, out.split("\n")[-2]) == (1, "closed")
    assert "background task failed" in err


async def test_a_failed_start_closes_what_was_opened_and_ends_with_1(processes: list[Process]) -> None:
    process = Process("broken")
    processes.append(process)
    status, out, err = process.end()
    assert (status, out) == (1, "closed\n")
    told = json.loads(err.splitlines()[0])
    assert told["message"] == "cannot run"
    assert "RuntimeError" in told["exception"]
    assert "cannot start" not in err


async def test_a_stop_that_hangs_is_cut_off_at_the_drain_timeout(processes: list[Process]) -> None:
    process = Process("stubborn", DRAIN_TIMEOUT="1")
    processes.append(process)
    process.ready()
    began = time.monotonic()
    process.child.send_signal(signal.SIGTERM)
    status, _, err = process.end()
    assert (status, time.monotonic() - began < 8) == (1, True)
    assert "the stop was not graceful" in err


async def test_half_requests_do_not_delay_a_stop(processes: list[Process]) -> None:
    process = Process()
    processes.append(process)
    process.ready()
    halves = [
        b"",
        b"GET",
        b"GET /slow HTTP/1.1\r\nHost: a\r\n",
        b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1",
    ]
    opened = [await asyncio.open_connection("127.0.0.1", process.port) for _ in range(20) for _ in halves]
    for (_, writer), half in zip(opened, halves * 20, strict=True):
        writer.write(half)
        await writer.drain()
    began = time.monotonic()
    process.child.send_signal(signal.SIGTERM)
    status, _, err = await asyncio.to_thread(process.end)
    assert (status, time.monotonic() - began < 4) == (0, True), err
    for _, writer in opened:
        writer.close()


async def test_replicas_share_the_port(processes: list[Process]) -> None:
    first = Process(REPLICAS="2")
    processes.append(first)
    second = Process(port=first.port, REPLICAS="2")
    processes.append(second)
    assert first.child.stdout is not None
    assert second.child.stdout is not None
    assert (first.child.stdout.readline(), second.child.stdout.readline()) == ("started\n", "started\n")
    second.ready()
    first.child.send_signal(signal.SIGTERM)
    assert first.end()[0] == 0
    second.ready()


def test_without_replicas_a_port_in_use_is_refused() -> None:
    port = free_port()
    settings = Settings(token_public_keys=PUBLIC_KEY, http_port=port)
    with listen(settings) as sock:
        sock.listen()
        assert sock.proto == socket.IPPROTO_TCP
        with pytest.raises(OSError, match="in use"):
            listen(settings)


FILES = """
import resource
from sagakit.app.server import allow_connections
from sagakit.settings import Settings
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
for most in (10, 1000, 1_000_000):
    allow_connections(Settings(token_public_keys="A" * 43 + "=", http_connections_max=most))
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 2000))
allow_connections(Settings(token_public_keys="A" * 43 + "="))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_as_many_files_may_be_open_as_connections_are_allowed() -> None:
    done = subprocess.run([sys.executable, "-c", FILES], capture_output=True, text=True, check=True, timeout=60)
    few, many, all_there_may_be, last = map(int, done.stdout.split())
    assert few >= 256
    assert few <= many <= all_there_may_be
    assert many >= min(2000, all_there_may_be)
    assert last == 2000
    assert "more connections are allowed than the process can open" in done.stderr
