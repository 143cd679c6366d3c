"""A TCP proxy between services and a server, for tests: it adds delay, or refuses connections."""

import asyncio
import time
from types import TracebackType
from typing import Final, Self

from tests.modes.servers import free_ports

HERE: Final = "127.0.0.1"
CHUNK: Final = 65_536


class TcpProxy:
    """Leads from `address` to `server` (both host:port), to be used in `async with`.

    `delay`: how many seconds late the server's answers arrive. `refused`: when connections were refused while the proxy
    was closed, by the monotonic clock.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._port = free_ports(1)[0]
        self.address = f"{HERE}:{self._port}"
        self.delay = 0.0
        self.closed = False
        self.refused: list[float] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._connect, HERE, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        await self.close()

    async def close(self) -> None:
        """End all connections; new ones are ended as soon as they are made."""
        self.closed = True
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def open(self) -> None:
        """Let connections through again."""
        self.closed = False

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed:
            self.refused.append(time.monotonic())
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._server)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._copy(reader, server_writer, late=False))
                    group.create_task(self._copy(server_reader, writer, late=True))
            finally:
                server_writer.transport.abort()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, late: bool) -> None:
        """Copy bytes in order, `delay` seconds later where they are `late`; then end the connection."""
        loop, timers = asyncio.get_running_loop(), set[asyncio.TimerHandle]()
        try:
            while data := await source.read(CHUNK):
                if late and self.delay:
                    timers.add(loop.call_later(self.delay, target.write, data))
                else:
                    target.write(data)
                    await target.drain()
        finally:
            for timer in timers:
                timer.cancel()
        raise ConnectionResetError
