"""The file in which clients write down what they saw."""

from pathlib import Path

import pytest

from checkout_audit.clients import BadHistory, read_history
from checkout_audit.snapshot import Sight


def written(folder: Path, *lines: str) -> Path:
    path = folder / "history.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_a_history_is_read_line_by_line_and_each_thing_once(tmp_path: Path) -> None:
    accepted = '{"key": "k", "order_id": "o", "seen": "accepted"}'
    path = written(
        tmp_path, accepted, "", accepted, '{"key": "l", "order_id": null, "seen": "unknown", "customer": "bob", "n": 1}'
    )
    assert read_history(path) == (Sight("k", "o", "accepted"), Sight("l", None, "unknown", "bob"))


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"key": "k", "seen": "accepted"}',
        '{"key": 7, "order_id": null, "seen": "accepted"}',
        '{"key": "k", "order_id": null, "seen": "PENDING"}',
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str, tmp_path: Path) -> None:
    good = '{"key": "k", "order_id": "o", "seen": "accepted"}'
    with pytest.raises(BadHistory, match="line 2"):
        read_history(written(tmp_path, good, line))


def test_a_missing_file_is_no_empty_history(tmp_path: Path) -> None:
    with pytest.raises(BadHistory, match="HISTORY="):
        read_history(tmp_path / "nothing")
