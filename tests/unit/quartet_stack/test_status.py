"""What `make status` says of services that are not ready, or run in another mode than the stack."""

import json
from typing import Any

from quartet_stack.processes.health import describe
from tests.unit.quartet_stack.test_readiness import answering

MODE, OTHER = "kafka-choreography", "kafka-orchestration"


def said(body: dict[str, Any]) -> list[str]:
    """What is said of a stack whose order service answers that."""
    content = json.dumps({"service": "order", "mode": MODE, **body}).encode()
    with answering(b"HTTP/1.1 503 Unavailable\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)) as port:
        return list(describe({"COORDINATION_MODE": MODE, "ORDER_URL": f"http://127.0.0.1:{port}"}))


def test_nothing_is_said_of_services_that_are_ready() -> None:
    assert said({"status": "ready", "ready": True}) == []


def test_a_service_in_another_mode_is_named_with_the_command_that_helps() -> None:
    assert said({"status": "ready", "mode": OTHER}) == [
        f"order runs in {OTHER}, the stack in {MODE}; for one mode: make up MODE={MODE}"
    ]


def test_a_service_that_is_not_ready_is_named_with_its_reason() -> None:
    assert said({"status": "not ready", "reason": f"payment runs in {OTHER}"}) == [
        f"order is not ready: payment runs in {OTHER}"
    ]
    assert said({"status": "degraded", "away": {"kafka": "ConnectionRefusedError"}}) == [
        "order is degraded: kafka is away (ConnectionRefusedError)"
    ]


def test_a_service_that_does_not_answer_is_named() -> None:
    with answering(b"SSH-2.0\r\n") as port:
        lines = list(describe({"COORDINATION_MODE": MODE, "ORDER_URL": f"http://127.0.0.1:{port}"}))
    assert lines == ["order does not say whether it is ready: BadStatusLine"]
