"""What the probe of every transport must do; `TransportConformance` inherits it."""

import asyncio
import os
from typing import Any

import pytest

from sagakit.engine.dependencies import TIMEOUT
from sagakit.ports import Probed
from tests.modes.broker_namespace import BrokerNamespace


class ProbeConformance:
    """Uses the fixtures `namespace` and `server`."""

    patience: float

    @pytest.mark.parametrize("how", ["stop", "freeze"])
    async def test_a_probe_tells_whether_the_broker_answers(
        self, namespace: BrokerNamespace, server: Any, how: str
    ) -> None:
        alpha = await namespace.open(namespace.alpha)
        assert isinstance(alpha, Probed)
        listening = asyncio.ensure_future(namespace.listen(alpha, self.patience))

        async def answers() -> bool:
            try:
                async with asyncio.timeout(TIMEOUT):
                    await alpha.probe()
            except Exception:
                return False
            return True

        async def until_it_answers() -> None:
            async with asyncio.timeout(self.patience):
                while not await answers():  # noqa: ASYNC110 - only the broker knows
                    await asyncio.sleep(0.1)

        await until_it_answers()
        files = _open_files()
        for _ in range(100):
            await answers()  # on a machine that does much else one may come too late, and must leave nothing either
        assert _open_files() <= files + 30, "each probe leaves something open"
        await asyncio.to_thread(getattr(server, how))
        try:
            assert not await answers()
        finally:
            await asyncio.to_thread(server.thaw if how == "freeze" else server.start)
        await until_it_answers()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        rows = namespace.rows(namespace.one, 5)
        await namespace.publish(alpha, rows)
        await namespace.collect(alpha, rows)


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
