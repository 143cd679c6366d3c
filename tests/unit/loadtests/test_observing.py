"""What it costs to be observable: how the ways are compared, what is taken away in each, and that all of it runs."""

import dis

import pytest

from loadtests.observing import __main__ as observing
from loadtests.observing.saturated import Saturated
from loadtests.observing.shop import Shop
from loadtests.observing.ways import FUNCTIONS, without
from sagakit.activity import Activity
from sagakit.topology import ORCHESTRATION
from tests.waits import until

STACK = Saturated(ms=2.0, rate=1000.0, group=2.0, repeated=0.0)


def test_the_ways_of_a_round_are_compared_with_each_other_alone() -> None:
    without_it = {"no memory": 300.0, "no hooks": 280.0, "once more": 290.0}
    rounds = [{**without_it, "as it is": at, "followed": at + 20} for at in (302.0, 306.0, 304.0)]
    rounds.append({way: cost + 500 for way, cost in rounds[2].items()})
    told = observing.report(rounds, STACK)
    assert "| the memory of /timeline | 4 | +4.0 (+1.4 to +6.6) | +0.20% (+0.07% to +0.33%) |" in told
    assert "| telemetry off | 4 | +24.0 (+21.4 to +26.6) | +1.20% (+1.07% to +1.33%) |" in told


@pytest.mark.parametrize(
    ("arguments", "given", "told"),
    [
        (["1"], {}, "rounds"),
        (["many"], {}, "rounds"),
        ([], {"STACK_OF": "2.1,730"}, "STACK_OF"),
        ([], {"STACK_OF": "2.1,x,1"}, "STACK_OF"),
        ([], {"MODE": "pigeons"}, "COORDINATION_MODE"),
        ([], {"MODE": "temporal"}, "COORDINATION_MODE"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], arguments: list[str], given: dict[str, str], told: str
) -> None:
    assert observing.main(arguments, given) == 2
    assert told in capsys.readouterr().out


def test_a_piece_is_taken_away_and_put_back() -> None:
    usual = {function: function.__code__ for those in FUNCTIONS.values() for function in those}

    def found(name: str) -> set[str]:
        return {
            function.__qualname__
            for function in usual
            if any(one.argval == name for one in dis.get_instructions(function))
        }

    with without(None):
        assert found("_activity") == {function.__qualname__ for function in FUNCTIONS["memory"]}
        assert found("tracing") == {function.__qualname__ for function in FUNCTIONS["hooks"]}
    with without("memory"):
        assert not found("_activity")
        assert found("tracing")
    with without("hooks"):
        assert found("_activity")
        assert not found("tracing")
    assert usual == {function: function.__code__ for function in usual}


async def test_orders_complete_in_each_way_and_a_follower_hears_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "WINDOW", 0.004)
    async with Shop("sandbox", ORCHESTRATION).open() as shop:
        (costs,) = await observing.measure(shop, STACK, 1)
        assert set(costs) == set(observing.WAYS)
        assert all(cost > 0 for cost in costs.values())
        remembered: Activity = shop.engines["payment"].activity
        with without("memory"):
            await shop.place(1)
        assert not remembered.of(shop.latest)
        async with shop.followed() as readers:
            await shop.place(1)
            await until(lambda: all(reader.events for reader in readers))
        assert [seen.message for seen in remembered.of(shop.latest)] == ["authorize", "capture"]
