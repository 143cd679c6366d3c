"""Probes: whether a program is ready. Each probe is cheap and ends within its timeout."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

HOST = "127.0.0.1"
PROBE_TIMEOUT = 2.0  # seconds
INTERVAL = 0.2  # seconds between two probes


@dataclass(frozen=True)
class Check:
    """How to probe a program.

    `kind` is `ready` (a GET of `path` answers 200 with the status "ready", not "degraded"), `http` (it answers 200),
    `postgres`, `kafka` or `tcp`.
    """

    kind: str
    port: int
    path: str = "/health/ready"

    def problem(self) -> str:
        """Probe once; empty if the program is ready, otherwise its answer or the error."""
        try:
            return _PROBES[self.kind](self)
        except (OSError, HTTPException, struct.error) as error:
            return f"{type(error).__name__}: {error}"


def wait_for(
    checks: Mapping[str, Check], seconds: float, give_up: Callable[[Iterable[str]], str] | None = None
) -> dict[str, str]:
    """Probe until all programs are ready or the time is over.

    Args:
        checks: Name of each program and its check.
        seconds: How long to wait.
        give_up: Called after each round with the names that are not ready; if it returns a text, the wait ends.

    Returns:
        The programs that are not ready, each with its last problem; empty if all are ready.
    """
    deadline = time.monotonic() + seconds
    waiting = dict.fromkeys(checks, "")
    while True:
        for name in list(waiting):
            waiting[name] = checks[name].problem()
            if not waiting[name]:
                del waiting[name]
        if not waiting or time.monotonic() > deadline:
            return waiting
        if give_up and give_up(waiting):
            return waiting
        time.sleep(INTERVAL)  # a program that starts announces nothing


def _http(check: Check) -> str:
    status, body = get(check)
    return "" if status == 200 else f"{status} {body.decode(errors='replace')}"


def _ready(check: Check) -> str:
    status, body = get(check)
    try:
        word = json.loads(body)["status"]
    except (ValueError, LookupError, TypeError):
        word = ""
    return "" if (status, word) == (200, "ready") else f"{status} {body.decode(errors='replace')}"


def get(check: Check) -> tuple[int, bytes]:
    """GET the path of the check; status and body."""
    connection = HTTPConnection(HOST, check.port, timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", check.path)
        answer = connection.getresponse()
        return answer.status, answer.read(20_000)
    finally:
        connection.close()


def _tcp(check: Check) -> str:
    with socket.create_connection((HOST, check.port), PROBE_TIMEOUT):
        return ""


def _postgres(check: Check) -> str:
    """A server that is still starting answers a startup message with the error 57P03."""
    startup = struct.pack("!i", 196608) + b"user\0ready\0\0"
    with socket.create_connection((HOST, check.port), PROBE_TIMEOUT) as connection:
        connection.sendall(struct.pack("!i", len(startup) + 4) + startup)
        connection.settimeout(PROBE_TIMEOUT)
        answer = connection.recv(1024)
    return "the server is starting" if not answer or b"57P03" in answer else ""


def _kafka(check: Check) -> str:
    """Any answer to ApiVersions means that the broker serves requests."""
    client = b"quartet"
    request = struct.pack("!hhih", 18, 0, 1, len(client)) + client
    with socket.create_connection((HOST, check.port), PROBE_TIMEOUT) as connection:
        connection.sendall(struct.pack("!i", len(request)) + request)
        connection.settimeout(PROBE_TIMEOUT)
        return "" if connection.recv(16) else "the broker closed the connection"


_PROBES: dict[str, Callable[[Check], str]] = {
    "http": _http,
    "ready": _ready,
    "tcp": _tcp,
    "postgres": _postgres,
    "kafka": _kafka,
}
