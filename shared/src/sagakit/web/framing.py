"""Splits what a connection receives into heads and bodies before a parser sees it.

Guarantee: a piece is one whole head, or part of one body, so that the parser never starts on a request before it is
given one; of an unfinished head, no more bytes are kept than a head may have.
"""

from __future__ import annotations

from typing import Final

_END: Final = b"\r\n\r\n"


class HeadTooLong(Exception):
    """A head, the trailers or the chunk extensions have too many bytes or lines."""


class Splitter:
    """Splits the input of one connection; `size` limits the bytes of a head, `lines` its header lines."""

    def __init__(self, size: int, lines: int) -> None:
        self._size, self._lines = size, lines
        self._head = bytearray()
        self._chunked, self._left, self._overhead, self._tail = False, 0, 0, b""

    @property
    def size(self) -> int:
        """Bytes kept of an unfinished head."""
        return len(self._head)

    def clear(self) -> None:
        """Drop the unfinished head."""
        self._head.clear()

    def head(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Return the head that ends in `data` at or after `at`, and the offset of its end; no bytes if none ends there.

        Raises:
            HeadTooLong: It has more bytes or lines than a head may have.
        """
        kept = len(self._head)
        if not kept and (end := data.find(_END, at)) >= 0:
            return self._checked(data[at : end + 4]), end + 4
        self._head += data[at : at + self._size + 1 - kept]
        end = self._head.find(_END, max(0, kept - 3))
        if end < 0:
            if len(self._head) > self._size:
                raise HeadTooLong
            return b"", len(data)
        head = bytes(self._head[: end + 4])
        self._head.clear()
        return self._checked(head), at + len(head) - kept

    def begin(self, length: int, *, chunked: bool) -> None:
        """Start a body: of `length` bytes, or in chunks."""
        self._left, self._chunked, self._overhead, self._tail = length, chunked, 0, b""

    def body(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Return the next piece of the body, and the offset of its end.

        Raises:
            HeadTooLong: Chunk extensions or trailers have more bytes than a head may have.
        """
        if not self._chunked:
            end = min(len(data), at + self._left)
            self._left -= end - at
            return data[at:end], end
        if self._overhead > self._size:
            raise HeadTooLong
        # A chunked body ends with an empty line, and so does the head after it: a piece holds one of them at most.
        offset = (self._tail + data[at : at + 3]).find(_END)
        end = at + offset + 4 - len(self._tail) if offset >= 0 else data.find(_END, at) + 4
        end = min(end if end > at else len(data), at + self._size)
        self._tail = (self._tail + data[max(at, end - 3) : end])[-3:]
        self._overhead += end - at
        return data[at:end], end

    def had_data(self) -> None:
        """Record that the last piece held data, not only extensions or trailers."""
        self._overhead = 0

    def _checked(self, head: bytes) -> bytes:
        if len(head) > self._size or head.count(b"\n") - 2 > self._lines:
            raise HeadTooLong
        return head


def without_upgrade(head: bytes) -> bytes:
    """Remove the Upgrade header: a server may ignore the offer, and with it the parser would skip the body."""
    if b"\nupgrade" not in head.lower():
        return head
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"upgrade:"))
