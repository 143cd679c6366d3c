"""What a service depends on, asked every second whether it is there: its broker or coordinator, its provider.

Guarantee: no answer is older than a period and a time-out, whatever a probe does; one that hangs delays no other, and
is not asked again before it has ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sagakit.telemetry import Metrics
from sagakit.wording import stated

PERIOD: Final = 1.0
TIMEOUT: Final = 2.0

Probe = Callable[[], Awaitable[None]]
"""Returns when the thing answers, raises when it does not."""

_CLIENTS: Final = frozenset({"aiokafka", "aiohttp", "aiobotocore", "botocore", "google", "grpc", "temporalio"})


def is_connection_error(error: BaseException | None) -> bool:
    """Whether the error says that something could not be reached, or is one of a client library's own."""
    while error is not None:
        if isinstance(error, OSError | EOFError) or type(error).__module__.partition(".")[0] in _CLIENTS:
            return True
        error = error.__cause__
    return False


class Dependencies:
    """`watch` what matters, `run` until cancelled, ask what is `away`."""

    def __init__(self, metrics: Metrics, *, period: float = PERIOD, timeout: float = TIMEOUT) -> None:
        self._metrics, self._period, self._timeout = metrics, period, timeout
        self._probes: dict[str, Probe] = {}
        self._away: dict[str, str] = {}
        self._under_way: dict[str, tuple[float, asyncio.Task[None]]] = {}

    def watch(self, name: str, probe: Probe) -> None:
        """Ask `probe` from now on; until it has answered the thing counts as away."""
        self._probes[name] = probe
        self._tell(name, "not asked yet")

    def away(self) -> dict[str, str]:
        """What does not answer, with the kind and code of the error: anybody may read that."""
        return dict(sorted(self._away.items()))

    async def run(self) -> None:
        """Ask all, each period."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                for name, probe in self._probes.items():
                    began, task = self._under_way.get(name, (0.0, None))
                    if task is None or task.done():
                        self._under_way[name] = (
                            clock(),
                            asyncio.create_task(self._ask(name, probe), name=f"probe {name}"),
                        )
                    elif clock() - began > self._timeout:
                        self._tell(name, self._no_answer())
                await asyncio.sleep(self._period)
        finally:
            tasks = [task for _, task in self._under_way.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._under_way.clear()

    async def _ask(self, name: str, probe: Probe) -> None:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                await probe()
            self._tell(name, "")
        except Exception as error:
            self._tell(name, self._no_answer() if limit.expired() else stated(error))

    def _no_answer(self) -> str:
        return f"no answer within {self._timeout:g} s"

    def _tell(self, name: str, reason: str) -> None:
        self._metrics.dependency_up.labels(name).set(not reason)
        if reason:
            self._away[name] = reason
        else:
            self._away.pop(name, None)
