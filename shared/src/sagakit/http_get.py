"""One small GET without a client or a pool: for requests that are made every second or so."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import httptools

_BODY_MAX: Final = 1 << 16


class _Answer:
    """Receives the parser's callbacks."""

    def __init__(self) -> None:
        self.body, self.complete = bytearray(), False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


async def get(url: str) -> tuple[int, bytes]:
    """The status and the body at the URL. It has no timeout of its own: the caller sets one.

    Raises:
        ConnectionError: The answer is not HTTP, is cut off, or is longer than 64 KiB.
        OSError: The server cannot be reached.
    """
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    try:
        request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        while not answer.complete and len(answer.body) <= _BODY_MAX and (data := await reader.read(_BODY_MAX)):
            parser.feed_data(data)
        if not answer.complete:
            raise ConnectionError("the answer is cut off or too long")
        return parser.get_status_code(), bytes(answer.body)
    except httptools.HttpParserError as error:
        raise ConnectionError(f"the answer is not HTTP: {error}") from error
    finally:
        writer.close()
