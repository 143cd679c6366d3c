"""What a connection sends, cut into heads and bodies before a parser sees it.

Guarantee: a piece is one whole head, or belongs to one body, so that the parser never starts on a request that is not
asked for; of a head that has not ended, no more is kept than a head may have.
"""

from __future__ import annotations

from typing import Final

_END: Final = b"\r\n\r\n"


class HeadTooLong(Exception):
    """A head has too many bytes or lines, or trailers or chunk extensions have."""


class Splitter:
    """The cutter of one connection; `size` bounds a head in bytes, `lines` in header lines."""

    def __init__(self, size: int, lines: int) -> None:
        self._size, self._lines = size, lines
        self._head = bytearray()
        self._chunked, self._left, self._bare, self._tail = False, 0, 0, b""

    @property
    def size(self) -> int:
        """How many bytes are kept of a head that has begun and not ended."""
        return len(self._head)

    def clear(self) -> None:
        """Forget the head that has begun."""
        self._head.clear()

    def head(self, data: bytes, at: int) -> tuple[bytes, int]:
        """The head that ends in `data`, begun there at `at` or before, and where it ends; no bytes if it does not."""
        known = len(self._head)
        if not known and (end := data.find(_END, at)) >= 0:
            return self._checked(data[at : end + 4]), end + 4
        self._head += data[at : at + self._size + 1 - known]
        end = self._head.find(_END, max(0, known - 3))
        if end < 0:
            if len(self._head) > self._size:
                raise HeadTooLong
            return b"", len(data)
        head = bytes(self._head[: end + 4])
        self._head.clear()
        return self._checked(head), at + len(head) - known

    def begin(self, length: int, *, chunked: bool) -> None:
        """A body follows: of `length` bytes, or in chunks."""
        self._left, self._chunked, self._bare, self._tail = length, chunked, 0, b""

    def body(self, data: bytes, at: int) -> tuple[bytes, int]:
        """The next piece of the body, and where it ends."""
        if not self._chunked:
            end = min(len(data), at + self._left)
            self._left -= end - at
            return data[at:end], end
        if self._bare > self._size:
            raise HeadTooLong
        # A message in chunks ends with an empty line, and so does the head after it: never both in one piece.
        over = (self._tail + data[at : at + 3]).find(_END)
        end = at + over + 4 - len(self._tail) if over >= 0 else data.find(_END, at) + 4
        end = min(end if end > at else len(data), at + self._size)
        self._tail = (self._tail + data[max(at, end - 3) : end])[-3:]
        self._bare += end - at
        return data[at:end], end

    def fruitful(self) -> None:
        """The last piece had data in it: not all of it was extensions or trailers."""
        self._bare = 0

    def _checked(self, head: bytes) -> bytes:
        if len(head) > self._size or head.count(b"\n") - 2 > self._lines:
            raise HeadTooLong
        return head


def without_upgrade(head: bytes) -> bytes:
    """The head without its Upgrade field: a server may ignore the offer, and the parser would skip the body."""
    if b"\nupgrade" not in head.lower():
        return head
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"upgrade:"))
