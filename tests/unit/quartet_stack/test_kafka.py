"""The calls of Kafka's own tools."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from quartet_stack.secrets_store import write_private
from quartet_stack.servers import kafka
from quartet_stack.settings import resolve


def test_a_cluster_id_that_begins_with_a_hyphen_is_not_read_as_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = resolve({"STACK_DIR": str(tmp_path)})
    write_private(chosen.layout.data, "secrets.json", json.dumps({"kafka_cluster": "-aX0yKCJQCmUTtBuAQNPhQ"}))
    seen: list[Sequence[str]] = []

    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(kafka.subprocess, "run", run)
    kafka._format(("java",), chosen, tmp_path / "server.properties")
    assert [word for word in seen[0] if "aX0yKCJQCmUTtBuAQNPhQ" in word] == ["--cluster-id=-aX0yKCJQCmUTtBuAQNPhQ"]
