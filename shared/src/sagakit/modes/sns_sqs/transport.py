"""The transport: polls that outlive a call of `receive`, settling in batches, a heartbeat for the slow."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from sagakit.modes.delayed import MOST, Delayed
from sagakit.modes.sns_sqs.client import BROKER_ERRORS, POLL_SECONDS, Client, Receipt
from sagakit.modes.sns_sqs.topology import dead_letters, plan, undelivered
from sagakit.modes.sns_sqs.wire import Packed, cut, letter, pack, unpack
from sagakit.ports import Delivery, Failure, OutboxRow
from sagakit.settings import Settings
from sagakit.tasks import Backoff
from sagakit.topology import Topology

log = logging.getLogger(__name__)

POLLS = 8  # receive calls under way at a time, ten messages each
UNDELIVERED = "SQS gave it up: it was received too often and never settled"


class NotPublished(Exception):
    """The broker refused some of the messages, or may lack them: publish all of them again."""


@dataclass(slots=True)
class _Held:
    """A message in hand: hidden from others `until` then, extended while a poll or a batch has it, or it is delayed."""

    until: float
    given: bool = False


class SnsSqsTransport:
    """One service's end of SNS and SQS; `start` and `receive` wait for the broker as long as it takes."""

    def __init__(self, settings: Settings, consumer_name: str, topology: Topology) -> None:
        self._settings = settings
        self._plan = plan(topology)
        self._queue = self._plan.consumed.get(consumer_name)
        self._visibility = max(1, ceil(settings.sqs_visibility))
        self._client = Client(settings, self._plan, self._visibility)
        self._polls: set[asyncio.Task[list[Delivery]]] = set()
        self._held: dict[Receipt, _Held] = {}
        self._delayed = Delayed(settings.retry_initial, settings.retry_max)
        self._heartbeat: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        await self._client.open()

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        targets: dict[str, list[Packed]] = {}
        for row in rows:
            targets.setdefault(self._plan.targets[row.channel], []).append(pack(row.body, type=row.type))
        answers = await asyncio.gather(
            *(self._client.put(target, batch) for target, packed in targets.items() for batch in cut(packed)),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise NotPublished(repr(answer)) from answer
            if answer.get("Failed"):
                raise NotPublished(str(answer["Failed"]))

    async def receive(self) -> Sequence[Delivery]:
        """What the polls have brought, and what is due again; polls that go on keep theirs for the next call.

        What an earlier call returned and nobody settled is extended no more: it comes again. A poll or a heartbeat
        that failed by a fault of its own fails this call, and the next one begins another.
        """
        if self._queue is None or self._closing:
            await asyncio.sleep(POLL_SECONDS)
            return ()
        now = asyncio.get_running_loop().time
        self._delayed.drop(receipt for receipt, held in self._held.items() if held.given)
        self._held = {receipt: held for receipt, held in self._held.items() if not held.given}
        self._keep_on(self._queue)
        tasks = {*self._polls, *([self._heartbeat] if self._heartbeat else [])}
        wait = self._delayed.wait(now(), POLL_SECONDS)
        done, _ = await asyncio.wait(tasks, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.cancelled() or task.exception() is not None:
                self._forget(task)
                raise (None if task.cancelled() else task.exception()) or RuntimeError("a poll was cancelled")
        brought = self._polls & done
        self._polls -= brought
        self._keep_on(self._queue)
        deliveries = [delivery for poll in brought for delivery in poll.result()]
        deliveries += [one for one in self._delayed.due(now()) if one.receipt in self._held]
        for delivery in deliveries:
            self._held[delivery.receipt].given = True
        return deliveries

    async def settle(self, done: Sequence[Delivery], failed: Sequence[Failure]) -> None:
        """Never fails: what the broker could not be told of comes again."""
        if self._queue is None:
            return
        limit, now = self._settings.delivery_attempts, asyncio.get_running_loop().time()
        for one in (one.delivery for one in failed if not one.counts):
            if one.receipt in self._held:
                self._held[one.receipt].given = False
                self._delayed.keep(one.receipt, one, now)
        failed = [one for one in failed if one.counts]
        exhausted = [one for one in failed if one.poison or one.delivery.attempt >= limit]
        again = [one.delivery for one in failed if not one.poison and one.delivery.attempt < limit]
        buried = await self._bury(self._queue, exhausted)
        for delivery in (*done, *(one.delivery for one in failed)):
            self._held.pop(delivery.receipt, None)
            self._delayed.drop([delivery.receipt])
        await asyncio.gather(
            self._client.delete([delivery.receipt for delivery in (*done, *buried)]),
            self._client.hide({one.receipt: self._pause(one.attempt) for one in again}),
        )

    async def close(self) -> None:
        """Let the polls end, for what a cut-off poll is handed stays hidden; give back what is in hand."""
        self._closing = True
        if self._polls:
            await asyncio.wait(self._polls, timeout=POLL_SECONDS + 1)
        tasks = [*self._polls, *([self._heartbeat] if self._heartbeat else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.hide(dict.fromkeys(self._held, 0))
        self._polls, self._heartbeat = set(), None
        self._held.clear()
        self._delayed.clear()
        await self._client.close()

    async def probe(self) -> None:
        await self._client.probe()

    def _keep_on(self, queue: str) -> None:
        if self._heartbeat is None:
            self._heartbeat = asyncio.create_task(self._beat())
        if len(self._delayed) < MOST * self._settings.batch_max:
            for name, most in ((queue, POLLS), (undelivered(queue), 1)):
                for _ in range(most - sum(poll.get_name() == name for poll in self._polls)):
                    self._polls.add(asyncio.create_task(self._poll(name), name=name))

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._polls.discard(task)
        if task is self._heartbeat:
            self._heartbeat = None

    async def _poll(self, queue: str) -> list[Delivery]:
        """Poll until there is something, for as long as it takes: while the broker is away, at growing intervals."""
        pause = self._settings.retry_initial
        while not self._closing:
            try:
                messages = await self._client.poll(queue)
            except BROKER_ERRORS as error:
                first = pause == self._settings.retry_initial
                log.log(logging.WARNING if first else logging.DEBUG, "receiving failed, trying on: %r", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._settings.retry_max)
            else:
                pause = self._settings.retry_initial
                if messages:
                    return [self._hold(queue, message) for message in messages]
        return []

    def _hold(self, queue: str, message: Any) -> Delivery:
        receipt = Receipt(queue, message["ReceiptHandle"])
        self._held[receipt] = _Held(asyncio.get_running_loop().time() + self._visibility)
        times = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
        return Delivery(unpack(message), receipt, times, None if queue == self._queue else UNDELIVERED)

    async def _beat(self) -> None:
        """Extend the visibility of what is in hand when half of it is over."""
        while True:
            await asyncio.sleep(self._visibility / 4)
            now = asyncio.get_running_loop().time()
            due = [held for held in self._held.items() if held[1].until - now <= self._visibility / 2]
            for _, held in due:
                held.until = now + self._visibility
            await self._client.hide({receipt: self._visibility for receipt, _ in due})

    async def _bury(self, queue: str, failures: Sequence[Failure]) -> list[Delivery]:
        """Send to the dead-letter queue with the causes; returns what is there now, the rest comes again."""
        buried: list[Delivery] = []
        remaining = iter(failures)
        for batch in cut([letter(one.delivery.body, one.cause) for one in failures]):
            deliveries = [next(remaining).delivery for _ in batch]
            try:
                answer = await self._client.put(dead_letters(queue), batch)
                buried += [deliveries[int(one["Id"])] for one in answer.get("Successful", ())]
            except BROKER_ERRORS as error:
                log.warning("%d dead letters could not be sent, they come again: %r", len(batch), error)
        return buried

    def _pause(self, attempt: int) -> int:
        """Whole seconds, the broker knows no others: doubling from the first retry's pause to the longest."""
        settings = self._settings
        return ceil(Backoff(settings.retry_initial, settings.retry_max).pause(attempt - 1))
