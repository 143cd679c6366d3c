"""How far a consumer has come: which records are in hand, which come again, and up to where all is done.

Pure bookkeeping. Guarantee: an offset is offered for commit only when every record before it is finished, under
the same assignment; what is finished under an assignment that is over changes nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from aiokafka.structs import TopicPartition

from sagakit.ports import Delivery

Record: TypeAlias = Any  # aiokafka.ConsumerRecord, which has no types


class Receipt(NamedTuple):
    """A record, the assignment under which it was received, and how often it was kept back without having failed."""

    term: int
    record: Record
    kept: int = 0

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(self.record.topic, self.record.partition)


@dataclass(slots=True)
class _Partition:
    """`open`: offsets that were received and are not finished, in ascending order."""

    following: int
    committed: int
    open: dict[int, Record] = field(default_factory=dict)

    @property
    def done_before(self) -> int:
        return next(iter(self.open), self.following)


class Progress:
    """One consumer's progress. `idle` is set while nothing is in hand."""

    def __init__(self) -> None:
        self.idle = asyncio.Event()
        self.idle.set()
        self._term = 0
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._in_hand: dict[tuple[TopicPartition, int], Delivery] = {}
        self._again: list[tuple[float, Delivery]] = []

    def take(self, record: Record, broken: str | None = None) -> Delivery:
        """A record that is to be handled; or given up, if it is `broken`."""
        self._seen(record).open[record.offset] = record
        return Delivery(record.value or b"", Receipt(self._term, record), broken=broken)

    def skip(self, record: Record) -> None:
        """A record that is nothing to this consumer: done as soon as it is seen."""
        self._seen(record)

    def hand_out(self, deliveries: list[Delivery]) -> list[Delivery]:
        for delivery in deliveries:
            self._in_hand[delivery.receipt.partition, delivery.receipt.record.offset] = delivery
        if deliveries:
            self.idle.clear()
        return deliveries

    def finish(self, delivery: Delivery) -> None:
        if self.put_down(delivery):
            receipt: Receipt = delivery.receipt
            del self._partitions[receipt.partition].open[receipt.record.offset]

    def repeat(self, delivery: Delivery, due: float, *, failed: bool = True) -> None:
        """Let it come again at `due`; as a later attempt if the handler has failed."""
        if self.put_down(delivery):
            receipt: Receipt = delivery.receipt
            receipt = receipt._replace(kept=receipt.kept + (not failed))
            self._again.append((due, replace(delivery, receipt=receipt, attempt=delivery.attempt + failed)))

    def __len__(self) -> int:
        """How many are to come again."""
        return len(self._again)

    def following(self, name: TopicPartition) -> int | None:
        """The offset behind the last record that was seen; None if none was."""
        partition = self._partitions.get(name)
        return partition.following if partition else None

    def put_down(self, delivery: Delivery) -> bool:
        """No longer in hand; False if it is no longer this consumer's either."""
        receipt: Receipt = delivery.receipt
        self._in_hand.pop((receipt.partition, receipt.record.offset), None)
        if not self._in_hand:
            self.idle.set()
        partition = self._partitions.get(receipt.partition)
        if partition is None or receipt.term != self._term:
            return False
        return partition.open.get(receipt.record.offset) is receipt.record

    def reclaim(self) -> None:
        """What was handed out and never settled comes again at once."""
        for delivery in list(self._in_hand.values()):
            self.repeat(delivery, 0, failed=False)

    def due(self, now: float) -> list[Delivery]:
        """What is to come again by now; given once."""
        ready = [delivery for due, delivery in self._again if due <= now]
        self._again = [(due, delivery) for due, delivery in self._again if due > now]
        return ready

    def pause(self, now: float, longest: float) -> float:
        """Seconds until something is due, `longest` at most."""
        return min((max(due - now, 0.0) for due, _ in self._again), default=longest)

    def owed(self) -> dict[TopicPartition, int]:
        """The offsets that are to be committed."""
        return {
            name: partition.done_before
            for name, partition in self._partitions.items()
            if partition.done_before > partition.committed
        }

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        for name, offset in offsets.items():
            if name in self._partitions:
                self._partitions[name].committed = max(offset, self._partitions[name].committed)

    def forget(self) -> None:
        """The assignment is over: what comes next begins at the committed offsets."""
        self._term += 1
        self._partitions, self._in_hand, self._again = {}, {}, []
        self.idle.set()

    def _seen(self, record: Record) -> _Partition:
        name = TopicPartition(record.topic, record.partition)
        partition = self._partitions.get(name)
        if partition is None or record.offset < partition.following:  # new, or a log that began anew
            partition = self._partitions[name] = _Partition(record.offset, record.offset)
        partition.following = record.offset + 1
        return partition
