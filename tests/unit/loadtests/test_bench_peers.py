"""The peers' work: what every one of them does in the databases, without a database."""

import asyncio
import io
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import asdict

import pytest

from loadtests.bench.peers import driver, pgbench
from loadtests.bench.peers.choreography import FIRST, PREFIX, REACTIONS, SUBSCRIPTIONS, TOPICS
from loadtests.bench.peers.names import PEERS
from loadtests.bench.peers.work import SERVICES, STEPS, TABLES, Order, numbered, percent
from quartet_stack.layout import REPOSITORY

ORDER = Order("o-1", "item-7", 2, 2400, "1 Main St")
STATEMENTS = [statement for step in STEPS.values() for statement in step.statements]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_parameter_of_a_statement_has_a_value(statement: str) -> None:
    text, names = numbered(statement)
    values = ORDER.values("step")
    assert set(names) <= values.keys()
    assert ":" not in text
    assert percent(statement) % dict.fromkeys(names, "x")


def test_a_parameter_that_occurs_twice_is_one_and_a_cast_is_none() -> None:
    assert numbered("SELECT :a + :b + :a::int") == ("SELECT $1 + $2 + $1::int", ("a", "b"))


def test_each_step_that_changes_a_participant_is_heard_of_once() -> None:
    assert STEPS.keys() >= {"place", "confirm", "complete"}
    assert TABLES.keys() == set(SERVICES)
    for step in STEPS.values():
        assert "RETURNING 1" in step.statements[0]
        assert step.service in SERVICES


def test_the_choreography_comes_to_an_end_and_every_step_happens_once() -> None:
    """Follow the events from the first: each service hears only topics that it is subscribed to."""
    done: Counter[str] = Counter()
    events = [(FIRST, "order")]
    while events:
        event, source = events.pop(0)
        for service, reactions in REACTIONS.items():
            if event in reactions:
                assert PREFIX + source in SUBSCRIPTIONS[service]
                done[reactions[event].step] += 1
                if reactions[event].event:
                    events.append((reactions[event].event, service))
    assert done == {step: 1 for step in STEPS if step not in ("place", "complete", "note")} | {"note": 3}
    assert set(TOPICS) == {topic for topics in SUBSCRIPTIONS.values() for topic in topics}


def test_every_peer_has_a_module_and_the_bench_knows_no_other() -> None:
    folder = REPOSITORY / "loadtests" / "bench" / "peers"
    assert {path.stem for path in folder.glob("*.py")} >= PEERS.keys()


@pytest.mark.parametrize("service", SERVICES)
def test_the_floor_does_each_step_of_a_service_once_in_one_statement(service: str) -> None:
    statements = pgbench.script(service).removeprefix(pgbench.SCRIPT)
    known = set(re.findall(r"\\set (\w+)", pgbench.SCRIPT))
    taken = [name for name, step in STEPS.items() if step.service == service and name != "note"]
    assert statements.count(";") == len(taken)
    assert set(re.findall(r"(?<!:):(\w+)", statements)) <= known
    for step in taken:
        assert all(statement.split()[0] in statements for statement in STEPS[step].statements)


def test_the_driver_tells_of_each_order_how_it_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = iter(["ok", "wrong"] * 500)

    async def buy(order: Order) -> None:
        assert 1 <= order.quantity <= 3
        if next(ends) == "wrong":
            raise ConnectionError("gone")

    monkeypatch.setattr(sys, "stdin", io.StringIO("200 0.2 1\n"))
    asyncio.run(driver.drive(buy))
    ready, told = capsys.readouterr().out.splitlines()
    assert ready == driver.READY
    counts = Counter(end for _, end, _ in json.loads(told))
    assert set(counts) == {"completed", "failed"}
    assert abs(counts["completed"] - counts["failed"]) <= 1


def test_what_the_peers_have_in_common_needs_no_package_of_the_services() -> None:
    """Their environment has none of ours but asyncpg."""
    code = "import sys, loadtests.bench.peers.choreography, loadtests.bench.peers.driver; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in loaded.stdout.split()}.isdisjoint(
        {"sagakit", "checkout", "quartet_stack", "msgspec", "sqlalchemy"}
    )


def test_an_order_survives_its_message() -> None:
    assert Order(**json.loads(json.dumps(asdict(ORDER)))) == ORDER
