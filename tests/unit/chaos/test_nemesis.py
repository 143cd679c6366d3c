"""Faults that are available or not, felt or not, that overlap, hang, or fail themselves; with fakes."""

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.chaos import nemesis as module
from tests.chaos.model import NotAvailable
from tests.chaos.nemesis import Nemesis
from tests.chaos.schedule import Planned
from tests.unit.chaos.fakes import STACK, Fake
from tests.waits import until


@dataclass
class Told:
    lines: list[tuple[str, str, str, bool | None]] = field(default_factory=list)

    def fault(self, phase: str, fault: str, target: str, felt: bool | None = None, detail: str = "") -> None:
        self.lines.append((phase, fault, target, felt))


async def run(fault: Fake, *planned: Planned) -> tuple[Nemesis, Told]:
    told = Told()
    nemesis = Nemesis(STACK, {fault.name: fault}, 1, (told,))
    await nemesis.run(planned)
    return nemesis, told


def test_an_unavailable_fault_is_missing_with_its_reason() -> None:
    nemesis = Nemesis(STACK, {"here": Fake(name="here"), "gone": Fake(name="gone", absent="no Toxiproxy")}, 1)
    assert [choice.fault for choice in nemesis.choices()] == ["here"]
    assert nemesis.missing == {"gone": "no Toxiproxy"}


async def test_faults_on_different_parts_overlap_and_on_the_same_part_wait() -> None:
    fault = Fake()
    await run(fault, Planned("fake", "order", 0, 0.3), Planned("fake", "payment", 0, 0.3))
    assert fault.log[:2] == ["order breaks", "payment breaks"]
    fault.log.clear()
    await run(fault, Planned("fake", "order", 0, 0.3), Planned("fake", "order", 0, 0.3))
    assert fault.log == ["order breaks", "order heals"] * 2


async def test_what_changes_the_whole_stack_waits_for_all_and_is_overtaken_by_none() -> None:
    fault = Fake()
    await run(
        fault,
        Planned("fake", "order", 0, 0.3),
        Planned("fake", "mode", 0.1, 0.2, exclusive=True),
        Planned("fake", "payment", 0.1, 0.1),
    )
    assert fault.log == [f"{part} {what}" for part in ("order", "mode", "payment") for what in ("breaks", "heals")]


async def test_witnesses_are_told_of_the_start_and_of_the_end_with_what_was_felt() -> None:
    _, told = await run(Fake(felt=False), Planned("fake", "order", 0, 0))
    assert told.lines == [("start", "fake", "order", None), ("end", "fake", "order", False)]


async def test_a_fault_that_nobody_felt_is_to_be_injected_once_more() -> None:
    silent, loud, gone = Fake(name="silent", felt=False), Fake(name="loud"), Fake(name="gone", error=NotAvailable("no"))
    nemesis = Nemesis(STACK, {one.name: one for one in (silent, loud, gone)}, 1)
    planned = [Planned(name, part, 0, 0.01) for name in nemesis.faults for part in ("order", "payment")]
    await nemesis.run(planned)
    assert nemesis.unfelt(planned) == [Planned("silent", "order", 0.0, 0.01)]
    silent.felt = True
    await nemesis.run(nemesis.unfelt(planned))
    assert nemesis.unfelt(planned) == []


async def test_a_fault_that_turns_out_to_be_unavailable_is_missing() -> None:
    nemesis, _ = await run(Fake(error=NotAvailable("no emulator")), Planned("fake", "order", 0, 0))
    assert nemesis.missing == {"fake": "no emulator"}
    (injection,) = nemesis.injections
    assert (injection.felt, injection.detail) == (None, "not run: no emulator")


async def test_a_fault_that_breaks_itself_stops_nobody_and_is_missing() -> None:
    fault = Fake(error=KeyError("order"))
    nemesis, _ = await run(fault, Planned("fake", "order", 0, 0), Planned("fake", "payment", 0, 0))
    assert len(nemesis.injections) == 2
    assert "KeyError" in nemesis.missing["fake"]


async def test_what_does_not_heal_in_time_is_given_up_and_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEALS_WITHIN", 0.2)
    nemesis, _ = await run(Fake(hangs=True), Planned("fake", "order", 0, 0))
    (injection,) = nemesis.injections
    assert injection.ended is None
    assert "still broken" in injection.detail


async def test_an_interrupted_run_heals_all_that_is_broken() -> None:
    fault = Fake(hangs=True)
    nemesis = Nemesis(STACK, {"fake": fault}, 1)
    task = asyncio.create_task(nemesis.run([Planned("fake", "order", 0, 0), Planned("fake", "payment", 0, 0)]))
    await until(lambda: len(fault.log) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(fault.log) == ["order breaks", "order heals", "payment breaks", "payment heals"]
