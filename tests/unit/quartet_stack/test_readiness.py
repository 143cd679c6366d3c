"""Probes, ports and memory, against small servers and processes of the test."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY
from quartet_stack.processes.memory import tree_pss
from quartet_stack.processes.ports import refuse_taken_ports
from quartet_stack.processes.programs import Program
from quartet_stack.processes.readiness import Check, wait_for

HTTP_READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HTTP_NOT_READY = b"HTTP/1.1 503 Unavailable\r\nContent-Length: 14\r\n\r\nbroker is away"
READY = b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"status": "ready"}'
DEGRADED = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"status": "degraded"}'
POSTGRES_STARTING = b"E\0\0\0\x20SFATAL\0C57P03\0Mstarting up\0\0"
POSTGRES_ASKS = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A server that gives each connection the next answer, and all further connections the last one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            left = list(answers)
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1024)
                    connection.sendall(left.pop(0) if len(left) > 1 else left[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(2)


@pytest.mark.parametrize(
    ("kind", "answer", "problem"),
    [
        ("http", HTTP_READY, ""),
        ("http", HTTP_NOT_READY, "503 broker is away"),
        ("ready", READY, ""),
        ("ready", DEGRADED, '200 {"status": "degraded"}'),
        ("ready", HTTP_READY, "200 "),
        ("ready", HTTP_NOT_READY, "503 broker is away"),
        ("postgres", POSTGRES_ASKS, ""),
        ("postgres", POSTGRES_STARTING, "the server is starting"),
        ("kafka", b"\0\0\0\x04\0\0\0\0", ""),
        ("tcp", b"", ""),
    ],
)
def test_a_probe_tells_ready_from_not_ready(kind: str, answer: bytes, problem: str) -> None:
    with answering(answer) as port:
        assert Check(kind, port).problem() == problem


def test_nothing_listening_is_a_problem_and_no_exception(closed_port: int) -> None:
    assert "ConnectionRefusedError" in Check("http", closed_port).problem()


def test_waiting_ends_when_the_last_one_is_ready() -> None:
    with answering(HTTP_NOT_READY, HTTP_NOT_READY, HTTP_READY) as port:
        assert wait_for({"order": Check("http", port)}, seconds=10) == {}


def test_waiting_reports_the_last_answer() -> None:
    with answering(HTTP_NOT_READY) as port:
        assert wait_for({"order": Check("http", port)}, seconds=0.2) == {"order": "503 broker is away"}


def test_waiting_ends_early_if_the_caller_gives_up(closed_port: int) -> None:
    hopeless: Callable[[object], str] = lambda names: "order"  # noqa: E731
    assert "order" in wait_for({"order": Check("tcp", closed_port)}, 60, hopeless)


def test_a_taken_port_is_named_with_its_variable() -> None:
    with answering(b"") as port:
        program = Program("order", "service", (), REPOSITORY, Check("tcp", port), ports={"ORDER_PORT": port})
        with pytest.raises(
            StackError, match=f"port {port} \\(order, ORDER_PORT\\) is in use by .* \\(process {os.getpid()}\\)"
        ):
            refuse_taken_ports([program], ours=set())
        refuse_taken_ports([program], ours={port})
        refuse_taken_ports([program], ours=set(), daemon=os.getpid())
        refuse_taken_ports([program], ours=set(), daemon=os.getppid())
        with pytest.raises(StackError, match="is in use"):
            refuse_taken_ports([program], ours=set(), daemon=2**22 + 1)


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_memory_of_a_tree_counts_its_children_and_a_missing_process_is_0() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            used = tree_pss([os.getpid(), child.pid, 2**22 + 1])
        finally:
            child.kill()
    assert used[os.getpid()] > used[child.pid] > 0
    assert used[2**22 + 1] == 0
