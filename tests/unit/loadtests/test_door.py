"""`python -m loadtests.door`: both ways are measured, and each by its own."""

import pytest

from loadtests import door


async def test_both_ways_answer_and_only_one_is_the_shortcut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "CONNECTIONS", 2)
    monkeypatch.setattr(door, "PER_ROUND", 2)
    this = door.Door()
    taken: list[bytes] = []
    shortcut = this.app.shortcuts["/orders"]

    async def counted(request):  # type: ignore[no-untyped-def]
        taken.append(request.body)
        return await shortcut(request)

    this.app.shortcuts["/orders"] = counted
    assert await this.measure(door.MEDIA_TYPES["route"]) > 0
    assert not taken
    assert await this.measure(door.MEDIA_TYPES["shortcut"]) > 0
    assert len(taken) == 2 * (1 + 2 * door.ROUNDS)
