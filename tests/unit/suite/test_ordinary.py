"""What the ordinary run tests in every mode and over every broker, whatever moves to NIGHTLY=1."""

from pathlib import Path

import pytest

from sagakit.modes import MODES
from tests.e2e import (
    test_agreement,
    test_checkout,
    test_faults,
    test_interface,
    test_orchestrator_dies,
    test_participant_dies,
    test_replicas,
    test_switching,
)

CARRIERS = {mode.substrate for mode in MODES.values()}
STYLES = {mode.style for mode in MODES.values()}
POINTS = ("before-commit", "before-publish", "after-publish", "before-ack")


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_has_every_kind_of_order_and_a_kill_of_each_service_with_an_audit(mode: str) -> None:
    for module in (test_agreement, test_checkout, test_interface):
        assert not hasattr(module, "nightly")
    assert not test_faults.nightly(mode, test_faults.SERVICES)
    assert not test_faults.nightly(mode)  # the audit, which has no victims
    assert len(test_agreement.SHARES[mode].all) >= 50


@pytest.mark.parametrize("carrier", sorted(CARRIERS))
def test_each_carrier_has_dying_servers_dying_calls_and_dying_orchestrators(carrier: str) -> None:
    modes = [name for name, mode in MODES.items() if mode.substrate == carrier]
    assert not all(test_faults.nightly(mode, test_faults.GROUND) for mode in modes)
    calls = [mode for mode in modes if test_participant_dies.suits(mode)]
    assert not all(test_participant_dies.nightly(mode, "before-ack") for mode in calls)
    for mode in filter(test_orchestrator_dies.suits, modes):
        assert not any(test_orchestrator_dies.nightly(mode, point) for point in POINTS)
    assert carrier in {MODES[mode].substrate for mode in test_switching.ONE_OF_A_CARRIER}


def test_a_crash_follows_every_step_of_an_orchestrator_over_a_broker_and_over_temporal() -> None:
    whole = [mode for mode in MODES if test_orchestrator_dies.suits(mode) and not test_orchestrator_dies.nightly(mode)]
    assert {MODES[mode].substrate for mode in whole} >= {"temporal", "kafka"}


def test_replicas_are_restarted_in_both_styles() -> None:
    assert {MODES[mode].style for mode in test_replicas.MODES if not test_replicas.nightly(mode)} == STYLES


def test_every_conformance_suite_is_in_the_ordinary_run() -> None:
    folder = Path(__file__).parents[2] / "modes"
    assert not [path.name for path in folder.glob("*.py") if "nightly" in path.read_text()]
