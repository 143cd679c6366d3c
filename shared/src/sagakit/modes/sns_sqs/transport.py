"""The transport: polls that go on between calls of `receive`, settling in batches, a heartbeat for slow batches.

One poll waits; while polls return full there are more, up to POLLS. A call with ten messages costs as much as with one.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from sagakit.modes.delayed import MOST, Delayed
from sagakit.modes.sns_sqs.client import BROKER_ERRORS, POLL_SECONDS, Client, Receipt
from sagakit.modes.sns_sqs.deletes import Deletes
from sagakit.modes.sns_sqs.topology import dead_letters, plan, undelivered
from sagakit.modes.sns_sqs.wire import BATCH_ENTRIES, Packed, batches, letter_of, pack, unpack
from sagakit.ports import DeadDelivery, Delivery, OutboxRow, Retry
from sagakit.settings import Settings
from sagakit.tasks import Backoff
from sagakit.topology import Topology

log = logging.getLogger(__name__)

POLLS = 8  # receive calls at a time, ten messages each, while they return full
UNDELIVERED = "SQS gave it up: it was received too often and never settled"


class NotPublished(Exception):
    """SNS or SQS refused some of the messages, or may lack them: publish all of them again."""


@dataclass(slots=True)
class _Held:
    """A received message: hidden until `until`, which the heartbeat extends; `in_batch`: returned and not settled."""

    until: float
    in_batch: bool = False


class SnsSqsTransport:
    """One service's end of SNS and SQS. `start` and `receive` wait for the broker as long as it takes."""

    def __init__(self, settings: Settings, consumer_name: str, topology: Topology) -> None:
        self._settings = settings
        self._plan = plan(topology)
        self._queue = self._plan.consumed.get(consumer_name)
        self._visibility = max(1, ceil(settings.sqs_visibility))
        self._client = Client(settings, self._plan, self._visibility)
        self._deletes = Deletes(self._delete)
        self._polls: set[asyncio.Task[list[Delivery]]] = set()
        self._wanted = 1  # polls at a time
        self._held: dict[Receipt, _Held] = {}
        self._delayed = Delayed(settings.retry_initial, settings.retry_max)
        self._backoff = Backoff(settings.retry_initial, settings.retry_max)
        self._heartbeat: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """As Transport.start."""
        await self._client.open()

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """As Transport.publish, within seconds.

        Raises:
            NotPublished: The broker may lack some of the rows.
        """
        targets: dict[str, list[Packed]] = {}
        for row in rows:
            targets.setdefault(self._plan.targets[row.channel], []).append(pack(row.body, type=row.type))
        answers = await asyncio.gather(
            *(self._client.put(target, batch) for target, packed in targets.items() for batch in batches(packed)),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise NotPublished(repr(answer)) from answer
            if answer.get("Failed"):
                raise NotPublished(str(answer["Failed"]))

    async def receive(self) -> Sequence[Delivery]:
        """As Transport.receive: the messages of all polls that have some, and the retries that are due.

        A message that an earlier call returned and nobody has settled is extended no longer, so that it comes again.

        Raises:
            RuntimeError: A poll or the heartbeat was cancelled; or the error with which it failed, a bug of ours. The
                next call starts another.
        """
        if self._queue is None or self._closing:
            await asyncio.sleep(POLL_SECONDS)
            return ()
        now = asyncio.get_running_loop().time
        self._delayed.drop(receipt for receipt, held in self._held.items() if held.in_batch)
        self._held = {receipt: held for receipt, held in self._held.items() if not held.in_batch}
        self._start_tasks(self._queue)
        tasks = {*self._polls, *([self._heartbeat] if self._heartbeat else [])}
        wait = self._delayed.wait(now(), POLL_SECONDS)
        done, _ = await asyncio.wait(tasks, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.cancelled() or task.exception() is not None:
                self._forget(task)
                raise (None if task.cancelled() else task.exception()) or RuntimeError("a poll was cancelled")
        filled = self._polls & done
        self._polls -= filled
        full = [len(poll.result()) == BATCH_ENTRIES for poll in filled if poll.get_name() == self._queue]
        self._wanted = min(max(self._wanted + 2 * sum(full) - len(full), 1), POLLS)
        self._start_tasks(self._queue)
        deliveries = [delivery for poll in filled for delivery in poll.result()]
        deliveries += [delivery for delivery in self._delayed.due(now()) if delivery.receipt in self._held]
        for delivery in deliveries:
            self._held[delivery.receipt].in_batch = True
        return deliveries

    async def settle(self, done: Sequence[Delivery], retry: Sequence[Retry], dead: Sequence[DeadDelivery]) -> None:
        """As Transport.settle, and never raises for an outage: what the broker could not be told comes again."""
        if self._queue is None:
            return
        now = asyncio.get_running_loop().time()
        for delivery in (one.delivery for one in retry if not one.counts):
            if delivery.receipt in self._held:
                self._held[delivery.receipt].in_batch = False
                self._delayed.keep(delivery.receipt, delivery, now)
        again = [one.delivery for one in retry if one.counts]
        sent = await self._send_dead_letters(self._queue, dead)
        deleted = [delivery.receipt for delivery in (*done, *sent)]
        self._delayed.drop([*deleted, *(delivery.receipt for delivery in again)])
        for receipt in self._held.keys() & deleted:
            self._held[receipt].in_batch = False  # extended until it is deleted
        for delivery in again:
            self._held.pop(delivery.receipt, None)
        await self._client.hide({delivery.receipt: self._pause(delivery.attempt) for delivery in again})
        await self._deletes.add(deleted)

    async def close(self) -> None:
        """Let the polls end, since messages for a cancelled poll would stay hidden; give back what is in hand."""
        self._closing = True
        if self._polls:
            await asyncio.wait(self._polls, timeout=POLL_SECONDS + 1)
        tasks = [*self._polls, *([self._heartbeat] if self._heartbeat else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._deletes.close()
        await self._client.hide(dict.fromkeys(self._held, 0))
        self._polls, self._heartbeat = set(), None
        self._held.clear()
        self._delayed.clear()
        await self._client.close()

    async def probe(self) -> None:
        """Raise unless SNS and SQS answer."""
        await self._client.probe()

    def _start_tasks(self, queue: str) -> None:
        if self._heartbeat is None:
            self._heartbeat = asyncio.create_task(self._beat())
        if len(self._delayed) < MOST * self._settings.batch_max:
            for name, most in ((queue, self._wanted), (undelivered(queue), 1)):
                for _ in range(most - sum(poll.get_name() == name for poll in self._polls)):
                    self._polls.add(asyncio.create_task(self._poll(name), name=name))

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._polls.discard(task)
        if task is self._heartbeat:
            self._heartbeat = None

    async def _poll(self, queue: str) -> list[Delivery]:
        """Poll until there are messages, however long it takes; with growing pauses while the broker is unavailable."""
        failures = 0
        while not self._closing:
            try:
                messages = await self._client.poll(queue)
            except BROKER_ERRORS as error:
                log.log(logging.DEBUG if failures else logging.WARNING, "receiving failed, it is retried: %r", error)
                await asyncio.sleep(self._backoff.pause(failures))
                failures += 1
            else:
                failures = 0
                if messages:
                    return [self._hold(queue, message) for message in messages]
        return []

    def _hold(self, queue: str, message: Any) -> Delivery:
        receipt = Receipt(queue, message["ReceiptHandle"])
        self._held[receipt] = _Held(asyncio.get_running_loop().time() + self._visibility)
        attempt = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
        return Delivery(unpack(message), receipt, attempt, None if queue == self._queue else UNDELIVERED)

    async def _beat(self) -> None:
        """Extend the visibility timeout of what is in hand whenever a quarter of it is over."""
        while True:
            await asyncio.sleep(self._visibility / 4)
            now = asyncio.get_running_loop().time()
            due = [held for held in self._held.items() if held[1].until - now <= self._visibility * 3 / 4]
            for _, held in due:
                held.until = now + self._visibility
            await self._client.hide({receipt: self._visibility for receipt, _ in due})

    async def _send_dead_letters(self, queue: str, dead: Sequence[DeadDelivery]) -> list[Delivery]:
        """The deliveries whose dead letters are in the dead-letter queue now; the others come again."""
        sent: list[Delivery] = []
        remaining = iter(dead)
        for batch in batches([letter_of(one.delivery.body, one.cause) for one in dead]):
            deliveries = [next(remaining).delivery for _ in batch]
            try:
                answer = await self._client.put(dead_letters(queue), batch)
                sent += [deliveries[int(entry["Id"])] for entry in answer.get("Successful", ())]
            except BROKER_ERRORS as error:
                log.warning("%d dead letters could not be sent, their messages come again: %r", len(batch), error)
        return sent

    async def _delete(self, receipts: Sequence[Receipt]) -> None:
        await self._client.delete(receipts)
        for receipt in receipts:
            self._held.pop(receipt, None)

    def _pause(self, attempt: int) -> int:
        """The pause before the attempt after this one, in whole seconds, since SQS takes no others."""
        return ceil(self._backoff.pause(attempt - 1))
