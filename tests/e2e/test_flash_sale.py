"""A flash sale: many buyers at once for 100 pieces. `make load SHAPE=flash-sale MODES=all` holds it in every mode."""

import pytest

from loadtests.flash_sale import sale
from tests.e2e.stack import Stack

MODES = ("kafka-choreography", "kafka-orchestration")


def suits(stack: str, **_: object) -> bool:
    """Two modes, one of each style."""
    return stack in MODES


def nightly(buyers: int, **_: object) -> bool:
    """The whole crowd takes half a minute."""
    return buyers > 250


@pytest.mark.parametrize("buyers", [250, 5000])
async def test_exactly_as_many_are_sold_as_there_are_pieces(stack: Stack, buyers: int) -> None:
    assert await sale(stack.environment, buyers)
