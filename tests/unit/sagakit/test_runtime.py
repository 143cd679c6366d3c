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

from sagakit.runtime import Background, listen
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from tests.waits import until

PROGRAM = """
import asyncio, os, sys
from fastapi import APIRouter, Depends
from sagakit.http import create_app, drain_of
from sagakit.runtime import Background, run, serve
from sagakit.settings import Settings
from sagakit.telemetry import configure_logging

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
            "JWT_SECRET": "x" * 32,
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
    settings = Settings(jwt_secret="x" * 16, http_port=port)
    with listen(settings) as sock:
        sock.listen()
        assert sock.proto == socket.IPPROTO_TCP
        with pytest.raises(OSError, match="in use"):
            listen(settings)


FILES = """
import resource
from sagakit.runtime import allow_connections
from sagakit.settings import Settings
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
for most in (10, 1000, 1_000_000):
    allow_connections(Settings(jwt_secret="x" * 16, http_connections_max=most))
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 2000))
allow_connections(Settings(jwt_secret="x" * 16))
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


async def test_background_restarts_with_backoff_and_counts() -> None:
    metrics, runs = Metrics(), 0
    background = Background(metrics, retry_initial=0.1, retry_max=0.1)

    async def fragile() -> None:
        nonlocal runs
        runs += 1
        if runs <= 3:
            raise RuntimeError("again")
        await asyncio.Event().wait()

    background.start("fragile", fragile)
    await until(background.ailing)
    assert background.ailing() == {"fragile": "RuntimeError"}
    await until(lambda: runs == 4)
    await until(lambda: not background.ailing())
    assert b'background_restarts_total{task="fragile"} 3.0' in metrics.exposition()
    assert not background.failed.is_set()
    with pytest.raises(ValueError, match="runs already"):
        background.start("fragile", fragile)
    await background.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Fragile:
    """Work that raises `error` at once while it is set, and runs for ever otherwise."""

    def __init__(self, error: BaseException | None) -> None:
        self.error, self.runs = error, 0
        self.running = asyncio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        if self.error is not None:
            raise self.error
        self.running.set()
        await asyncio.Event().wait()


async def test_a_task_that_fails_again_and_again_is_beyond_its_bound_until_it_has_worked_for_a_while() -> None:
    metrics, work = Metrics(), Fragile(RuntimeError("always"))
    background = Background(metrics, retry_initial=0.01, retry_max=0.2)
    background.start("fragile", work)
    await until(lambda: work.runs == 3)
    assert background.beyond_bound() == {}
    assert b'background_failing{task="fragile"} 1.0' in metrics.exposition()
    await until(background.beyond_bound)
    assert work.runs >= 5
    assert background.beyond_bound()["fragile"].startswith("RuntimeError, ")
    work.error = None
    await work.running.wait()
    assert background.beyond_bound()
    await until(lambda: not background.beyond_bound() and not background.ailing())
    assert b'background_failing{task="fragile"} 0.0' in metrics.exposition()
    await background.stop()


async def test_a_task_that_fails_for_too_long_is_beyond_its_bound_however_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sagakit.runtime.FAILING", 0.3)
    background = Background(Metrics(), retry_initial=0.2, retry_max=0.4)
    work = Fragile(RuntimeError("now and then"))
    background.start("fragile", work)
    await until(background.beyond_bound)
    assert work.runs < 5
    await background.stop()


async def test_what_is_excused_is_shown_and_counts_for_nothing() -> None:
    """A broker that is known to be away is not the fault of who misses it, and a bug is one even then."""
    away = True
    background = Background(
        Metrics(),
        retry_initial=0.01,
        retry_max=0.05,
        excused=lambda error: away and isinstance(error, ConnectionError),
    )
    lost, bug = Fragile(ConnectionResetError("lost")), Fragile(KeyError("bug"))
    background.start("lost", lost)
    background.start("bug", bug)
    await until(lambda: lost.runs > 8 and bug.runs > 8)
    assert background.ailing() == {"lost": "ConnectionResetError", "bug": "KeyError"}
    assert background.beyond_bound().keys() == {"bug"}
    away = False
    assert background.beyond_bound().keys() == {"bug"}, "what failed while it was away is not counted afterwards"
    await until(lambda: "lost" in background.beyond_bound())
    away = True
    assert background.beyond_bound().keys() == {"bug"}, "what was noticed a moment later is not counted either"
    await background.stop()


class Panic(BaseException):
    """As a library in another language raises it."""


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Panic()])
async def test_only_stop_ends_a_task(error: BaseException) -> None:
    """A cancellation that leaks out of a library, or its panic, is a failure like any other."""
    background = Background(Metrics(), retry_initial=0.01)
    work = Fragile(error)
    background.start("fragile", work)
    await until(lambda: work.runs == 2)
    assert background.ailing() == {"fragile": type(error).__name__}
    work.error = None
    await work.running.wait()
    await background.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
