"""Texts at and beyond their bounds in every field: each such order settles, or is refused by the name of its field."""

from tests.chaos.odd_texts import FREE, cases, judge_all
from tests.e2e.shop import audit
from tests.e2e.stack import Stack


def suits(stack: str, **_: object) -> bool:
    return stack == "temporal-orchestration"


async def test_odd_texts_settle_or_are_refused_by_the_name_of_their_field(stack: Stack) -> None:
    """`python -m tests.chaos.odd_texts` does the same under load."""
    given = cases()
    outcomes = await judge_all(stack.environment, given)
    assert not [one for one in outcomes if one.wrong]
    taken = {one.case.field for one in outcomes if one.ended != "refused"}
    assert taken == {*FREE, "shipping_address.country", "Idempotency-Key"}
    assert len([one for one in outcomes if one.ended == "refused"]) >= len(given) / 3
    await audit(stack)
