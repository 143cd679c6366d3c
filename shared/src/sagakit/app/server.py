"""How a process starts, keeps its background work alive, and stops.

Guarantee: SIGTERM and SIGINT end the process with status 0 within `DRAIN_TIMEOUT`. It stops accepting connections,
answers waiting requests, finishes those in progress, stops its background work, and only then closes what it opened.
A background task that may not be restarted and fails ends the process with status 1, for its supervisor to restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final, NoReturn, cast

import uvicorn
import uvloop
from fastapi import FastAPI

from sagakit.settings import Settings
from sagakit.tasks import Background
from sagakit.web.connections import Connections
from sagakit.web.protocol import BoundedProtocol

log = logging.getLogger("sagakit.app.server")

Hook = Callable[[], Awaitable[None]]
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_BACKLOG: Final = 2048
_HTTP_SHARE: Final = 0.6  # of the time to drain, for requests in progress
_CLOSING: Final = 5.0  # seconds after which a process that does not end is ended
_OTHER_FILES: Final = 1024  # open files besides HTTP: databases, brokers, providers, connections that are closing


class Server(uvicorn.Server):
    """uvicorn with bounded connections, and without its signal handlers, which raise the signal again."""

    task: asyncio.Task[None] | None = None

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        connections = Connections(settings, app.state.metrics)
        config = uvicorn.Config(
            app,
            http=cast(type[asyncio.Protocol], partial(BoundedProtocol, connections=connections)),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, int(settings.drain_timeout * _HTTP_SHARE)),
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield

    async def finish(self) -> None:
        """Stop accepting connections, and return when the requests in progress have ended."""
        self.should_exit = True
        if self.task is not None:
            await self.task


async def serve(
    app: FastAPI,
    settings: Settings,
    startup: Hook,
    shutdown: Hook,
    *,
    background: Background | None = None,
) -> int:
    """Run `startup`, serve `app` until a signal or a failure, run `shutdown`; the exit status.

    `shutdown` closes what was opened: it runs after `background` has stopped, and even when `startup` failed.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    status, server = 0, None
    try:
        if await _unless(stop, startup()):
            allow_connections(settings)
            server = Server(app, settings)
            status = await _until_stopped(server, listen(settings), stop, background)
    except Exception:
        log.exception("cannot run", extra={"port": settings.http_port})
        status = 1
    watchdog = _arm(settings.drain_timeout + _CLOSING, 1)
    try:
        async with asyncio.timeout(settings.drain_timeout):
            app.state.drain.start()
            if server is not None:
                await server.finish()
            if background is not None:
                await background.stop()
            await shutdown()
    except Exception:
        log.exception("the stop was not graceful")
        status = 1
    finally:
        watchdog.cancel()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    log.info("stopped", extra={"status": status})
    return status


def run(main: Coroutine[Any, Any, int]) -> NoReturn:
    """Run `main` under uvloop and exit with the status it returns, whatever else still runs.

    Imported modules are kept out of garbage collection, which also runs less often than by default: commands are small
    values without cycles, and looking for cycles among them took a third of the dispatcher's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(main)
        _arm(_CLOSING, status)
    sys.exit(status)


def allow_connections(settings: Settings) -> None:
    """Raise the limit of open files to what HTTP_CONNECTIONS_MAX needs, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.http_connections_max + _OTHER_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        log.warning("more connections are allowed than the process can open", extra={"wanted": needed, "limit": hard})
        needed = hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def listen(settings: Settings) -> socket.socket:
    """A bound socket. Several replicas share the port, and the kernel spreads connections over them.

    The socket names its protocol because asyncio sets TCP_NODELAY only then.

    Raises:
        OSError: The address is in use, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if settings.replicas > 1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((settings.http_host, settings.http_port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


async def _until_stopped(
    server: Server, sock: socket.socket, stop: asyncio.Event, background: Background | None
) -> int:
    server.task = asyncio.create_task(server.serve(sockets=[sock]), name="http")
    log.info("serving", extra={"address": "{}:{}".format(*sock.getsockname()[:2])})
    waits = [asyncio.create_task(stop.wait())]
    failed = asyncio.create_task(background.failed.wait()) if background is not None else None
    if failed is not None:
        waits.append(failed)
    await asyncio.wait({server.task, *waits}, return_when=asyncio.FIRST_COMPLETED)
    crashed = server.task.done() or (failed is not None and failed.done())
    for wait in waits:
        wait.cancel()
    return 1 if crashed else 0


async def _unless(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Whether `work` ended before `stop` was set; its error is raised, and at `stop` it is cancelled."""
    task, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        task.result()
        return not stop.is_set()
    task.cancel()
    await asyncio.wait({task})
    return False


def _arm(seconds: float, status: int) -> threading.Timer:
    """End the process after `seconds`, whatever it does, unless the timer is cancelled."""
    timer = threading.Timer(seconds, os._exit, (status,))
    timer.daemon = True
    timer.start()
    return timer
