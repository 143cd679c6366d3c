"""Each alert is seen to fire: a Prometheus scrapes a native stack, faults are injected, and nothing fires without them.

The rules are those of infra/observability with their durations divided by TWELVE, so that a run takes minutes.
"""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from quartet_stack import api
from quartet_stack.layout import REPOSITORY, layout
from quartet_stack.servers import prometheus
from tests.e2e.conftest import FOLDER, OFFSET, SETTINGS
from tests.e2e.stack import SERVICES, Stack, basket
from tests.modes.servers import free_ports
from tests.unit.infra.test_rules import RULES, alerts

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]

OWN: Final = FOLDER.with_name(f"{FOLDER.name}-alerts")
TWELVE: Final = 12
SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
QUIET: Final = 40.0  # seconds of an ordinary load, before the first fault
PER_SECOND: Final = 4
FEW: Final = {
    "SAGA_DEADLINE": "30",
    "SAGA_NUDGE_AFTER": "5",
    "SAGA_ATTENTION_AFTER": "20",
    "ADMISSION_FREE": "40",
    "READY_TIMEOUT": "400",
}
MODE: Final = "kafka-choreography"


def faster(rules: str) -> str:
    """The rules with every range and every `for` divided by TWELVE; 2 s at least, for a range needs two samples."""

    def divided(found: re.Match[str]) -> str:
        before, number, unit, after = found.groups()
        return f"{before}{max(2, int(number) * SECONDS[unit] // TWELVE)}s{after}"

    return re.sub(r"(\[|for: )(\d+)([smh])(\]|\n)", divided, rules)


def test_a_rule_becomes_faster_and_keeps_its_limits() -> None:
    rule = "expr: rate(a[5m]) > 60 and b[1h] < 0.1\nfor: 1m\nfor: 15m\nsummary: 5m\n"
    assert faster(rule) == "expr: rate(a[25s]) > 60 and b[300s] < 0.1\nfor: 5s\nfor: 75s\nsummary: 5m\n"


@pytest.fixture
def alerting_stack() -> Iterator[Stack]:
    api.down(stack_dir=FOLDER, delete_data=True)
    try:
        yield Stack(MODE, OWN, api.up(MODE, stack_dir=OWN, port_offset=OFFSET, env={**SETTINGS, **FEW}))
    finally:
        api.down(stack_dir=OWN, delete_data=True)


class Watched:
    """The alerts that a Prometheus has seen firing since it began."""

    def __init__(self, url: str) -> None:
        self.url, self.fired = url, dict[str, Any]()

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=5) as client:
            while True:
                with suppress(httpx.HTTPError):
                    found = (await client.get("/api/v1/alerts")).json()["data"]["alerts"]
                    self.fired |= {one["labels"]["alertname"]: one for one in found if one["state"] == "firing"}
                await asyncio.sleep(0.5)

    async def until(self, *names: str, seconds: float = 240) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while missing := set(names) - self.fired.keys():
            assert asyncio.get_running_loop().time() < end, f"{missing} not within {seconds} s; {sorted(self.fired)}"
            await asyncio.sleep(0.5)


@asynccontextmanager
async def watching(stack: Stack, folder: Path) -> AsyncIterator[Watched]:
    """Run a Prometheus over the four services."""
    program, _ = prometheus.programs(layout({}), print)
    for path in RULES:
        (folder / path.name).write_text(faster(path.read_text()))
    targets = "".join(
        f"      - {{targets: ['{stack.environment[f'{name.upper()}_URL'].partition('//')[2]}'], "
        f"labels: {{service: {name}}}}}\n"
        for name in SERVICES
    )
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        f"rule_files: {[path.name for path in RULES]}\n"
        f"scrape_configs:\n  - job_name: quartet\n    static_configs:\n{targets}"
    )
    (port,) = free_ports(1)
    words = ["--config.file", "prometheus.yml", "--storage.tsdb.path", "data", "--log.level", "error"]
    process = await asyncio.create_subprocess_exec(
        program, *words, "--web.listen-address", f"127.0.0.1:{port}", cwd=folder
    )
    watched = Watched(f"http://127.0.0.1:{port}")
    task = asyncio.create_task(watched.run())
    try:
        yield watched
    finally:
        task.cancel()
        process.terminate()
        await process.wait()


class Load:
    """Orders at a steady rate, whatever becomes of them, paid with `token`."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self.token = stack, "tok_visa"
        self._under_way = set[asyncio.Task[None]]()

    async def run(self) -> None:
        async with self._stack.client() as client:
            while True:
                task = asyncio.create_task(self._place(client))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                await asyncio.sleep(1 / PER_SECOND)

    async def _place(self, client: httpx.AsyncClient) -> None:
        headers = self._stack.headers(**{"Idempotency-Key": uuid.uuid4().hex})
        with suppress(httpx.HTTPError):
            await client.post("/orders", json=basket(token=self.token), headers=headers)


async def messages(stack: Stack, service: str, fault: Any) -> None:
    """Set what happens to the messages that a service publishes."""
    headers = stack.headers("root", "admin")
    (await stack.insist("PUT", "/faults", headers, {"set": [], "messages": fault}, service)).raise_for_status()


async def test_each_alert_fires_for_an_injected_fault_and_none_without(alerting_stack: Stack, tmp_path: Path) -> None:
    stack = alerting_stack
    load = Load(stack)
    loading = asyncio.create_task(load.run())
    try:
        async with watching(stack, tmp_path) as watched:
            await asyncio.sleep(QUIET)
            assert watched.fired == {}
            await _late_twice_and_declined(stack, watched, load)
            await _without_provider_and_table(stack, watched)
            await _without_database(stack, watched)
            stack.kill("shipping", 19)
            try:
                await watched.until("ServiceDown")
            finally:
                stack.kill("shipping", 18)
            assert watched.fired.keys() == alerts().keys()
            assert all((REPOSITORY / one["annotations"]["runbook"]).exists() for one in watched.fired.values())
    finally:
        loading.cancel()


async def _late_twice_and_declined(stack: Stack, watched: Watched, load: Load) -> None:
    load.token = "tok_declined"
    await watched.until("ManyCancellations")
    load.token = "tok_visa"
    await messages(stack, "order", {"kind": "delayed", "seconds": 15})
    for name in ("inventory", "payment", "shipping"):
        await messages(stack, name, {"kind": "duplicated", "seconds": 1})
    await watched.until("MessagesArriveLate", "ManyDuplicates", "LatencyBurnsFast", "LatencyBurnsSlowly")
    for name in SERVICES:
        await messages(stack, name, None)


async def _without_provider_and_table(stack: Stack, watched: Watched) -> None:
    stack.stop("provider")
    await stack.administer("inventory", "ALTER TABLE dead_letter RENAME TO mislaid")  # a task that reads it fails
    await watched.until("DependencyAway", "ProviderCallsFail", "OrdersDoNotSettle", "OutboxDoesNotDrain")
    await watched.until("OrdersRefused", "NeedsAttention", "TaskFails")
    await stack.administer("inventory", "ALTER TABLE mislaid RENAME TO dead_letter")
    stack.start("provider")


async def _without_database(stack: Stack, watched: Watched) -> None:
    stack.stop("order-db")
    await watched.until("DatabaseAway", "AvailabilityBurnsFast", "AvailabilityBurnsSlowly")
    stack.start("order-db")
