"""The command: its exit status, its words, its JSON."""

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from checkout_audit import __main__ as command
from checkout_audit.audit import AuditOptions
from checkout_audit.errors import Unreachable
from checkout_audit.render import show
from checkout_audit.report import Report, judge
from checkout_audit.snapshot import Snapshot
from tests.keys import SIGNING_KEY
from tests.unit.checkout_audit.edits import ledger, order
from tests.unit.checkout_audit.world import every_kind

NOWHERE = {
    f"{service}_DATABASE_URL": f"postgresql://nobody:hidden@127.0.0.1:1/{service.lower()}"
    for service in ("ORDER", "PAYMENT", "INVENTORY", "SHIPPING")
} | {"TOKEN_SIGNING_KEY": SIGNING_KEY, "AUDIT_WAIT": "0"}


@pytest.fixture(scope="module")
def clean() -> Snapshot:
    return every_kind().snapshot()


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=160)
    show(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def reporting(monkeypatch: pytest.MonkeyPatch, report: Report) -> None:
    async def examined(*_: Any) -> Report:
        return report

    monkeypatch.setattr(command, "examine", examined)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (NOWHERE, "make up"),
        (NOWHERE | {"FORMAT": "xml"}, "table, json"),
        (NOWHERE | {"AUDIT_WAIT": "soon"}, "AUDIT_WAIT=soon"),
        (NOWHERE | {"SINCE": "yesterday"}, "SINCE=yesterday"),
        (NOWHERE | {"SINCE": "nan"}, "SINCE=nan"),
        (NOWHERE | {"HISTORY": "/nowhere/history"}, "HISTORY="),
        (NOWHERE | {"ORDER_DATABASE_URL": "nonsense"}, "postgresql://"),
    ],
)
def test_without_a_verdict_it_ends_with_one_line_and_status_2(
    environ: Mapping[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(environ) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert "hidden" not in err


def test_a_failure_of_the_audit_itself_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def failing(*_: Any) -> Report:
        raise KeyError("items")

    monkeypatch.setattr(command, "examine", failing)
    assert command.main(NOWHERE) == 2
    assert "the audit itself failed (KeyError): no verdict" in capsys.readouterr().err


def test_json_is_all_that_is_printed(
    clean: Snapshot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reporting(monkeypatch, judge(ledger("completed/capture")(clean)))
    assert command.main(NOWHERE | {"FORMAT": "json"}) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["consistent"] is False
    sixth = document["invariants"][5]
    assert (sixth["number"], sixth["violations"]) == (6, 2)
    assert sixth["found"][0]["subject"] == "completed"
    assert document["counts"]["orders"] == {"COMPLETED": 5, "CANCELLED": 10}


def test_a_consistent_stack_is_status_0(
    clean: Snapshot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reporting(monkeypatch, judge(clean))
    assert command.main(NOWHERE) == 0
    assert "consistent: 15 orders" in capsys.readouterr().out


def test_the_table_names_the_offending_orders(clean: Snapshot) -> None:
    words = shown(judge(order("completed", status="CONFIRMED")(clean)))
    assert "INCONSISTENT" in words
    assert "is still CONFIRMED" in words
    assert "180.00 EUR" in words


def test_an_empty_stack_is_reported_prominently() -> None:
    assert "NOTHING WAS CHECKED" in shown(judge(Snapshot()))


@pytest.mark.parametrize("since", ["60", "2030-01-01T00:00:00Z", "2030-01-01"])
def test_since_is_seconds_or_a_time(since: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[AuditOptions] = []

    async def examined(target: Any, options: AuditOptions, *_: Any) -> Report:
        asked.append(options)
        return judge(Snapshot())

    monkeypatch.setattr(command, "examine", examined)
    assert command.main(NOWHERE | {"SINCE": since}) == 0
    moment = asked[0].since
    assert moment is not None
    expected = datetime.now(UTC) - timedelta(seconds=60) if since == "60" else datetime(2030, 1, 1, tzinfo=UTC)
    assert abs(moment - expected) < timedelta(seconds=10)


def test_without_a_stack_it_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> Mapping[str, str]:
        raise Unreachable("no stack was brought up; start one with: make up")

    monkeypatch.setattr("checkout_audit.target._quartet_stack", none)
    assert command.main({}) == 2
    assert "make up" in capsys.readouterr().err
