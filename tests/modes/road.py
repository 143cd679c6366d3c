"""A road between services and a server, for tests: TCP, slow or closed when it is told to be."""

import asyncio
import time
from types import TracebackType
from typing import Final, Self

from tests.modes.servers import free_ports

HERE: Final = "127.0.0.1"
CHUNK: Final = 65_536


class Road:
    """Leads from `address` to `server` (both host:port), to be used in `async with`.

    `delay`: how many seconds late the server's answers arrive. `knocks`: when somebody wanted to connect while the
    road was closed, by the monotonic clock.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._port = free_ports(1)[0]
        self.address = f"{HERE}:{self._port}"
        self.delay = 0.0
        self.closed = False
        self.knocks: list[float] = []
        self._travellers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._travel, HERE, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        await self.close()

    async def close(self) -> None:
        """End all connections; new ones end as soon as they come."""
        self.closed = True
        for task in self._travellers:
            task.cancel()
        await asyncio.gather(*self._travellers, return_exceptions=True)

    def open(self) -> None:
        self.closed = False

    async def _travel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed:
            self.knocks.append(time.monotonic())
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._travellers.add(task)
        try:
            there, back = await asyncio.open_connection(*self._server)
            try:
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._carry(reader, back, late=False))
                    ways.create_task(self._carry(there, writer, late=True))
            finally:
                back.transport.abort()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._travellers.discard(task)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, late: bool) -> None:
        """What is read is written in its order, `delay` seconds later where it is `late`; ends the connection."""
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
