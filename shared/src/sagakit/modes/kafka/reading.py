"""Records as deliveries, also those that the client library cannot read.

The library raises over such a record or batch, each time anew, and what it had read with it is lost. So it is read
again one record at a time, from the place that had been come to. An offset over which it raises twice, the second time
over bytes that were fetched once more, is a delivery too: `broken` says why, the body which one it was.
"""

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import Mapping
from typing import Any, Final

import cramjam
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.structs import TopicPartition

from sagakit.modes.kafka.progress import Progress, Record
from sagakit.ports import Delivery

log = logging.getLogger(__name__)

# All that the library raises over the bytes of a batch; nothing that an outage of the broker could raise
UNREADABLE: Final = (
    CorruptRecordException,
    UnsupportedCodecError,
    UnicodeDecodeError,  # of a header's name
    cramjam.DecompressionError,
    gzip.BadGzipFile,
    zlib.error,
    SystemError,  # of lengths below zero
)
CAREFUL: Final = 5.0  # seconds of reading one by one after the last such record: more of them may follow
LOOK: Final = 0.05


class Reader:
    """`types`: for each topic the types that are wanted, others are passed over; records without a type are wanted."""

    def __init__(self, progress: Progress, types: Mapping[str, set[bytes]], batch: int) -> None:
        self._progress, self._types, self._batch = progress, types, batch
        self._careful_until = 0.0
        self._suspect: tuple[TopicPartition, int] | None = None

    async def read(self, consumer: AIOKafkaConsumer, seconds: float) -> list[Delivery]:
        """A batch, in hand of `progress`; waits at most so long for the first, and for the end of a rebalance.

        Raises KafkaError and the like when the broker is away: the consumer is of no use then.
        """
        if asyncio.get_running_loop().time() < self._careful_until:
            return await self._one_by_one(consumer, seconds)
        try:
            # nothing may be awaited between here and `take`: the records belong to the present assignment
            fetched = await consumer.getmany(timeout_ms=int(seconds * 1000), max_records=self._batch)
        except Exception as error:
            if not unreadable(error):
                raise
            log.warning("what came cannot be read, so records are read one by one for a while: %r", error)
            self._be_careful()
            await self._go_back(consumer)
            return []
        return self._take(fetched)

    async def _one_by_one(self, consumer: AIOKafkaConsumer, seconds: float) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for name in sorted(consumer.assignment()):
            while len(deliveries) < self._batch:
                try:
                    fetched = await consumer.getmany(name, timeout_ms=0, max_records=1)
                except Exception as error:
                    if not unreadable(error):
                        raise
                    deliveries += await self._broken(consumer, name, error)
                    break
                if not fetched:
                    break
                deliveries += self._take(fetched)
        if not deliveries:
            await asyncio.sleep(min(LOOK, seconds))
        return deliveries

    async def _broken(self, consumer: AIOKafkaConsumer, name: TopicPartition, error: Exception) -> list[Delivery]:
        """The unreadable record at which the consumer stands, if it was that already; else it is fetched once more."""
        self._be_careful()
        offset = await consumer.position(name)
        if self._suspect != (name, offset):
            self._suspect = name, offset
            consumer.seek(name, offset)
            return []
        place, cause = f"{name.topic}/{name.partition}/{offset}", f"{type(error).__name__}: {error}"
        body = json.dumps({"unreadable": place, "cause": cause}).encode()
        consumer.seek(name, offset + 1)
        record = ConsumerRecord(name.topic, name.partition, offset, -1, 0, None, body, None, -1, len(body), ())
        return self._progress.hand_out([self._progress.take(record, broken=f"{place} cannot be read: {cause}")])

    async def _go_back(self, consumer: AIOKafkaConsumer) -> None:
        """To the place that had been come to in each partition: a call that raised lost what it had read."""
        for name in consumer.assignment():
            offset = self._progress.following(name)
            if offset is None:
                offset = await consumer.committed(name)
            if offset is None:
                await consumer.seek_to_beginning(name)
            else:
                consumer.seek(name, offset)

    def _take(self, fetched: Mapping[TopicPartition, list[Record]]) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for records in fetched.values():
            for record in records:
                if self._wants(record):
                    deliveries.append(self._progress.take(record))
                else:
                    self._progress.skip(record)
        return self._progress.hand_out(deliveries)

    def _wants(self, record: Record) -> bool:
        kind: Any = next((value for name, value in record.headers if name == "type"), None)
        return kind is None or kind in self._types[record.topic]

    def _be_careful(self) -> None:
        self._careful_until = asyncio.get_running_loop().time() + CAREFUL


def unreadable(error: Exception) -> bool:
    # a connection that ended is an EOFError too, of a kind of its own
    return isinstance(error, UNREADABLE) or type(error) is EOFError
