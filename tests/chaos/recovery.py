"""How fast a killed service is back: many kills of each service under a steady load, in each mode.

python -m tests.chaos.recovery [MODES=kafka,temporal,pubsub KILLS=30 RATE=4 FOLDER=reports/recovery in the environment]

Each kill is a line in FOLDER/kills.jsonl, and what stands there is not done again: an interrupted run is resumed by the
same command. Exit status 0 if all bounds hold, 1 if not, 2 for bad input. The bounds, in seconds after the SIGKILL: the
first request that the killed service accepts (2.0, 95th percentile), the first completed order of those that were
placed after it (8.0, 95th percentile); after that first accepted request, all orders that had been placed are settled
(15.0, each time). Of all kills of a service together, at least 95 % as many orders complete in the calm after them as
in the calm before. The books must agree.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from checkout_audit.audit import audit
from checkout_audit.target import Target
from loadtests.outcomes import share
from quartet_stack import api
from sagakit.modes import resolve
from tests.e2e.stack import ENDED, SERVICES, Stack, basket

CALM: Final = 5.0  # seconds in which orders are counted, before a kill and after all is settled
BOUNDS: Final = {"accepted": 2.0, "completed": 8.0, "settled": 15.0}
THROUGHPUT: Final = 0.95
PATIENCE: Final = 60.0  # seconds after which a kill has failed
STACK: Final = {"STACK_DIR": ".stack/recovery", "PORT_OFFSET": "17000", "STACK": "native", "FAULT_INJECTION": "off"}


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: seconds until the first accepted request, until the first order completed, from then to all settled.

    `before` and `after`: orders completed in CALM seconds; `wrong`: orders that did not complete.
    """

    mode: str
    service: str
    number: int
    accepted: float
    completed: float
    settled: float
    before: int
    after: int
    wrong: int


@dataclass
class Shopper:
    """Places good orders at a steady rate, whatever becomes of them; knows when each was placed, and when it ended."""

    stack: Stack
    rate: float
    placed: dict[str, float] = field(default_factory=dict)  # order id -> when it was first sent
    ended: dict[str, tuple[float, str]] = field(default_factory=dict)  # order id -> when its end was seen, and which
    settled: set[str] = field(default_factory=set)
    open: set[asyncio.Task[None]] = field(default_factory=set)
    another: asyncio.Event = field(default_factory=asyncio.Event)  # set when an order has ended

    async def run(self, client: httpx.AsyncClient) -> None:
        """Until cancelled."""
        due = time.monotonic()
        while True:
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._shop(client))
            self.open.add(task)
            task.add_done_callback(self.open.discard)

    async def _shop(self, client: httpx.AsyncClient) -> None:
        headers = self.stack.headers(**{"Idempotency-Key": uuid4().hex, "Prefer": "wait=20"})
        began = time.monotonic()
        while True:
            try:
                answer = await client.post("/orders", headers=headers, json=basket())
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code in (200, 202):
                order = answer.json()
                self.placed.setdefault(order["order_id"], began)
                if order["status"] in ENDED:
                    self.ended[order["order_id"]] = (time.monotonic(), order["status"])
                    self.another.set()
                    return
            else:
                await asyncio.sleep(0.05)

    async def first(self, placed_after: float = 0.0) -> float:
        """When the first order was completed of those that were placed after that; waits for it."""
        while not (found := self.completed(0.0, inf, placed_after)):
            self.another.clear()
            await self.another.wait()
        return found[0]

    def completed(self, since: float, until: float, placed_after: float = 0.0) -> list[float]:
        """When orders were completed in that time, of those that were placed after `placed_after`; in order."""
        return sorted(
            at
            for order, (at, status) in self.ended.items()
            if since <= at < until and status == "COMPLETED" and self.placed[order] >= placed_after
        )


