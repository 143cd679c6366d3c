"""The probes of the Chaos Toolkit extension, against real databases; and how it finds the stack."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from checkout.messages import SERVICES
from checkout_audit import loading
from checkout_audit.rows import DeadLetterRow, OutboxRow
from checkout_audit.snapshot import Snapshot
from quartet_stack.errors import StackError
from quartet_stack.layout import layout
from tests.chaos.stack import StackUnderTest
from tests.chaos.toolkit.chaosquartet import probes, running
from tests.postgres import Server
from tests.unit.checkout_audit.edits import Mutation, add_row
from tests.unit.checkout_audit.filled import fill
from tests.unit.checkout_audit.world import INITIAL, every_kind

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Books:
    """A stack of databases alone."""

    def __init__(self, server: Server) -> None:
        self.urls = {service: server.empty() for service in SERVICES}
        settings = {f"{service.upper()}_DATABASE_URL": url for service, url in self.urls.items()}
        self.stack = StackUnderTest("kafka-choreography", Path("nowhere"), {**settings, "PROVIDERS": "instant"})

    def hold(self, edit: Mutation = lambda clean: clean) -> None:
        asyncio.run(fill(self.urls, edit(_clean())))


def _clean() -> Snapshot:
    return every_kind().snapshot()


@pytest.fixture(scope="module")
def made(postgres_server: Server) -> Books:
    return Books(postgres_server)


@pytest.fixture
def books(made: Books, monkeypatch: pytest.MonkeyPatch) -> Books:
    monkeypatch.setattr(running, "stack", lambda: made.stack)
    monkeypatch.setattr(loading, "CATALOGUE", [SimpleNamespace(sku=sku, stock=n) for sku, n in INITIAL.items()])
    made.stack.accounted.clear()
    return made


def test_a_stack_at_rest_is_settled_and_its_books_agree(books: Books) -> None:
    books.hold()
    assert probes.settled(seconds=30) is True
    assert probes.audit(seconds=30) is True


def test_a_message_under_way_is_not_settled_and_no_audit_is_true_meanwhile(books: Books) -> None:
    books.hold(add_row("order", "outbox", OutboxRow("declined/OrderPlaced", "events", False, 0, NOW)))
    assert probes.settled(seconds=0.1) is False
    assert probes.audit(seconds=0.1) is False


def test_a_dead_letter_makes_the_audit_false_unless_an_action_made_it_on_purpose(books: Books) -> None:
    books.hold(add_row("order", "dead_letters", DeadLetterRow("f00", "poison", NOW)))
    assert probes.audit(seconds=30) is False
    books.stack.accounted.add("f00")
    assert probes.audit(seconds=30) is True


@pytest.mark.parametrize("check", probes.RUNS)
def test_a_check_of_a_whole_run_is_not_made_up(check: str) -> None:
    with pytest.raises(probes.OnlyInMakeChaos, match=f"^{check} is judged .* make chaos EXPERIMENT="):
        getattr(probes, check)()


def test_the_stack_is_the_one_that_was_brought_up_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACK_DIR", str(tmp_path))
    with pytest.raises(StackError, match="make up"):
        running.stack()
    record = layout({"STACK_DIR": str(tmp_path)}).record
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(
        json.dumps(
            {
                "environment": {
                    "COORDINATION_MODE": "pubsub-choreography",
                    "ORDER_URL": "http://x",
                    "TOKEN_SIGNING_KEY": "k",
                }
            }
        )
    )
    found = running.stack()
    assert (found.mode, found.folder, found.environment["ORDER_URL"]) == ("pubsub-choreography", tmp_path, "http://x")


def test_actions_and_probes_account_for_the_same_dead_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_DIR", str(tmp_path))
    record = layout({"STACK_DIR": str(tmp_path)}).record
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"environment": {"COORDINATION_MODE": "temporal", "TOKEN_SIGNING_KEY": "k"}}))
    assert running.stack().accounted is running.stack().accounted
