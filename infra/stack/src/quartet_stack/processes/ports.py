"""Refuse ports that another process already uses."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

import psutil

from quartet_stack.errors import StackError
from quartet_stack.processes.programs import Program
from quartet_stack.processes.readiness import HOST


def refuse_taken_ports(programs: Iterable[Program], ours: set[int], daemon: int = 0) -> None:
    """Check that every port of these programs is free, or is one of `ours`.

    A port is ours too if a process below `daemon`, the stack's own supervisord, has it: an `up` that was interrupted
    has recorded no ports.

    Raises:
        StackError: A port is in use; the message names the port, its variable and the process that has it.
    """
    for program in programs:
        for variable, port in program.ports.items():
            if port not in ours and _taken(port):
                holder = _holder(port)
                if daemon and holder and daemon in _line_of(holder):
                    continue
                raise StackError(
                    f"port {port} ({program.name}, {variable}) is in use{_described(holder)}; "
                    f"stop that process, or choose another port: {variable}={port + 1000} (PORT_OFFSET=1000 moves all)"
                )


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _holder(port: int) -> psutil.Process | None:
    """The process that listens on the port, else one that has a connection from it; None if that is not visible."""
    try:
        users = [connection for connection in psutil.net_connections("tcp") if connection.laddr[1:2] == (port,)]
        users.sort(key=lambda connection: connection.status != psutil.CONN_LISTEN)
        pid = next((connection.pid for connection in users if connection.pid), None)
        return psutil.Process(pid) if pid else None
    except psutil.Error:
        return None


def _line_of(process: psutil.Process) -> list[int]:
    """The process ids of a process and its ancestors."""
    try:
        return [process.pid, *(parent.pid for parent in process.parents())]
    except psutil.Error:
        return []


def _described(process: psutil.Process | None) -> str:
    try:
        return f" by {process.name()} (process {process.pid})" if process else ""
    except psutil.Error:
        return ""
