"""What a service depends on, probed every second: its broker or coordinator, its provider.

Guarantee: no result is older than a period and a timeout, whatever a probe does. A probe that hangs delays no other,
and is not started again before it has ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sagakit.telemetry import Metrics
from sagakit.wording import stated

PERIOD: Final = 1.0
TIMEOUT: Final = 2.0

Probe = Callable[[], Awaitable[None]]
"""Returns when the dependency answers, raises when it does not."""

_CLIENTS: Final = frozenset({"aiokafka", "aiohttp", "aiobotocore", "botocore", "google", "grpc", "temporalio"})


def is_connection_error(error: BaseException | None) -> bool:
    """Whether the error, or what caused it, is of the network or of a client library."""
    while error is not None:
        if isinstance(error, OSError | EOFError) or type(error).__module__.partition(".")[0] in _CLIENTS:
            return True
        error = error.__cause__
    return False


class Dependencies:
    """`watch` adds a probe, `run` asks all of them, `away` tells which do not answer."""

    def __init__(self, metrics: Metrics, *, period: float = PERIOD, timeout: float = TIMEOUT) -> None:
        """`period`: seconds between two probes of a dependency; `timeout`: seconds for one."""
        self._metrics, self._period, self._timeout = metrics, period, timeout
        self._probes: dict[str, Probe] = {}
        self._away: dict[str, str] = {}
        self._running: dict[str, tuple[float, asyncio.Task[None]]] = {}

    def watch(self, name: str, probe: Probe) -> None:
        """Call `probe` from now on; until it has answered the dependency counts as away."""
        self._probes[name] = probe
        self._record(name, "not probed yet")

    def away(self) -> dict[str, str]:
        """What does not answer, and why: the type and code of the error, safe for everybody to read."""
        return dict(sorted(self._away.items()))

    async def run(self) -> None:
        """Probe every dependency each period, until cancelled."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                for name, probe in self._probes.items():
                    began, task = self._running.get(name, (0.0, None))
                    if task is None or task.done():
                        self._running[name] = (
                            clock(),
                            asyncio.create_task(self._probe(name, probe), name=f"probe {name}"),
                        )
                    elif clock() - began > self._timeout:
                        self._record(name, self._no_answer())
                await asyncio.sleep(self._period)
        finally:
            tasks = [task for _, task in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._running.clear()

    async def _probe(self, name: str, probe: Probe) -> None:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                await probe()
            self._record(name, "")
        except Exception as error:
            self._record(name, self._no_answer() if limit.expired() else stated(error))

    def _no_answer(self) -> str:
        return f"no answer within {self._timeout:g} s"

    def _record(self, name: str, reason: str) -> None:
        self._metrics.dependency_up.labels(name).set(not reason)
        if reason:
            self._away[name] = reason
        else:
            self._away.pop(name, None)