def main() -> int:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        modes = [resolve(one) for one in os.environ.get("MODES", "kafka,temporal,pubsub").split(",")]
        kills, rate = int(os.environ.get("KILLS", "30")), float(os.environ.get("RATE", "4"))
        if kills < 1 or rate <= 0:
            raise ValueError(f"KILLS={kills} RATE={rate:g}: both must be greater than 0")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    record = Path(os.environ.get("FOLDER", "reports/recovery")) / "kills.jsonl"
    record.parent.mkdir(parents=True, exist_ok=True)
    known, consistent = read(record), True
    with Progress(console=console, disable=not console.is_terminal) as progress:
        for mode in modes:
            todo = missing(known, mode, kills)
            bar = progress.add_task(mode, total=kills * len(SERVICES), completed=kills * len(SERVICES) - len(todo))

            def done(kill: Kill, bar: TaskID = bar) -> None:
                known.append(kill)
                with record.open("a") as lines:
                    lines.write(json.dumps(asdict(kill)) + "\n")
                progress.advance(bar)
                console.print(_line(kill), markup=False)

            consistent = (not todo or _in_mode(mode, todo, rate, done, console)) and consistent
    return 0 if judge([kill for kill in known if kill.mode in modes], console) and consistent else 1


def read(record: Path) -> list[Kill]:
    """The kills of earlier runs; a line that was cut off when a run was interrupted counts as none."""
    found: list[Kill] = []
    for line in record.read_text().splitlines() if record.exists() else ():
        with suppress(ValueError, TypeError):
            found.append(Kill(**json.loads(line)))
    return found


def missing(known: Sequence[Kill], mode: str, kills: int) -> list[tuple[str, int]]:
    """The (service, number) of the kills that are still to be done, one service after the other in turns."""
    done = {(kill.service, kill.number) for kill in known if kill.mode == mode}
    wanted = [(service, number) for number in range(1, kills + 1) for service in SERVICES]
    return [one for one in wanted if one not in done]


def _in_mode(
    mode: str, todo: Sequence[tuple[str, int]], rate: float, done: Callable[[Kill], None], console: Console
) -> bool:
    """Do these kills on a stack of their own; whether the books agree afterwards."""
    folder = Path(STACK["STACK_DIR"]).resolve()
    api.down(folder, delete_data=True)
    try:
        environment = api.up(mode, env=STACK)
        asyncio.run(_kills(Stack(mode, folder, environment), todo, rate, done))
        report = audit(Target.from_environment(environment))
        if not report.consistent:
            console.print(f"{mode}: the books do not agree: {report}", markup=False)
        return bool(report.consistent)
    finally:
        api.down(folder, delete_data=True)


async def _kills(stack: Stack, todo: Sequence[tuple[str, int]], rate: float, done: Callable[[Kill], None]) -> None:
    async with stack.client() as client, AsyncExitStack() as opened:
        asked = {name: await opened.enter_async_context(stack.client(name)) for name in SERVICES}
        shopper = Shopper(stack, rate)
        shopping = asyncio.create_task(shopper.run(client))
        try:
            async with asyncio.timeout(PATIENCE):
                await shopper.first()
            await asyncio.sleep(CALM)
            for service, number in todo:
                done(await _kill(stack, asked[service], shopper, service, number))
        finally:
            shopping.cancel()
            await asyncio.gather(shopping, return_exceptions=True)
            await asyncio.wait(shopper.open or {asyncio.create_task(asyncio.sleep(0))}, timeout=PATIENCE)


