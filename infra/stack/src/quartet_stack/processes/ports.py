"""Ports that something else already has."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.processes.programs import Program
from quartet_stack.processes.readiness import HOST


def refuse_taken_ports(programs: Iterable[Program], ours: set[int]) -> None:
    """Raise `StackError` naming port, variable and holder when a port is in use that is not `ours`."""
    for program in programs:
        for variable, port in program.ports.items():
            if port not in ours and _taken(port):
                holder = _holder(port)
                raise StackError(
                    f"port {port} ({program.name}, {variable}) is in use{f' by {holder}' if holder else ''}; "
                    f"stop that, or choose another: {variable}={port + 1000} (PORT_OFFSET=1000 moves all)"
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
    """The process that has the port, listening or as its end of a connection, as far as the caller may know."""
    inode = next((fields[9] for fields in _sockets() if int(fields[1].split(":")[1], 16) == port), "0")
    if inode == "0":
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(link.readlink().name == f"socket:[{inode}]" for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return ""


def _sockets() -> list[list[str]]:
    """The fields of all TCP sockets, listening ones first."""
    lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return sorted((line.split() for line in lines), key=lambda fields: fields[3] != "0A")
