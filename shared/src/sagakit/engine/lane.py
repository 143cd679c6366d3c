"""What waits for the dispatcher: items of requests, each with the answer that its request waits for."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from sagakit.message import Event
from sagakit.work import Item

Answer = Event | None


@dataclass(slots=True, eq=False)
class Request:
    """Items that were asked for together. `answered` is done when the last answer is there, or nobody waits for it."""

    answers: list[Answer | BaseException]
    missing: int
    answered: "asyncio.Future[None]"


@dataclass(slots=True, eq=False)
class Waiting:
    """One item of a request. The first answer counts."""

    item: Item
    request: Request
    position: int
    open: bool = True

    @property
    def wanted(self) -> bool:
        """Whether it has no answer yet, and somebody waits for one."""
        return self.open and not self.request.answered.done()

    def answer(self, answer: Answer | BaseException) -> None:
        """Give the item its answer, or the error with which it failed."""
        if self.open:
            self.open = False
            request = self.request
            request.answers[self.position] = answer
            request.missing -= 1
            if not request.missing and not request.answered.done():
                request.answered.set_result(None)


@dataclass(slots=True, eq=False)
class Lane:
    """What waits to be committed, oldest first."""

    waiting: deque[Waiting] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, waiting: Waiting) -> None:
        """Let an item wait."""
        self.waiting.append(waiting)
        self.filled.set()

    async def take(self, most: int) -> list[Waiting]:
        """Wait for items; at most `most` of them, without those for which nobody waits any longer."""
        while True:
            while not self.waiting:
                self.filled.clear()
                await self.filled.wait()
            taken = [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]
            if wanted := [waiting for waiting in taken if waiting.wanted]:
                return wanted
