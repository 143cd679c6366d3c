"""Whether Kafka answers: a metadata request on a connection of its own, without a client and its background tasks."""

import asyncio
import struct
from typing import Final

_CLIENT: Final = b"quartet-probe"
# A Metadata request, version 1, about no topic: the response names the brokers. Its length comes first.
_BODY: Final = struct.pack(f"!hhih{len(_CLIENT)}si", 3, 1, 1, len(_CLIENT), _CLIENT, 0)
_REQUEST: Final = struct.pack("!i", len(_BODY)) + _BODY


async def ask_any(bootstrap: str) -> None:
    """Return when one of the servers (`host:port`, separated by commas) knows a broker.

    May wait for ever: give it a timeout.

    Raises:
        OSError: No server could be reached, or none knows a broker.
        EOFError: The last server to fail closed the connection.
    """
    requests = [asyncio.create_task(_ask(address.strip())) for address in bootstrap.split(",")]
    try:
        for answer in asyncio.as_completed(requests):
            try:
                return await answer
            except (OSError, EOFError) as error:
                failure = error
        raise failure
    finally:
        for task in requests:
            task.cancel()
        await asyncio.gather(*requests, return_exceptions=True)


async def _ask(address: str) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(_REQUEST)
        _length, _correlation, brokers = struct.unpack("!iii", await reader.readexactly(12))
        if brokers < 1:
            raise ConnectionError("the server knows no broker")
    finally:
        writer.close()
