"""Counts bytes on the TCP connections to a local port, as the kernel reports them (Linux).

No privileges are needed, but for the connections in the network of a container: root asks for them.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

NETWORK: Final = 0x40000000  # CLONE_NEWNET
SOCK_DIAG: Final = 4
BY_FAMILY: Final = 20
DUMP: Final = 0x301
DONE, ERROR = 3, 2
INFO: Final = 2
ESTABLISHED: Final = 1
HEADER, PORTS, MESSAGE, BYTES = 16, 4, 72, 120  # sizes and offsets, see linux/netlink.h, inet_diag.h and tcp.h


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes of one connection so far: received from the peer, and sent and acknowledged by it."""

    received: int
    answered: int


def connections(port: int, process: int | None = None) -> dict[int, Passed]:
    """List the connections established to `port`, by the peer's port; OSError if the kernel does not report them.

    They are those of the network of `process`, by default of this one.
    """
    with _kernel() if process is None else _kernel_of(process) as kernel:
        kernel.settimeout(2)
        by_peer: dict[int, Passed] = {}
        for family in (socket.AF_INET, socket.AF_INET6):  # a listener for both has all its connections in the second
            by_peer |= _of_family(kernel, family, port)
        return by_peer


def _of_family(kernel: socket.socket, family: int, port: int) -> dict[int, Passed]:
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 1 << (INFO - 1), 1 << ESTABLISHED)
    request += struct.pack("!HH", port, 0) + bytes(36) + b"\xff" * 8  # of any address, interface and cookie
    kernel.send(struct.pack("=IHHII", HEADER + len(request), BY_FAMILY, DUMP, 1, 0) + request)
    by_peer: dict[int, Passed] = {}
    while True:
        data = kernel.recv(1 << 16)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind == DONE:
                return by_peer
            if kind == ERROR:
                raise OSError("the kernel does not tell about connections")
            here, peer = struct.unpack_from("!HH", data, HEADER + PORTS)
            passed = _passed(data[HEADER + MESSAGE : length])
            if here == port and passed is not None:
                by_peer[peer] = passed
            data = data[_aligned(length) :]


def _kernel() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG)


def _kernel_of(process: int) -> socket.socket:
    """A socket that was made in the network of another process, by a thread that joins it; it stays there."""
    libc = ctypes.CDLL(None, use_errno=True)

    def joined() -> socket.socket:
        with open(f"/proc/{process}/ns/net") as network:
            if libc.setns(network.fileno(), NETWORK):
                raise OSError(ctypes.get_errno(), f"the network of process {process} cannot be joined")
        return _kernel()

    with ThreadPoolExecutor(1) as thread:  # which ends here, and its membership with it
        return thread.submit(joined).result()


def _passed(attributes: bytes) -> Passed | None:
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == INFO and length >= 4 + BYTES + 16:
            answered, received = struct.unpack_from("=QQ", attributes, 4 + BYTES)
            return Passed(received, answered)
        attributes = attributes[max(_aligned(length), 4) :]
    return None


def _aligned(length: int) -> int:
    return (length + 3) & ~3


@dataclass
class Traffic:
    """Counts bytes on the connections of a port since its creation; call `look` now and then, and at the end.

    `process`: one in whose network the port is; None for this one.
    """

    port: int
    process: int | None = None
    received: int = 0
    answered: int = 0
    _last: dict[int, Passed] = field(default_factory=dict)
    _first: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self._last = connections(self.port, self.process)
        self._first = frozenset(self._last)

    def look(self) -> None:
        """Add the bytes since the last look. What a connection carries after the last look before it ends is lost."""
        now = connections(self.port, self.process)
        for peer, passed in now.items():
            before = self._last.get(peer, Passed(0, 0))
            self.received += max(passed.received - before.received, 0)
            self.answered += max(passed.answered - before.answered, 0)
        self._last = now

    @property
    def broken(self) -> int:
        """How many of the first connections have ended."""
        return len(self._first - self._last.keys())
