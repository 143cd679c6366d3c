"""Reads the counters of a running stack's services and databases, and the CPU time of its processes.

Reading counters costs the stack CPU too: it is done before the measurement of CPU begins and after it has ended.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from loadtests.bench import processes
from loadtests.bench.disturbance import MachineTime
from loadtests.bench.record import Door, Log, Usage
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.settings import SERVICES
from sagakit.settings import Settings

TIMEOUT: Final = 10.0
# A transaction gets an id when it first writes: ids count, without delay, the transactions that sync the log, and leave
# out polls that find nothing. pg_stat_database counts all transactions, up to ten seconds late.
LOG: Final = """
    SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal_bytes,
           pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS writes
"""
EQUAL: Final = (
    "admission_latency",
    "batch_max",
    "delivery_attempts",
    "door_timeout",
    "outbox_lease",
    "outbox_poll",
    "provider_timeout",
    "retry_initial",
    "retry_max",
    "saga_deadline",
    "saga_nudge_after",
)
"""The services' settings of retries and time-outs, which have to be the same in all modes."""
DURABILITY: Final = ("fsync", "synchronous_commit", "full_page_writes")
"""PostgreSQL's settings that say when a commit is safe."""
COMPLETED: Final = "SELECT count(*) FROM orders WHERE status = 'COMPLETED'"


@dataclass(frozen=True, slots=True)
class Counters:
    """All counters of a stack at one moment; `completed` orders, doors and logs by service."""

    completed: int
    doors: Mapping[str, Door]
    logs: Mapping[str, Log]


def counters(stack: Mapping[str, str]) -> Counters:
    """Read all counters of the stack with this environment.

    Raises:
        httpx.HTTPError: A service did not answer.
        OSError: A database could not be reached.
        asyncpg.PostgresError: A database did not answer the query.
    """
    doors = {name: _door(stack[f"{name.upper()}_URL"]) for name in SERVICES}
    completed, logs = asyncio.run(_databases(stack))
    return Counters(completed, doors, logs)


def postgresql(stack: Mapping[str, str]) -> str:
    """The version of the databases' server."""
    return str(asyncio.run(_ask(addresses(stack)["order"], "SHOW server_version"))[0][0]).split()[0]


def equal_settings(stack: Mapping[str, str]) -> dict[str, str]:
    """The settings of retries, time-outs and durability that the running stack has; the databases tell theirs.

    Raises:
        OSError: A database could not be reached.
        asyncpg.PostgresError: A database did not answer the query.
    """
    ours = {name.upper(): stack.get(name.upper()) or f"{Settings.model_fields[name].default:g}" for name in EQUAL}
    return {**ours, **asyncio.run(_durability(stack))}


async def _durability(stack: Mapping[str, str]) -> dict[str, str]:
    databases = addresses(stack).values()
    return {
        name: " / ".join(sorted({str((await _ask(one, f"SHOW {name}"))[0][0]) for one in databases}))
        for name in DURABILITY
    }


def samples(url: str) -> Iterator[Sample]:
    """The samples of all metrics of a service."""
    answer = httpx.get(f"{url}/metrics", timeout=TIMEOUT)
    answer.raise_for_status()
    for family in text_string_to_metric_families(answer.text):
        yield from family.samples


def _door(url: str) -> Door:
    sums: defaultdict[str, float] = defaultdict(float)
    for sample in samples(url):
        sums[sample.name] += sample.value
    return Door(
        transactions=int(sums["saga_transaction_seconds_count"]),
        commands=int(sums["saga_batch_size_sum"]),
        seconds=sums["saga_transaction_seconds_sum"],
        messages=int(sums["saga_outbox_published_total"]),
        message_bytes=int(sums["saga_outbox_published_bytes_total"]),
    )


async def _databases(stack: Mapping[str, str]) -> tuple[int, dict[str, Log]]:
    found = addresses(stack)
    ((completed,),) = await _ask(found["order"], COMPLETED)
    return int(completed), await logs(found)


def addresses(stack: Mapping[str, str]) -> dict[str, str]:
    """The URLs of the services' databases in a stack's environment, for asyncpg."""
    return {name: stack[f"{name.upper()}_DATABASE_URL"].replace("+asyncpg", "", 1) for name in SERVICES}


async def logs(addresses: Mapping[str, str]) -> dict[str, Log]:
    """Read the counters of these databases, by service."""
    return {name: Log(*map(int, (await _ask(address, LOG))[0])) for name, address in addresses.items()}


async def _ask(address: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(address, timeout=TIMEOUT)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


class Stopwatch:
    """Reads the CPU time of the programs that ran when it was created; the difference of two readings is a Usage.

    It leaves out those in `without`, which may end meanwhile.
    """

    def __init__(self, stack_dir: str | Path, without: Collection[str] = ()) -> None:
        self._roots = {name: pid for name, pid in api.processes(stack_dir).items() if name not in without}
        self._stack_dir = stack_dir

    def read(self) -> "Reading":
        """Read the CPU time that each program has used so far.

        Raises:
            StackError: A program has ended since; the time that it used is lost.
        """
        try:
            return Reading(time.monotonic(), processes.cpu(self._roots))
        except ProcessLookupError as error:
            raise self._lost(error) from None

    def machine(self) -> MachineTime:
        """Read what the whole machine has used so far, and our part of it.

        Raises:
            StackError: A program has ended since.
        """
        try:
            return MachineTime.read(self._roots)
        except ProcessLookupError as error:
            raise self._lost(error) from None

    def _lost(self, error: ProcessLookupError) -> StackError:
        return StackError(f"{error} while it was measured; see: STACK_DIR={self._stack_dir} make logs")


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU milliseconds of each program up to a moment."""

    at: float
    cpu: Mapping[str, float]

    def __sub__(self, before: Self) -> Usage:
        return Usage(
            round(self.at - before.at, 3),
            {name: round(used - before.cpu[name], 3) for name, used in self.cpu.items()},
        )
