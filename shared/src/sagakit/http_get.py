"""One small GET, without a client that keeps anything: for questions that are asked every second or so."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import httptools

_MOST: Final = 1 << 16


class _Answer:
    """What the parser is told of."""

    def __init__(self) -> None:
        self.body, self.complete = bytearray(), False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


async def get(url: str) -> tuple[int, bytes]:
    """The status and the body at the URL, of 64 KiB at most. It has no time-out: give it one. Raises OSError."""
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    try:
        request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        while not answer.complete and len(answer.body) <= _MOST and (data := await reader.read(_MOST)):
            parser.feed_data(data)
        if not answer.complete:
            raise ConnectionError("the answer is cut off, or too long")
        return parser.get_status_code(), bytes(answer.body)
    except httptools.HttpParserError as error:
        raise ConnectionError(f"no HTTP: {error}") from error
    finally:
        writer.close()
