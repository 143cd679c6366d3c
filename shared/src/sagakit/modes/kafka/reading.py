"""Records as deliveries, including records that the client library cannot read.

The library raises over such a record or batch each time it comes to it, and loses what it had read in the same call.
So records are then read one at a time, from the last known offset. An offset over which the library raises twice, the
second time over bytes fetched anew, becomes a delivery too: `broken` says why, the body says which offset it was.
"""

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

import cramjam
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.structs import TopicPartition

from sagakit.modes.kafka.progress import Progress, Record
from sagakit.ports import Delivery

log = logging.getLogger(__name__)

# What the library raises over the bytes of a batch. None of these may be raised by an outage of the broker.
UNREADABLE: Final = (
    CorruptRecordException,
    UnsupportedCodecError,
    UnicodeDecodeError,  # of a header's name
    cramjam.DecompressionError,
    gzip.BadGzipFile,
    zlib.error,
    SystemError,  # of a negative length
)
CAREFUL: Final = 5.0  # seconds of reading one by one after the last unreadable record, since more may follow
LOOK: Final = 0.05  # seconds between two looks while reading one by one


class Reader:
    """Reads batches of records, and passes over those whose type is not in `types` of their topic.

    Records without a type are delivered.
    """

    def __init__(self, progress: Progress, types: Mapping[str, set[bytes]], batch: int) -> None:
        self._progress, self._types, self._batch = progress, types, batch
        self._careful_until = 0.0
        self._suspect: tuple[TopicPartition, int] | None = None

    async def read(self, consumer: AIOKafkaConsumer, seconds: float) -> list[Delivery]:
        """A batch of deliveries, which are in hand of `progress`; waits at most `seconds` for the first.

        Raises:
            KafkaError: The broker is not available; the consumer cannot be used any more. So for other errors.
        """
        if asyncio.get_running_loop().time() < self._careful_until:
            return await self._one_by_one(consumer, seconds)
        try:
            # nothing may be awaited from here to `take`: the records belong to the present assignment
            fetched = await consumer.getmany(timeout_ms=int(seconds * 1000), max_records=self._batch)
        except Exception as error:
            if not unreadable(error):
                raise
            log.warning("records cannot be read, so they are read one by one for a while: %r", error)
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
        """The record at the consumer's position, as broken; at the first error over it none: it is fetched again."""
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
        """Seek behind the last record received from each partition, since a call that raised lost what it had read."""
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
        for record in chain.from_iterable(fetched.values()):
            if self._wants(record):
                deliveries.append(self._progress.take(record))
            else:
                self._progress.skip(record)
        return self._progress.hand_out(deliveries)

    def _wants(self, record: Record) -> bool:
        type_: Any = next((value for name, value in record.headers if name == "type"), None)
        return type_ is None or type_ in self._types[record.topic]

    def _be_careful(self) -> None:
        self._careful_until = asyncio.get_running_loop().time() + CAREFUL


def unreadable(error: Exception) -> bool:
    """Whether the error is over the bytes of a record, and not an outage."""
    # a connection that ended raises a subclass of EOFError
    return isinstance(error, UNREADABLE) or type(error) is EOFError
