"""The hops from a message to its handler are the functions of the tree on the call stacks, and nothing else."""

import json
from pathlib import Path

import pytest

from checkout.messages import StockReserved
from loadtests.bench.chains import MOMENTS, Chains
from loadtests.bench.ease import counts, published
from payment_service import handlers
from payment_service.reactions import REACTIONS
from payment_service.service import SERVICE
from quartet_stack.layout import REPOSITORY
from sagakit.envelope import Envelope
from sagakit.modes import MODES, styles
from sagakit.topology import CHOREOGRAPHY
from tests.unit.services.given import CHECKOUT

REACTION = ("services/payment/src/payment_service/reactions.py", "<lambda>")
ACCEPT = ("shared/src/sagakit/modes/styles.py", "Choreography.accept")


@pytest.fixture
def chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chains:
    """Looks at what the style calls; afterwards nobody does."""
    monkeypatch.setattr(styles, "Execute", styles.Execute)
    monkeypatch.setitem(REACTIONS, StockReserved, REACTIONS[StockReserved])  # type: ignore[misc]
    made = Chains(tmp_path / "chains.json")
    made.before(styles, "Execute", "command")
    made.before(REACTIONS, StockReserved, "reaction")  # type: ignore[arg-type]
    return made


def react() -> None:
    """Let the payment service take the event that leads to a payment."""
    assert styles.Choreography(SERVICE).accept(Envelope(StockReserved("o-1", CHECKOUT), "inventory"))


def test_the_stacks_have_the_functions_of_the_tree_and_none_of_the_watcher(chains: Chains, tmp_path: Path) -> None:
    react()
    chains.look("decision", None, handlers.authorize_payment)
    chains.write()
    seen = json.loads((tmp_path / "chains.json").read_text())
    assert {moment: [tuple(hop) for hop in hops] for moment, hops in seen.items()} == {
        "reaction": [ACCEPT, REACTION],
        "command": [ACCEPT],
        "decision": [("services/payment/src/payment_service/handlers.py", "authorize_payment")],
    }
    assert list(seen) == [moment for moment in MOMENTS if moment in seen]


def test_only_what_leads_to_the_first_decision_is_written(chains: Chains, tmp_path: Path) -> None:
    chains.write()
    react()
    chains.write()
    assert json.loads((tmp_path / "chains.json").read_text()) == {}


def test_a_function_on_two_stacks_is_one_hop() -> None:
    transport = ("shared/src/sagakit/modes/kafka/transport.py", "KafkaTransport.receive")
    decision = ("shared/src/sagakit/engine/batch.py", "apply_batch")
    found = {"message": [transport], "reaction": [ACCEPT, REACTION], "command": [ACCEPT], "decision": [decision]}
    assert counts(found) == (4, 4, 1, 1)
    assert counts({"message": [list(transport)], "decision": [transport]}) == (1, 1, 1, 0)  # type: ignore[list-item]


def test_what_is_published_has_every_mode_from_its_transport_to_the_handler() -> None:
    ease = published()
    assert ease.chains.keys() == MODES.keys()
    for mode, chains in ease.chains.items():
        assert chains["decision"][-1][1] == handlers.authorize_payment.__name__
        assert ("reaction" in chains) == (MODES[mode].style == CHOREOGRAPHY)
        assert counts(chains)[2] > 0, "the transport's own functions are among them"
        assert [file for hops in chains.values() for file, _ in hops if not (REPOSITORY / file).exists()] == []
    hops, touched = ease.tables
    assert len(hops.rows) == len(MODES)
    assert len(touched.rows) == 6