async def _kill(stack: Stack, client: httpx.AsyncClient, shopper: Shopper, service: str, number: int) -> Kill:
    """One kill, and calm afterwards, which is the calm before the next."""
    some_order = next(iter(shopper.ended))
    at = time.monotonic()
    before = len(shopper.completed(at - CALM, at))
    await asyncio.to_thread(stack.kill, service, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        await _accepts(stack, client, service, some_order)
        accepted = time.monotonic()
        first = await shopper.first(placed_after=at)
        settled = await _settled(stack, shopper, until=accepted)
    began = time.monotonic()
    await asyncio.sleep(CALM)
    wrong = sum(status != "COMPLETED" for ended, status in shopper.ended.values() if ended >= at)
    return Kill(
        mode=stack.mode,
        service=service,
        number=number,
        accepted=round(accepted - at, 3),
        completed=round(first - at, 3),
        settled=round(settled - accepted, 3),
        before=before,
        after=len(shopper.completed(began, began + CALM)),
        wrong=wrong,
    )


async def _accepts(stack: Stack, client: httpx.AsyncClient, service: str, order: str) -> None:
    """Until the service does what its store is needed for."""
    key = {"Idempotency-Key": uuid4().hex}
    while True:
        with suppress(httpx.TransportError):
            match service:
                case "order":
                    answer = await client.post("/orders", headers=stack.headers("killer", **key), json=basket())
                case "payment":
                    answer = await client.get(f"/payments/{order}", headers=stack.headers())
                case "shipping":
                    answer = await client.get(f"/shipments/{order}", headers=stack.headers())
                case _:
                    answer = await client.get("/stock/espresso-cup")
            if answer.status_code in (200, 202):
                return
        await asyncio.sleep(0.02)


async def _settled(stack: Stack, shopper: Shopper, until: float) -> float:
    """When the last of the orders that were placed until then was seen settled; nobody asks about one twice."""
    left = {order for order, at in shopper.placed.items() if at <= until} - shopper.settled
    while True:
        for order in sorted(left):
            found = await stack.get(f"/orders/{order}", role="admin", customer="root")
            if found["status"] in ENDED and found["settled"]:
                left.discard(order)
                shopper.settled.add(order)
        if not left:
            return time.monotonic()
        await asyncio.sleep(0.05)


def judge(kills: Sequence[Kill], console: Console) -> bool:
    """Print what was measured, by mode and service; whether all bounds hold."""
    table = Table(
        "mode", "service", "kills", "accepted p95", "completed p95", "settled max", "before", "after", "wrong", "holds",
        title="after a SIGKILL, in seconds; orders completed in the calm before and after",
    )  # fmt: skip
    fine = bool(kills)
    for mode, service in sorted({(kill.mode, kill.service) for kill in kills}):
        found = [kill for kill in kills if (kill.mode, kill.service) == (mode, service)]
        holds, figures = judged(found)
        fine = fine and holds
        table.add_row(mode, service, str(len(found)), *figures, "yes" if holds else "NO")
    console.print(table)
    return fine


def judged(kills: Sequence[Kill]) -> tuple[bool, Sequence[str]]:
    """Whether the bounds hold for these kills of one service in one mode, and the figures as text."""
    accepted, completed = p95([kill.accepted for kill in kills]), p95([kill.completed for kill in kills])
    settled = max(kill.settled for kill in kills)
    before, after, wrong = (sum(getattr(kill, name) for kill in kills) for name in ("before", "after", "wrong"))
    holds = (
        accepted <= BOUNDS["accepted"]
        and completed <= BOUNDS["completed"]
        and settled <= BOUNDS["settled"]
        and after >= THROUGHPUT * before
        and not wrong
    )
    return holds, (f"{accepted:.2f}", f"{completed:.2f}", f"{settled:.2f}", str(before), str(after), str(wrong))


def p95(values: Sequence[float]) -> float:
    """The least value that 95 % of the values do not exceed."""
    return share(sorted(values), 0.95)


def _line(kill: Kill) -> str:
    return (
        f"{kill.mode} {kill.service} {kill.number}: accepted {kill.accepted:.2f} s, completed {kill.completed:.2f} s,"
        f" settled {kill.settled:.2f} s, {kill.before} before, {kill.after} after, {kill.wrong} wrong"
    )


if __name__ == "__main__":
    sys.exit(main())
