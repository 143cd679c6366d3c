"""A rolling restart goes on to the next replica only when the very one that it has restarted is ready."""

import json
from pathlib import Path
from typing import cast

import pytest

from quartet_stack.commands import restart
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.processes import rolling
from quartet_stack.processes.supervisor import Process, Supervisor
from tests.unit.quartet_stack.test_readiness import answering


class Fake:
    """A supervisor of one replica whose process is 7."""

    def processes(self) -> list[Process]:
        return [Process("order-1", "order", "RUNNING", 7, 0)]


SUPERVISOR = cast(Supervisor, Fake())


def told(pid: int, ready: bool) -> bytes:
    """One that is not ready may well take work, as long as it is only degraded; the next one is not restarted yet."""
    body = json.dumps({"pid": pid, "ready": True, "status": "ready" if ready else "degraded"}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_the_answer_of_another_replica_does_not_count() -> None:
    with answering(told(8, True), told(7, False), told(8, True), told(7, True)) as port:
        rolling._wait_ready(SUPERVISOR, "order-1", port, 10)


@pytest.mark.parametrize(("answer", "reason"), [(told(8, True), "no answer"), (told(7, False), "'status': 'degraded'")])
def test_a_replica_that_stays_away_ends_the_restart(answer: bytes, reason: str) -> None:
    with answering(answer) as port, pytest.raises(StackError, match=reason) as raised:
        rolling._wait_ready(SUPERVISOR, "order-1", port, 0.3)
    assert str(raised.value).startswith("order-1 is not ready")


def test_what_cannot_be_restarted_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"SERVICE=kafka cannot be restarted; valid: order, payment"):
        restart.main({"SERVICE": "kafka", "STACK_DIR": str(tmp_path)})
    with pytest.raises(StackError, match="make up"):
        rolling.restart(Layout(tmp_path), ["order"])
