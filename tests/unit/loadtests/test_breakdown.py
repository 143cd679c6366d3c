"""The breakdown of CPU time: each sample has one kind, times add up, and what has no kind cannot grow unseen."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from loadtests.bench.publish import rewritten
from loadtests.bench.record import Disturbance, Machine, Usage
from loadtests.breakdown import __main__ as command
from loadtests.breakdown import measure, summary
from loadtests.breakdown.groups import GROUPS, group_of, grouped
from loadtests.breakdown.groups import OTHER as OTHER_STATEMENTS
from loadtests.breakdown.kinds import CARRIER, KINDS, LOOP, OTHER, Samples, counted, kind_of, native_kind
from loadtests.breakdown.measure import inside, loaded
from loadtests.breakdown.record import (
    CONTENT,
    GENERATOR,
    SETTINGS,
    Floor,
    Inside,
    Load,
    Measured,
    Record,
    SampledThread,
    read,
)
from loadtests.breakdown.shares import by_kind_of, by_process, by_statement, other_part, process_of, shares, together
from loadtests.breakdown.summary import NONE_YET, markdown
from loadtests.breakdown.threads import Thread, Threads
from loadtests.buyers import Purchase
from loadtests.overload import Phase
from loadtests.saved import resume
from loadtests.statements import Statement
from quartet_stack.errors import StackError
from sagakit.modes import MODES

KAFKA = "kafka-choreography"
STACKS = Path(__file__).parent / "stacks"
MAIN = ["main (app/__main__.py:7)", "Runner.run (asyncio/runners.py:118)", "Handle__run (loop.c:70959)"]


def sampled(cpu: float = 100, waited: float = 0, ready: float = 100, **kinds: int) -> SampledThread:
    """A thread with these samples; `waiting` are those in which it waits."""
    waiting = {LOOP: kinds.pop("waiting")} if "waiting" in kinds else {}
    return SampledThread(cpu, ready, waited, dict(kinds), waiting)


def load(completed: int = 100, **cpu: float) -> Load:
    used = {name.replace("_", "-"): ms for name, ms in cpu.items()} | {GENERATOR: 10.0}
    return Load(completed, 2.0, 400, 500, used, Disturbance(0, 1.4), {})


def measured(other: int = 0, wrong: dict[str, int] | None = None) -> Measured:
    plain = load(order=100, order_db=30, payment_db=10, kafka=20, payment=40, console=1)
    plain = Load(*(plain.completed, 2.0, 400, 500, plain.cpu_ms, plain.disturbance, wrong or {}))
    order = Inside([sampled(80, HTTP=60, other=other, deciding=20)], {CARRIER: 20.0}, {"odd/x.py": other})
    payment = Inside([sampled(40, HTTP=10)], {}, {})
    statements = {GROUPS[0][0]: 3.0, OTHER_STATEMENTS: 1.0}
    inside = {"order": order, "payment": payment}
    return Measured(400, plain, load(90, order=1), inside, statements, None, Floor(100.0, 0.5))


def record(**modes: Measured) -> Record:
    machine = Machine(2, "x", 1, "3.11", "15.1")
    named = {name.replace("_", "-"): one for name, one in modes.items()}
    return Record(15, None, command.COMMAND, "c0ffee", machine, modes=named)


@pytest.mark.parametrize(
    ("carrier", "kinds"),
    [
        ("kafka", {CARRIER: "sagakit/modes/kafka", "sealing": "sagakit/sealing", LOOP: "loop.c"}),
        ("sns_sqs", {CARRIER: "botocore/", "deciding": "sagakit/engine/batch", "transactions": "asyncpg/"}),
        ("pubsub", {CARRIER: "api_core/", "encoding": "sagakit/", "HTTP": "sagakit/"}),
        ("temporal", {CARRIER: "temporalio/", "background tasks": "asyncpg/", "deciding": "sagakit/engine/batch"}),
    ],
)
def test_recorded_stacks_of_every_carrier_have_a_kind(carrier: str, kinds: dict[str, str]) -> None:
    lines = (STACKS / f"{carrier}.txt").read_text().splitlines()
    found = {kind_of(line.rpartition(" ")[0].split(";")[1:])[0] for line in lines}
    assert OTHER not in found
    assert found >= {*kinds, CARRIER, LOOP, "HTTP", "transactions", "deciding", "encoding"}
    for kind, module in kinds.items():
        assert any(module in line and kind_of(line.rpartition(" ")[0].split(";")[1:])[0] == kind for line in lines)


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        (["Dispatcher._run (sagakit/engine/dispatcher.py:9)", "decide (order_service/handlers.py:3)"], "deciding"),
        (["execute (asyncpg/connection.py:3)", "UVStream_write (loop.c:1)", "write (libc.so.6)"], "transactions"),
        (["send (aiokafka/conn.py:3)", "StreamWriter.write (asyncio/streams.py:1)", "write (libc.so.6)"], CARRIER),
        (["publish (sagakit/modes/kafka/transport.py:3)", "encode (sagakit/envelope.py:9)"], "encoding"),
        (["pack (sagakit/modes/sns_sqs/wire.py:3)", "Struct_vectorcall (msgspec/_core.so)"], "encoding"),
        (["Watcher.wait (sagakit/engine/watcher.py:3)"], "HTTP"),
        (["Sweeper.run (order_service/sweeper.py:1)", "execute (asyncpg/connection.py:3)"], "background tasks"),
        (["Admission.run (order_service/admission.py:1)", "execute (sqlalchemy/x.py:3)"], "background tasks"),
        (["Admission.admit (order_service/admission.py:1)"], "HTTP"),
        (["uv__io_poll (linux.c:1452)", "epoll_pwait (libc.so.6)"], LOOP),
        (["Background._keep (sagakit/tasks.py:212)", "sleep (asyncio/tasks.py:1)"], LOOP),
        (["<lambda> (json/decoder.py:3)", "Event.wait (asyncio/locks.py:2)"], LOOP),
        (["work (unheard_of/library.py:3)", "sleep (asyncio/tasks.py:1)"], OTHER),
        (["render (unheard_of/library.py:3)", "malloc (libc.so.6)"], OTHER),
    ],
)
def test_the_innermost_frame_with_a_rule_decides(frames: list[str], kind: str) -> None:
    assert kind_of([*MAIN, *frames])[0] == kind
    assert kind in KINDS


def test_a_stack_of_no_kind_names_the_module() -> None:
    assert kind_of([*MAIN, "work (odd/library.py:3)", "read (libc.so.6)"]) == (OTHER, "odd/library.py")


def test_each_line_is_counted_once_for_its_thread_and_waiting_apart() -> None:
    frames = ";".join(MAIN)
    lines = [
        f"thread (7): MainThread;{frames};execute (asyncpg/connection.py:3) 5",
        f"thread (7): MainThread;{frames};execute (asyncpg/connection.py:4);write (libc.so.6) 2",
        f"thread (7): MainThread;{frames};epoll_pwait (libc.so.6) 40",
        f"thread (8);{frames};lost (odd/x.py:3);pthread_cond_wait (libc.so.6);0x7ff41a202f16 (libc.so.6) 3",
        "",
    ]
    found = counted(lines)
    assert found[7] == Samples({"transactions": 7}, {LOOP: 40}, {})  # type: ignore[arg-type]
    assert (found[8].working, found[8].waiting, found[8].unnamed) == ({}, {OTHER: 3}, {"odd/x.py": 3})
    with pytest.raises(ValueError, match="not a line of py-spy's raw format"):
        counted(["main (app.py:1) 5"])


def test_threads_that_run_no_python_have_a_kind_by_their_name() -> None:
    assert [native_kind(name) for name in ("tokio-rt-worker", "event_engine", "libuv-worker")] == [
        CARRIER,
        CARRIER,
        LOOP,
    ]
    assert native_kind("strange") == OTHER


def test_waiting_for_a_core_is_no_work() -> None:
    # ready for 400 ms, of these 300 without a core: 90 of 120 samples are not work, and all of them lie in the poll
    spent = by_kind_of(sampled(waited=300, ready=100, deciding=20, waiting=100))
    assert spent == pytest.approx({"deciding": 100 * 20 / 30, LOOP: 100 * 10 / 30})
    assert by_kind_of(sampled(waited=900, ready=100, HTTP=20, waiting=10)) == {"HTTP": 100, LOOP: 0}
    assert by_kind_of(sampled(waited=900, ready=100, waiting=10)) == {LOOP: 100}
    assert by_kind_of(sampled(cpu=3)) == {OTHER: 3}


def test_the_parts_of_a_process_are_one_whole() -> None:
    found = shares(Inside([sampled(60, HTTP=10, deciding=20), sampled(20, HTTP=4)], {CARRIER: 20.0}, {}))
    assert found == pytest.approx({"HTTP": 0.4, "deciding": 0.4, CARRIER: 0.2})
    assert shares(Inside([], {}, {})) == {OTHER: 1.0}


def test_all_cpu_of_a_mode_is_somewhere() -> None:
    one = measured()
    processes = by_process(one.plain)
    assert processes == pytest.approx(
        {"order": 1.0, "payment": 0.4, "databases": 0.4, "carrier": 0.2, GENERATOR: 0.1, "other programs": 0.01}
        | {"inventory": 0, "shipping": 0}
    )
    assert together(one) == pytest.approx({"HTTP": 1.0, "deciding": 0.2, CARRIER: 0.2, OTHER: 0.0})
    assert sum(together(one).values()) == pytest.approx(processes["order"] + processes["payment"])
    assert by_statement(one) == pytest.approx({GROUPS[0][0]: 0.3, OTHER_STATEMENTS: 0.1})


def test_programs_belong_to_processes() -> None:
    names = ("order-2", "order-db", "inventory-standby", "ministack", GENERATOR, "provider")
    assert [process_of(name) for name in names] == [
        *("order", "databases", "databases", "carrier", GENERATOR, "other programs")
    ]


def test_too_much_without_a_kind_is_a_failure() -> None:
    assert command.complained(KAFKA, measured(other=10)) == []
    wrong = measured(other=40)
    assert other_part(wrong) > 0.15
    (line,) = command.complained(KAFKA, wrong)
    assert "kafka-choreography: 19% of the services' CPU has no kind" in line
    assert "odd/x.py" in line
    assert command.complained(KAFKA, measured(wrong={"TIMED_OUT": 2})) == [
        "kafka-choreography: orders that did not complete: {'TIMED_OUT': 2}"
    ]


def test_a_floor_that_is_missing_is_told_unless_the_carrier_has_none() -> None:
    assert command.complained("pubsub-orchestration", measured()) == [
        "pubsub-orchestration: the floor of its carrier could not be measured"
    ]


def test_samples_go_with_the_times_of_the_load_without_samplers() -> None:
    plain = Threads(1, 120, {1: Thread("python", 80, 5), 2: Thread("tokio-rt-worker", 15, 1), 3: Thread("odd", 5, 0)})
    slowed = Threads(1, 400, {1: Thread("python", 200, 50), 2: Thread("tokio-rt-worker", 200, 1)})
    seen = counted([f"thread (1): MainThread;{';'.join(MAIN)};a (odd/x.py:1) 6", "thread (2);b (odd/y.py:1) 9"])
    found = inside(plain, slowed, seen)
    assert found == Inside([SampledThread(80, 200, 50, {OTHER: 6}, {})], {CARRIER: 15, OTHER: 25}, {"odd/x.py": 6})


def test_a_service_that_was_restarted_between_the_loads_is_told() -> None:
    with pytest.raises(StackError, match="process 1 was restarted"):
        inside(Threads(1, 0, {1: Thread("python", 1, 1)}), Threads(2, 0, {2: Thread("python", 1, 1)}), {})


async def test_services_are_waited_for_until_they_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[httpx.Response | Exception] = [
        *(httpx.ConnectError("away"), httpx.Response(503, json={"status": "not ready"})),
        *(httpx.Response(200, json={"status": "degraded"}), httpx.Response(200, json={"status": "ready"})),
    ]

    async def get(client: httpx.AsyncClient, url: str) -> httpx.Response:
        assert url == "http://order/health/ready"
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(httpx.AsyncClient, "get", get)
    monkeypatch.setattr(measure, "EVERY", 0)
    await measure.ready({"order": "http://order"})
    assert not answers
    answers.append(httpx.Response(503, json={"status": "not ready"}))
    monkeypatch.setattr(measure, "READY", -1)
    with pytest.raises(StackError, match="order is not ready"):
        await measure.ready({"order": "http://order"})


def test_a_new_thread_has_done_its_work_since() -> None:
    before = Threads(1, 10, {1: Thread("python", 10, 1)})
    after = Threads(1, 40, {1: Thread("python", 30, 2), 5: Thread("python", 7, 3)})
    assert after.since(before) == Threads(1, 30, {1: Thread("python", 20, 1), 5: Thread("python", 7, 3)})


def test_the_threads_of_this_process_can_be_read() -> None:
    found = Threads.read(os.getpid())
    assert found.by_id[os.getpid()].cpu > 0
    assert os.getpid() in found.python()


def test_a_load_counts_completed_orders_and_names_the_others() -> None:
    ends = [Purchase(1.0, 2.0 + n / 10, "COMPLETED") for n in range(3)] + [Purchase(1.0, 2.0, "TIMED_OUT")]
    found = loaded(Phase(ends, 2.0), Usage(2.0, {"order": 3.0}).cpu, Disturbance(0, 0))
    assert (found.completed, found.rate, found.p50, found.wrong) == (3, 1.5, 1100, {"TIMED_OUT": 1})
    with pytest.raises(StackError, match="0 orders completed, too few"):
        loaded(Phase([], 2.0), {}, Disturbance(0, 0))


def test_every_statement_is_in_one_group() -> None:
    record_it = (
        "WITH moved AS (UPDATE orders AS t SET nudges = 0), told AS (INSERT INTO journal (id)) INSERT INTO outbox"
    )
    queries = {
        record_it: GROUPS[0][0],
        "WITH claimed AS (INSERT INTO inbox (id) SELECT 1), locked AS (SELECT 1 FROM orders)": "claim and lock",
        "WITH locked AS (SELECT sku FROM stock_items FOR UPDATE) SELECT * FROM locked": "claim and lock",
        "DELETE FROM outbox_batch\n WHERE token = 1": "lease and delete messages",
        "SELECT id, name, data FROM journal WHERE id = ANY($1)": "read the journal",
        "SELECT sku, price FROM catalogue": "read orders and the catalogue",
        "SELECT order_id FROM orders WHERE NOT settled": "background tasks",
        "COMMIT": OTHER_STATEMENTS,
    }
    assert {query: group_of(query) for query in queries} == queries
    assert grouped(Statement(query, 1, 1, 0.5, 0, 0) for query in queries)["claim and lock"] == 1.0


def test_the_tables_have_a_row_for_each_mode() -> None:
    text = markdown(record(kafka_choreography=measured()))
    assert "| `kafka-choreography` | 400 | 50.0 | 400 | 500 | 0.5 of 100 at 0.500 ms | – | 45.0 |" in text
    assert "| `kafka-choreography` | 1.00 | 0.40 | 0.00 | 0.00 | 0.40 | 0.20 | 0.10 | 0.01 | 2.11 |" in text
    assert "other programs used 1 % of the CPU at most" in text


def test_each_service_of_a_mode_has_its_kinds_and_the_number_of_its_samples() -> None:
    rows = {row[0]: row[1:] for row in summary.inside("kafka-choreography", measured()).rows}
    assert rows["HTTP"] == ("0.60", "0.40", "0.00", "0.00")
    assert rows["samples"] == ("80", "10", "0", "0")


def test_what_was_measured_is_kept_and_only_goes_on_with_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "raw.json"
    chosen, modes = command.plan({"MODES": "kafka,temporal", "CLIENTS": "9"})
    assert (modes, chosen.clients) == (["kafka-choreography", "temporal-orchestration"], 9)
    assert resume(path, chosen, SETTINGS, CONTENT) is chosen
    chosen.modes["kafka-choreography"] = measured()
    chosen.save(path)
    assert resume(path, command.plan({"CLIENTS": "9"})[0], SETTINGS, CONTENT) == chosen == read(path)
    with pytest.raises(ValueError, match="was made with clients 9, not None"):
        resume(path, command.plan({})[0], SETTINGS, CONTENT)
    assert command.run(chosen, path, ["kafka-choreography"]) == 0  # without any stack


def test_a_mode_that_breaks_is_left_for_the_next_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = ["sns-sqs-choreography"]
    monkeypatch.setattr(command, "postgresql", lambda stack: "15.1")

    @contextmanager
    def own_stack(mode: str) -> Iterator[dict[str, str]]:
        yield {"COORDINATION_MODE": mode}

    def measure_it(stack: dict[str, str], clients: int, *_: object) -> Measured:
        if stack["COORDINATION_MODE"] in broken:
            raise StackError("no queue")
        assert clients == command.CLIENTS[MODES[stack["COORDINATION_MODE"]].substrate]
        return replace(measured(), carrier_floor=Floor(60.0, 2.0))

    monkeypatch.setattr(command, "_own_stack", own_stack)
    monkeypatch.setattr(command, "measured", measure_it)
    path, modes = tmp_path / "raw.json", [KAFKA, "sns-sqs-choreography", "kafka-orchestration"]
    assert command.run(record(), path, modes) == 1
    assert read(path).modes.keys() == {"kafka-choreography", "kafka-orchestration"}
    broken[:] = [KAFKA, "kafka-orchestration"]  # they are not measured again
    assert command.run(read(path), path, modes) == 0
    assert read(path).modes.keys() == set(modes)


@pytest.mark.parametrize("setting", ["MODES=pigeon", "CLIENTS=0", "CLIENTS=many", "DURATION=0.5"])
def test_a_wrong_setting_is_named(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, value = setting.split("=")
    assert command.main({name: value}, []) == 2
    assert value in capsys.readouterr().err


def test_what_a_running_stack_did_is_not_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(kafka_choreography=measured()).save(tmp_path / "raw.json")
    before = command.PAGE.read_text()
    assert command.main({"REPORT": str(tmp_path)}, ["publish"]) == 2
    assert "was made on a running stack" in capsys.readouterr().err
    assert command.PAGE.read_text() == before


def test_the_page_is_what_the_command_makes_of_the_data() -> None:
    page = command.PAGE.read_text()
    text = markdown(read(command.DATA)) if command.DATA.exists() else NONE_YET
    assert page == rewritten(page, {"tables": text}, "breakdown"), f"publish it again: {command.COMMAND} publish"
