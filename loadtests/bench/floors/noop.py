"""`python -m loadtests.bench.floors.noop ADDRESS NAMESPACE STYLE SERVICE`: one of the floor's four processes.

Each has one worker, as in the real modes. It prints a line when it is ready, and ends when its standard input ends.
The order process reads a load from each line, CLIENTS SECONDS, and answers with its Figures as a line of JSON.

The shapes are those of an order that completes. Orchestration: one workflow, three remote activities one after another,
three at the same time, and the order's own steps as local activities. Choreography: a workflow for each of the four
services, eight signals, ten local activities.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import count
from typing import Any, ClassVar, Final

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.service import GrpcCompression
from temporalio.worker import Worker

from loadtests.outcomes import share

ORDER: Final = "order"
PARTICIPANTS: Final = ("inventory", "payment", "shipping")
SHAPES: Final = ("orchestration", "choreography")
PAYLOAD: Final = "x" * 150
LIMIT: Final = timedelta(seconds=60)
HEARTBEAT: Final = timedelta(seconds=4)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the order process saw: orders, drain included; their duration in milliseconds; the events of the first."""

    orders: int
    seconds: float
    p50: float
    p99: float
    events: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order in flight, and whose answers are noted."""

    ended: asyncio.Future[None]
    noted: set[str]


@workflow.defn(sandboxed=False)
class NoOpSaga:
    """An order's saga without anything in it."""

    @workflow.run
    async def run(self, payload: str) -> None:
        """Hold one after another, confirm, settle at the same time."""
        for service in PARTICIPANTS:
            payload = await _remote(service, payload)
        await _local("step", payload)
        await asyncio.gather(*(self._settle(service, payload) for service in PARTICIPANTS))

    async def _settle(self, service: str, payload: str) -> None:
        await _local("record", service, await _remote(service, payload))


@workflow.defn(sandboxed=False)
class NoOpReactions:
    """A service's reactions to an order's events, without anything in them; ends after `expected` events."""

    def __init__(self) -> None:
        self._heard = 0
        self._done = 0

    @workflow.run
    async def run(self, expected: int) -> None:
        """Wait for all events."""
        await workflow.wait_condition(lambda: self._done == expected)

    @workflow.signal
    async def heard(self, payload: str) -> None:
        """React to one event."""
        self._heard += 1
        await _local("react", workflow.info().workflow_id, self._heard, payload)
        self._done += 1


async def _remote(service: str, payload: str) -> str:
    queue = f"floor-{service}"
    options: Any = {"task_queue": queue, "start_to_close_timeout": LIMIT, "heartbeat_timeout": HEARTBEAT}
    result: str = await workflow.execute_activity("step", payload, result_type=str, **options)
    return result


async def _local(name: str, *args: Any) -> None:
    await workflow.execute_local_activity(name, args=args, start_to_close_timeout=LIMIT)


class Process:
    """One service: its worker, and the orders that wait for their end, if it is the order service."""

    expected: ClassVar[dict[str, int]] = {ORDER: 4, **dict.fromkeys(PARTICIPANTS, 2)}

    def __init__(self, client: Client, style: str, service: str) -> None:
        self._client, self._style, self._service = client, style, service
        self._waiting: dict[str, Waiting] = {}

    def worker(self) -> Worker:
        """The worker, with the same options as that of the real modes where they matter."""
        kind = NoOpSaga if self._style == "orchestration" else NoOpReactions
        runs_workflows = self._service == ORDER or kind is NoOpReactions
        return Worker(
            self._client,
            task_queue=f"floor-{self._service}",
            workflows=[kind] if runs_workflows else [],
            activities=[self.step, self.record, self.react],
            no_remote_activities=runs_workflows,
            max_concurrent_workflow_task_polls=10,
            nonsticky_to_sticky_poll_ratio=0.5,
        )

    @activity.defn
    async def step(self, payload: str) -> str:
        """Do nothing."""
        return payload

    @activity.defn
    async def record(self, service: str, payload: str) -> None:
        """Note the answer of a participant: the third ends the order."""
        self._note(activity.info().workflow_id or "", service)

    @activity.defn
    async def react(self, workflow_id: str, number: int, payload: str) -> None:
        """Tell those who react to this event."""
        service, _, order = workflow_id.partition("/")
        if service == ORDER and number == 1:
            await asyncio.gather(*(self._signal(one, order, payload) for one in PARTICIPANTS))
        elif service == ORDER:
            self._note(order, str(number))
        elif number == 1:
            await self._signal((*PARTICIPANTS, ORDER)[PARTICIPANTS.index(service) + 1], order, payload)
        else:
            await self._signal(ORDER, order, payload)

    async def order(self, order: str) -> None:
        """Start one order and wait for its end."""
        waiting = self._waiting[order] = Waiting(asyncio.get_running_loop().create_future(), set())
        if self._style == "orchestration":
            await self._client.start_workflow("NoOpSaga", PAYLOAD, id=order, task_queue=f"floor-{ORDER}")
        else:
            await self._signal(PARTICIPANTS[0], order, PAYLOAD)
        await waiting.ended
        del self._waiting[order]

    async def figures(self, clients: int, seconds: float) -> Figures:
        """Keep `clients` orders in flight for `seconds`, and wait for the last one."""
        numbers, run, durations = count(), time.time_ns(), list[float]()
        began = time.monotonic()

        async def client() -> None:
            while (started := time.monotonic()) - began < seconds:
                await self.order(f"{run}-{next(numbers)}")
                durations.append(time.monotonic() - started)

        await asyncio.gather(*(client() for _ in range(clients)))
        lasted = time.monotonic() - began
        durations.sort()
        p50, p99 = (share(durations, part) * 1000 for part in (0.5, 0.99))
        return Figures(len(durations), lasted, p50, p99, await self.history_length(f"{run}-0"))

    async def history_length(self, order: str) -> int:
        """Events in the histories of one order."""
        ids = [order] if self._style == "orchestration" else [f"{one}/{order}" for one in (*PARTICIPANTS, ORDER)]
        return sum([(await self._client.get_workflow_handle(one).describe()).history_length for one in ids])

    def _note(self, order: str, what: str) -> None:
        left = self._waiting.get(order)  # none if a step is repeated after the end
        if left is not None:
            left.noted.add(what)
            if len(left.noted) == len(PARTICIPANTS) and not left.ended.done():
                left.ended.set_result(None)

    async def _signal(self, service: str, order: str, payload: str) -> None:
        await self._client.start_workflow(
            "NoOpReactions",
            self.expected[service],
            id=f"{service}/{order}",
            task_queue=f"floor-{service}",
            start_signal="heard",
            start_signal_args=[payload],
        )


async def main(address: str, namespace: str, style: str, service: str) -> None:
    """Run one process until its standard input ends."""
    client = await Client.connect(address, namespace=namespace, grpc_compression=GrpcCompression.NONE)
    process = Process(client, style, service)
    async with process.worker():
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            clients, seconds = line.split()
            figures = await process.figures(int(clients), float(seconds))
            print(json.dumps(asdict(figures)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
