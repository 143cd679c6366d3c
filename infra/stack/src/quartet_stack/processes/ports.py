"""Refuse ports that another process already uses."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

import psutil

from quartet_stack.errors import StackError
from quartet_stack.processes.programs import Program
from quartet_stack.processes.readiness import HOST


def refuse_taken_ports(programs: Iterable[Program], ours: set[int]) -> None:
    """Check that every port of these programs is free, or is one of `ours`.

    Raises:
        StackError: A port is in use; the message names the port, its variable and the process that has it.
    """
    for program in programs:
        for variable, port in program.ports.items():
            if port not in ours and _taken(port):
                holder = _holder(port)
                raise StackError(
                    f"port {port} ({program.name}, {variable}) is in use{f' by {holder}' if holder else ''}; "
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


def _holder(port: int) -> str:
    """The process that listens on the port, else one that has a connection from it; empty if that is not visible."""
    try:
        users = [connection for connection in psutil.net_connections("tcp") if connection.laddr[1:2] == (port,)]
        users.sort(key=lambda connection: connection.status != psutil.CONN_LISTEN)
        pid = next((connection.pid for connection in users if connection.pid), None)
        return f"{psutil.Process(pid).name()} (process {pid})" if pid else ""
    except psutil.Error:
        return ""
