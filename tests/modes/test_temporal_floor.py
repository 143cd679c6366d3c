"""The floor of the Temporal modes: workflows of an order's shape with nothing in them, on a real server."""

import asyncio
from contextlib import ExitStack

import pytest

from loadtests.bench.floors.noop import ORDER, PARTICIPANTS
from loadtests.bench.floors.temporal import SERVER, Floor, main, prepare, row
from sagakit.modes.temporal.connection import connect
from sagakit.settings import Settings
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION
from tests.keys import PUBLIC_KEY
from tests.modes.servers import ProcessServer

pytestmark = [pytest.mark.carrier("temporal", CHOREOGRAPHY), pytest.mark.thorough]


# 9 + 3 for each workflow task + 3 for each remote activity + a marker for each local one, with 5 to 8 workflow tasks
@pytest.mark.parametrize(("style", "events"), [(ORCHESTRATION, range(39, 49)), (CHOREOGRAPHY, range(48, 61))])
def test_an_order_of_the_floor_has_the_steps_of_a_real_one(server: ProcessServer, style: str, events: range) -> None:
    asyncio.run(connect(Settings(token_public_keys=PUBLIC_KEY, temporal_address=server.address)))  # until it is ready
    asyncio.run(prepare(server.address))
    with ExitStack() as running:
        seen, cpu = (floor := Floor(server.address, style, server.pid, running)).measure(2, 0.5)
        again, _ = floor.measure(1, 0.1)
    assert seen.orders >= 2
    assert again.orders >= 1
    assert seen.events in events
    assert set(cpu) == {SERVER, ORDER, *PARTICIPANTS}
    assert cpu[SERVER] > 0
    assert row(style, 2, seen, cpu)[:2] == (style, "2")


def test_without_a_server_the_command_says_how_to_start_one(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STACK_DIR", str(tmp_path))
    assert main([]) == 2
    assert "make up" in capsys.readouterr().err
    assert main(["soon"]) == 2
    assert "usage" in capsys.readouterr().err
