"""Whether Kafka answers: a request for metadata on a connection of its own, without a client and its tasks."""

import asyncio
import struct
from typing import Final

_CLIENT: Final = b"quartet-probe"
# Metadata, version 1, about no topic: the answer names the brokers. The number in front of it is its length.
_BODY: Final = struct.pack(f"!hhih{len(_CLIENT)}si", 3, 1, 1, len(_CLIENT), _CLIENT, 0)
_REQUEST: Final = struct.pack("!i", len(_BODY)) + _BODY


async def ask_any(bootstrap: str) -> None:
    """Returns when one of the servers (`host:port`, separated by commas) knows of a broker; else raises, or hangs."""
    asked = [asyncio.create_task(_ask(address.strip())) for address in bootstrap.split(",")]
    try:
        for answer in asyncio.as_completed(asked):
            try:
                return await answer
            except (OSError, EOFError) as error:
                failure = error
        raise failure
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _ask(address: str) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(_REQUEST)
        _length, _correlation, brokers = struct.unpack("!iii", await reader.readexactly(12))
        if brokers < 1:
            raise ConnectionError("the server knows of no broker")
    finally:
        writer.close()
