"""Deleting handled messages, ten to a call: a call fills up across batches, and nobody waits for it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from sagakit.modes.sns_sqs.client import Receipt
from sagakit.modes.sns_sqs.wire import BATCH_ENTRIES

LINGER: Final = 0.1  # seconds for which receipts that fill no call wait for others
CALLS: Final = 16  # under way, beyond which `add` waits


class Deletes:
    """Deletes in the background. What a crash leaves undeleted comes again, and the inbox recognises it."""

    def __init__(self, delete: Callable[[Sequence[Receipt]], Coroutine[Any, Any, None]]) -> None:
        self._delete = delete
        self._waiting: list[Receipt] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def add(self, receipts: Sequence[Receipt]) -> None:
        """Delete these messages soon; waits only while CALLS are under way.

        Raises:
            Exception: The error of an earlier call: a bug of ours, since `delete` does not raise for an outage.
        """
        self._waiting += receipts
        self._start(len(self._waiting) // BATCH_ENTRIES * BATCH_ENTRIES)
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._flush)
        if len(self._calls) >= CALLS:
            await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
        ended = {call for call in self._calls if call.done()}
        self._calls -= ended
        for call in ended:
            call.result()

    async def close(self) -> None:
        """Delete what waits, and return when all calls have ended."""
        self._flush()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._calls.clear()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._start(len(self._waiting))

    def _start(self, count: int) -> None:
        for at in range(0, count, BATCH_ENTRIES):
            ten = self._waiting[at : min(at + BATCH_ENTRIES, count)]
            self._calls.add(asyncio.create_task(self._delete(ten)))
        del self._waiting[:count]
