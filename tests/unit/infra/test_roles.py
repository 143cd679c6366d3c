"""What a mode does with ROLE=api."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sagakit.app.host import PublishOnly


class Recorded:
    """A mode that records its calls, and whose consumer never ends."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def outgoing(self, event: Any, *, again: bool = False) -> Sequence[tuple[str, Any]]:
        self.asked.append("outgoing")
        return [("channel", event)]

    async def start(self, inlet: Any) -> Any:
        self.asked.append("start")

    async def publish(self, rows: Sequence[Any]) -> None:
        self.asked.append("publish")

    async def run(self) -> None:
        self.asked.append("run")
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.asked.append("close")


async def test_an_api_process_publishes_and_never_consumes() -> None:
    inner = Recorded()
    mode = PublishOnly(inner)
    await mode.start(None)  # type: ignore[arg-type]
    assert mode.outgoing("event") == [("channel", "event")]  # type: ignore[arg-type]
    await mode.publish([])
    await asyncio.wait_for(mode.run(), 1)
    await mode.close()
    assert inner.asked == ["start", "outgoing", "publish", "close"]
