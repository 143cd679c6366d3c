"""Processes that judge slices side by side, one for each core.

Each has connections of its own, and sees the moment that the caller's transactions see.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from checkout_audit.errors import Unreachable
from checkout_audit.ledger import Ledger
from checkout_audit.loading import Reader, connections
from checkout_audit.streaming import Part, Stream, judge_slices
from checkout_audit.tables import Among

PIECE: Final = 4
"""Slices that a process is given at a time."""
_PR_SET_PDEATHSIG: Final = 1  # of Linux


def processes_for(slices: int) -> int:
    """How many processes pay: one for each core, if each has a few pieces to judge; starting them takes a while."""
    return max(1, min(len(os.sched_getaffinity(0)), slices // (2 * PIECE)))


@dataclass(frozen=True, slots=True)
class _Worker:
    """What a process keeps from one piece to the next; its connections end with the process."""

    loop: asyncio.AbstractEventLoop
    opened: AsyncExitStack
    stream: Stream


_worker: list[_Worker] = []  # of this process: one, once `_start` has run


def end_with_parent() -> None:
    """Let this process be killed when the one that has forked it ends, however that ends, where the system can do so.

    Otherwise it would wait for work for ever, with its transactions open and with the port of the parent.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(databases: Mapping[str, str], ledger: Ledger | None, moment: Mapping[str, str]) -> None:
    end_with_parent()
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    at = loop.run_until_complete(stack.enter_async_context(connections(databases, moment)))
    _worker.append(_Worker(loop, stack, Stream(Reader(at, ledger))))


def _judge(slices: Sequence[Among]) -> Part:
    (worker,) = _worker
    worker.loop.run_until_complete(judge_slices(worker.stream, slices))
    return worker.stream.take()


def judge_side_by_side(
    stream: Stream,
    databases: Mapping[str, str],
    moment: Mapping[str, str],
    slices: Sequence[Among],
    processes: int,
    on_slice: Callable[[int, int], None],
) -> None:
    """Judge the slices in so many processes; the result is in `stream`. `moment`: as `Reader.moment` returns it.

    Raises:
        Unreachable: A process could not read a database.
    """
    pieces = [slices[first : first + PIECE] for first in range(0, len(slices), PIECE)]
    with ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("fork"),  # has everything imported, and shares the sandbox's ledger
        _start,
        (databases, stream.reader.ledger, moment),
    ) as pool:
        waiting = {pool.submit(_judge, piece): len(piece) for piece in pieces}
        done = 0
        try:
            for future in as_completed(waiting):
                done += waiting.pop(future)  # with its result, or the process would keep them all
                stream.include(future.result())
                on_slice(done, len(slices))
        except Exception as error:
            pool.shutdown(wait=False, cancel_futures=True)
            raise Unreachable(f"a process of the audit failed: {error}; is the stack up?") from error
