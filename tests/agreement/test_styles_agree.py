"""Both styles end every scenario alike: who turns an event into the next command, no customer or auditor can see."""

from collections import Counter

import pytest

from tests.agreement.expectation import End, expected
from tests.agreement.scenarios import POINTS, Scenario, scenarios
from tests.agreement.simulated import run
from tests.simulation.design import STYLES

INSTANT = (frozenset[str](), frozenset({"payment", "carrier"}))
SCENARIOS = scenarios()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.name))
def test_every_style_ends_a_scenario_alike_and_as_expected(scenario: Scenario) -> None:
    endings = {}
    for style in STYLES:
        for instant in INSTANT:
            ending, violations = run(scenario, style, instant)
            assert violations == [], style
            endings[style, instant] = ending
    first = endings[STYLES[0], INSTANT[0]]
    assert [End(order.status, order.reason) for order in first.orders] == expected(scenario)
    for how, ending in endings.items():
        assert ending == first, how


def test_the_scenarios_reach_every_end_and_every_point_both_in_time_and_too_late() -> None:
    ends = Counter(end for scenario in SCENARIOS for end in expected(scenario))
    reasons = ("OUT_OF_STOCK", "PAYMENT_DECLINED", "SHIPPING_UNAVAILABLE", "CUSTOMER_REQUESTED")
    assert set(ends) == {End("COMPLETED", None)} | {End("CANCELLED", reason) for reason in reasons}
    assert min(ends.values()) >= 20
    assert {purchase.cancel_at for scenario in SCENARIOS for purchase in scenario.purchases} == {None, *POINTS}


def test_there_are_enough_scenarios_for_the_simulator_and_for_real_stacks() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 200
    assert sum(scenario.steady for scenario in SCENARIOS) >= 50
