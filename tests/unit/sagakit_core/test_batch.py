"""A batch from inside: one effect per command, an answer for every repeat."""

import pytest

from sagakit import envelope
from sagakit.engine.batch import candidates, claims
from sagakit.message import message_id
from sagakit.ports import Claim, JournalRow
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.work import Continue, Execute, HandlerFailed, Item, Nudge, describe
from tests.unit.sagakit_core.toy import (
    SERVICE,
    Bought,
    Buy,
    BuyRequested,
    Count,
    Counted,
    Memory,
    NotBought,
    RecordBuy,
    State,
    called,
    sent,
)

CALL = ProviderCall("a/buy", "shop", "buy", {"thing": "a"})


def test_a_command_changes_the_state_and_leaves_event_journal_entry_and_message() -> None:
    memory = Memory()
    answers, changes = memory.claim_and_load(Execute(Count("a", 2), "cause", "trace"))
    assert answers == [Counted("a", 2)]
    assert memory.states == {"a": State(2)}
    assert changes.journal == [JournalRow(Counted("a", 2), "a/Count", "trace")]
    assert sent(changes) == [Counted("a", 2)]


def test_a_message_in_the_outbox_names_its_event_as_the_cause_and_its_subject_as_the_key() -> None:
    _, changes = Memory().claim_and_load(Execute(Count("a", 2), "cause", "00-trace"))
    (row,) = changes.outbox.values()
    assert (row.id, row.channel, row.key, row.type) == ("a/Counted", "channel", "a", "Counted")
    parcel = envelope.decode(row.body, SERVICE.wire)
    assert (parcel.source, parcel.cause, parcel.traceparent) == ("toy", "a/Counted", "00-trace")


def test_a_repeat_has_no_effect_and_is_answered_again() -> None:
    memory = Memory()
    memory.claim_and_load(Execute(Count("a", 2)))
    answers, changes = memory.claim_and_load(Execute(Count("a", 2)))
    assert answers == [Counted("a", 2)]
    assert memory.states == {"a": State(2)}
    assert changes.journal == []
    assert sent(changes) == [Counted("a", 2)]
    assert memory.mode.again == ["a/Counted"]


def test_a_repeat_in_the_same_batch_is_a_repeat() -> None:
    memory = Memory()
    answers, changes = memory.claim_and_load(Execute(Count("a", 2)), Execute(Count("a", 2)))
    assert answers == [Counted("a", 2)] * 2
    assert memory.states == {"a": State(2)}
    assert len(changes.journal) == len(changes.outbox) == 1


def test_commands_about_one_subject_are_applied_one_after_another() -> None:
    memory = Memory()
    memory.claim_and_load(Execute(Count("a", 2)), Execute(Buy("a")), Execute(Count("b", 3)))
    assert memory.states == {"a": State(2, "BuyRequested"), "b": State(3)}


def test_a_call_is_committed_as_an_intent_and_its_event_stays_private() -> None:
    memory = Memory()
    answers, changes = memory.claim_and_load(Execute(Buy("a")))
    assert answers == [BuyRequested("a")]
    assert called(changes) == [CALL]
    assert sent(changes) == []
    assert changes.ledger == []


def test_a_repeat_while_the_call_is_under_way_has_no_answer_yet_and_calls_nobody() -> None:
    memory = Memory()
    memory.claim_and_load(Execute(Buy("a")))
    answers, changes = memory.claim_and_load(Execute(Buy("a")))
    assert answers == [None]
    assert changes.outbox == {}


@pytest.mark.parametrize(("outcome", "event"), [("ok", Bought("a")), ("declined", NotBought("a"))])
def test_once_the_answer_is_recorded_a_repeat_is_answered_with_it(outcome: str, event: Bought | NotBought) -> None:
    memory = Memory()
    memory.claim_and_load(Execute(Buy("a")))
    memory.claim_and_load(Execute(RecordBuy("a", outcome), CALL.key))
    answers, changes = memory.claim_and_load(Execute(Buy("a")))
    assert answers == [event]
    assert sent(changes) == [event]


def test_an_instant_provider_is_asked_before_the_commit_and_saves_the_second_transaction() -> None:
    outcome = ProviderOutcome("ok", "", "ref")
    memory = Memory(instant={"buy": outcome})
    answers, changes = memory.claim_and_load(Execute(Buy("a")))
    assert answers == [Bought("a")]
    assert called(changes) == []
    assert [(entry.call, entry.outcome) for entry in changes.ledger] == [(CALL, outcome)]
    assert [entry.event for entry in changes.journal] == [BuyRequested("a"), Bought("a")]
    assert changes.journal[1].command == "a/RecordBuy"
    assert sent(changes) == [Bought("a")]
    assert memory.claim_and_load(Execute(Buy("a")))[0] == [Bought("a")]


def test_a_nudge_sends_again_what_the_state_owes() -> None:
    memory = Memory()
    memory.claim_and_load(Execute(Count("a", 2)))
    answers, changes = memory.claim_and_load(Nudge("a"))
    assert answers == [Counted("a", 2)]
    assert sent(changes) == [Counted("a", 2)]
    assert changes.journal == []
    assert memory.mode.again == ["a/Counted"]


def test_a_nudge_of_what_owes_nothing_sends_nothing() -> None:
    answers, changes = Memory().claim_and_load(Nudge("a"))
    assert answers == [None]
    assert changes.outbox == {}


def test_a_foreign_event_is_carried_on_while_the_subject_is_undecided() -> None:
    memory = Memory(states={"a": State(2)})
    _, changes = memory.claim_and_load(Continue(Bought("a")))
    assert sent(changes) == [Bought("a")]


@pytest.mark.parametrize("state", [State(10), State()])
def test_a_foreign_event_is_not_carried_on_after_the_decision_nor_for_an_unknown_subject(state: State) -> None:
    _, changes = Memory(states={"a": state}).claim_and_load(Continue(Bought("a")))
    assert changes.outbox == {}


def test_a_continuation_sees_what_an_earlier_command_of_its_batch_did() -> None:
    _, changes = Memory().claim_and_load(Execute(Count("a", 1)), Continue(Bought("a")))
    assert sent(changes) == [Counted("a", 1), Bought("a")]


def test_a_handler_that_raises_is_named_with_its_command() -> None:
    culprit = Execute(Count("a", -1))
    with pytest.raises(HandlerFailed, match=r"a/Count: ValueError in \w+, toy.py:\d+$") as caught:
        Memory().claim_and_load(Execute(Count("b", 1)), culprit)
    assert caught.value.item is culprit
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_claims_of_a_batch_are_sorted_and_unique_and_keep_the_first_cause() -> None:
    items: list[Item] = [
        Execute(Count("b", 1), "x"),
        Execute(Buy("a"), "y"),
        Execute(Count("b", 1), "z"),
        Nudge("c"),
    ]
    assert claims(items) == [Claim("a/Buy", "a", "y"), Claim("b/Count", "b", "x")]


def test_the_candidates_are_the_answers_in_their_order() -> None:
    assert candidates(SERVICE, Buy("a")) == ["a/Bought", "a/NotBought"]


def test_items_describe_themselves() -> None:
    assert describe(Execute(Buy("a"))) == message_id(Buy("a")) == "a/Buy"
    assert describe(Continue(Bought("a"))) == "a/Bought"
    assert describe(Nudge("a")) == "a/nudge"
