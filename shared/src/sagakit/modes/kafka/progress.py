"""A consumer's progress: which records are in hand, which are to be retried, and which offsets may be committed.

Pure bookkeeping. Guarantee: an offset is offered for commit only when every record before it was finished under the
present assignment; finishing a record of an earlier assignment changes nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from aiokafka.structs import TopicPartition
from msgspec.structs import replace

from sagakit.ports import Delivery

Record: TypeAlias = Any  # aiokafka.ConsumerRecord, which has no types


class Receipt(NamedTuple):
    """A record, the number of the assignment under which it was received, and its retries that did not count."""

    assignment: int
    record: Record
    kept: int = 0

    @property
    def partition(self) -> TopicPartition:
        """Topic and partition of the record."""
        return TopicPartition(self.record.topic, self.record.partition)


@dataclass(slots=True)
class _Partition:
    """Offsets of one partition. `open`: received and not finished, in ascending order; `following`: the next one."""

    following: int
    committed: int
    open: dict[int, Record] = field(default_factory=dict)

    @property
    def done_before(self) -> int:
        return next(iter(self.open), self.following)


class Progress:
    """The progress of one consumer. `idle` is set while no delivery is in hand."""

    def __init__(self) -> None:
        self.idle = asyncio.Event()
        self.idle.set()
        self._assignment = 0
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._in_hand: dict[int, Delivery] = {}  # by the identity of its record
        self._retries: list[tuple[float, Delivery]] = []

    def take(self, record: Record, broken: str | None = None) -> Delivery:
        """The delivery of a new record; `broken` says why the record cannot be read."""
        self._advance(record).open[record.offset] = record
        return Delivery(record.value or b"", Receipt(self._assignment, record), broken=broken)

    def skip(self, record: Record) -> None:
        """Pass over a record of a type that the consumer did not subscribe to: it counts as finished."""
        self._advance(record)

    def hand_out(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Note that the deliveries are in hand, and return them."""
        for delivery in deliveries:
            self._in_hand[id(delivery.receipt.record)] = delivery
        if deliveries:
            self.idle.clear()
        return deliveries

    def finish(self, delivery: Delivery) -> None:
        """The record is acknowledged: it no longer holds its partition's offset back."""
        if partition := self._release(delivery):
            del partition.open[delivery.receipt.record.offset]

    def retry(self, delivery: Delivery, due: float, *, counts: bool = True) -> None:
        """Let the record come again at `due`: as a later attempt, or as the same one where it does not count."""
        if self._release(delivery):
            receipt: Receipt = delivery.receipt
            receipt = receipt._replace(kept=receipt.kept + (not counts))
            self._retries.append((due, replace(delivery, receipt=receipt, attempt=delivery.attempt + counts)))

    def __len__(self) -> int:
        """How many records wait to be retried."""
        return len(self._retries)

    def following(self, name: TopicPartition) -> int | None:
        """The offset after the last record received from that partition; None if none was received."""
        partition = self._partitions.get(name)
        return partition.following if partition else None

    def reclaim(self) -> None:
        """Let records that were handed out and never settled come again at once."""
        for delivery in list(self._in_hand.values()):
            self.retry(delivery, 0, counts=False)

    def due(self, now: float) -> list[Delivery]:
        """The deliveries to be retried by now; each is returned once."""
        ready = [delivery for due, delivery in self._retries if due <= now]
        self._retries = [(due, delivery) for due, delivery in self._retries if due > now]
        return ready

    def pause(self, now: float, longest: float) -> float:
        """Seconds until the next retry is due, at most `longest`."""
        return min((max(due - now, 0.0) for due, _ in self._retries), default=longest)

    def to_commit(self) -> dict[TopicPartition, int]:
        """For each partition that has one, the offset that may be committed and is not yet."""
        return {
            name: partition.done_before
            for name, partition in self._partitions.items()
            if partition.done_before > partition.committed
        }

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Note that the broker has these offsets."""
        for name, offset in offsets.items():
            if name in self._partitions:
                self._partitions[name].committed = max(offset, self._partitions[name].committed)

    def forget(self) -> None:
        """The assignment is over; the next one begins at the committed offsets."""
        self._assignment += 1
        self._partitions, self._in_hand, self._retries = {}, {}, []
        self.idle.set()

    def _release(self, delivery: Delivery) -> _Partition | None:
        """Take the delivery out of hand; None if its record is no longer this consumer's, or is finished."""
        receipt: Receipt = delivery.receipt
        self._in_hand.pop(id(receipt.record), None)
        if not self._in_hand:
            self.idle.set()
        partition = self._partitions.get(receipt.partition)
        if partition is None or receipt.assignment != self._assignment:
            return None
        return partition if partition.open.get(receipt.record.offset) is receipt.record else None

    def _advance(self, record: Record) -> _Partition:
        name = TopicPartition(record.topic, record.partition)
        partition = self._partitions.get(name)
        if partition is None or record.offset < partition.following:  # new, or deleted and created again
            partition = self._partitions[name] = _Partition(record.offset, record.offset)
        partition.following = record.offset + 1
        return partition
