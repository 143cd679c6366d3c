"""The same scenarios over HTTP in every mode: each must end as in the simulator, and so as in every other mode.

Races are left out; the audit at the end of each mode judges them by their invariants.
"""

import asyncio
from collections import Counter
from functools import cache

import pytest

from sagakit.modes import MODES
from tests.agreement.expectation import expected
from tests.agreement.normalize import End, Ending, simulated
from tests.agreement.scenarios import Scenario
from tests.agreement.steady import AFTERWARDS, HELD, Lanes, lanes
from tests.e2e.conftest import DEADLINE
from tests.e2e.stack import Stack
from tests.e2e.stack_driver import AT_A_TIME, Driver, driving
from tests.simulation.design import STYLES
from tests.suite.choice import chosen

LANES = lanes()
SHARES = {
    mode: LANES.share(place, len(modes))
    for modes in ([name for name, spec in MODES.items() if spec.style == style] for style in STYLES)
    for place, mode in enumerate(modes)
}
"""What a mode is driven through in the ordinary run, NIGHTLY=1 drives each through all: a style's modes share them."""


@cache
def expectations() -> dict[str, Ending]:
    """Scenario -> its only ending: that of the simulator in both styles, and of a rule about the shop alone."""
    endings = {}
    for scenario in LANES.all:
        first, *others = (simulated(scenario, style) for style in STYLES)
        assert all(other == first for other in others), scenario.name
        assert [(end.status, end.reason) for end in first.orders] == [tuple(end) for end in expected(scenario)]
        endings[scenario.name] = first
    return endings


def test_the_scenarios_reach_every_end_that_does_not_need_luck() -> None:
    assert len(expectations()) == len(LANES.all) >= 200
    ends = Counter((end.status, end.reason) for ending in expectations().values() for end in ending.orders)
    reasons = ("OUT_OF_STOCK", "PAYMENT_DECLINED", "SHIPPING_UNAVAILABLE", "CUSTOMER_REQUESTED")
    assert set(ends) == {("COMPLETED", None)} | {("CANCELLED", reason) for reason in reasons}
    assert min(ends.values()) >= 10
    assert {end.cancel_won for ending in expectations().values() for end in ending.orders} == {None, True, False}


@pytest.mark.parametrize("style", STYLES)
def test_in_each_style_every_scenario_is_driven_once_in_the_ordinary_run(style: str) -> None:
    shares = [share for mode, share in SHARES.items() if MODES[mode].style == style]
    assert sorted(one.name for share in shares for one in share.all) == sorted(one.name for one in LANES.all)
    for share in shares:
        assert {purchase.cancel_at for one in share.all for purchase in one.purchases} >= {None, *HELD, *AFTERWARDS}
        assert "PaymentAuthorizationRequested" in {one.purchases[0].cancel_at for one in share.free}
        assert len(share.scarce) == 2
        reasons = {end.reason for one in share.all for end in expectations()[one.name].orders}
        assert reasons == {None, "OUT_OF_STOCK", "PAYMENT_DECLINED", "SHIPPING_UNAVAILABLE", "CUSTOMER_REQUESTED"}


async def test_every_scenario_ends_as_in_every_other_mode(stack: Stack) -> None:
    driven = LANES if chosen().nightly else SHARES[stack.mode]
    async with driving(stack, DEADLINE) as driver:
        endings = await _drive(driver, driven)
    assert len(driver.timed_out) <= len(driven.all) // 20, f"the machine is too slow: {len(driver.timed_out)} time-outs"
    expected = {one.name: expectations()[one.name] for one in driven.all}
    differing = {name: (ending, expected[name]) for name, ending in endings.items() if ending != expected[name]}
    assert differing == {}
    assert endings.keys() == expected.keys()


async def _drive(driver: Driver, lanes: Lanes) -> dict[str, Ending]:
    places = asyncio.Semaphore(AT_A_TIME)

    async def free(scenario: Scenario) -> tuple[End, ...]:
        async with places:
            return await driver.play(scenario)

    async def scarce() -> list[Ending]:
        return [await driver.play_scarce(scenario) for scenario in lanes.scarce]

    before = await driver.stock()
    lonely = asyncio.create_task(scarce())
    free_ends = await asyncio.gather(*map(free, lanes.free))
    endings = {scenario.name: ending for scenario, ending in zip(lanes.scarce, await lonely, strict=True)}
    orders = {scenario.name: ends for scenario, ends in zip(lanes.free, free_ends, strict=True)}
    for point in HELD:
        held = lanes.held[point]
        ended = await driver.play_held(held, point)
        orders |= {scenario.name: ends for scenario, ends in zip(held, ended, strict=True)}
    after = await driver.stock()
    for scenario in lanes.all:
        if scenario.name in orders:
            skus = {line["sku"] for purchase in scenario.purchases for line in purchase.body["lines"]}
            effect = {sku: tuple(now - then for now, then in zip(after[sku], before[sku], strict=True)) for sku in skus}
            endings[scenario.name] = Ending(orders[scenario.name], effect)
    return endings
