"""Observes one run: `python -m tests.chaos.debugging.session FILE` in a copy of the tree, maybe with a planted bug.

MODE, PLANT_NAME, FAULTS, MIX, RATE, SECONDS and SEED come from the environment. The stack takes orders while the faults
are in force; then it may settle; every look into every source is written to FILE.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from loadtests.history import FILE as HISTORY
from loadtests.history import read_lines
from quartet_stack import api
from tests.chaos.debugging import sources
from tests.chaos.debugging.model import Seen, Sight, write
from tests.chaos.engine import beside
from tests.chaos.evidence import orders_since
from tests.chaos.faults import load as load_fault
from tests.chaos.load import shopping
from tests.chaos.nemesis import Nemesis
from tests.chaos.purchases import purchases
from tests.chaos.schedule import Choice, Planned
from tests.chaos.settings import STACK
from tests.chaos.stack import StackUnderTest

DRAINS_WITHIN: Final = 30.0
FAULT_AFTER: Final = 3.0
FOLDER: Final = Path(".stack") / "debugging"


async def observe(plant: str, mode: str, faults: Sequence[str], environ: Mapping[str, str]) -> Seen:
    """Bring a stack up, load it, look at everything, and delete it."""
    home = FOLDER.resolve()
    required = {**STACK, **({"TOXICS": "on"} if any(load_fault(one).kind == "network" for one in faults) else {})}
    stack = StackUnderTest(mode, home, {}, port_offset=int(environ["PORT_OFFSET"]), settings=required)
    try:
        await stack.change()
        return await _loaded(stack, plant, faults, environ)
    finally:
        await asyncio.shield(asyncio.to_thread(api.down, home, True))


async def _loaded(stack: StackUnderTest, plant: str, faults: Sequence[str], environ: Mapping[str, str]) -> Seen:
    seconds, seed = float(environ["SECONDS"]), int(environ["SEED"])
    folder = stack.folder.with_name("debugging-load")
    orders = shopping(stack.environment, folder, float(environ["RATE"]), seconds, seed, environ["MIX"])
    noted: dict[tuple[str, str, str], Sight] = {}
    async with AsyncExitStack() as block:
        load = await block.enter_async_context(orders)
        await load.begun()
        began = time.time()
        async with beside(sources.watch(stack, began, noted)):
            missing = await _broken(stack, faults, began + seconds, seed)
            await asyncio.sleep(max(0.0, began + seconds - time.time()))
            await load.end()
            audited = await sources.audited(stack, began, DRAINS_WITHIN)
    bought = purchases(read_lines(folder / HISTORY), lambda line: float(line["at"]))
    kinds = {one.order_id: one.kind for one in bought if one.order_id}
    rows = await orders_since(stack, began - 1)
    sights = [
        *noted.values(),
        *sources.logged(stack, began),
        *sources.told(bought, began),
        *sources.stuck(rows, kinds, began),
        *audited,
        *await sources.of_orders(stack, kinds, began),
    ]
    return Seen(plant, stack.mode, tuple(faults), len(rows), tuple(sights), missing)


async def _broken(stack: StackUnderTest, faults: Sequence[str], until: float, seed: int) -> str:
    """Keep the faults in force up to the end of the load; returns which could not be, and why."""
    nemesis = Nemesis(stack, {name: load_fault(name) for name in faults}, seed)
    await asyncio.sleep(FAULT_AFTER)
    left, dice = max(1.0, until - time.time()), random.Random(seed)
    await nemesis.run([
        Planned(choice.fault, target, 0.0, left)
        for choice in nemesis.choices()
        for target in _targets(choice, dice)
    ])  # fmt: skip
    return "; ".join(f"{fault}: {why}" for fault, why in nemesis.missing.items())


def _targets(choice: Choice, dice: random.Random) -> Sequence[str]:
    """All publishers for a fault of messages; of others one target that the seed draws."""
    return choice.targets if choice.kind == "message" else [dice.choice(choice.targets)]


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Observe, and write what was seen; returns the exit status."""
    faults = [one for one in environ["FAULTS"].split(",") if one]
    seen = asyncio.run(observe(environ["PLANT_NAME"], environ["MODE"], faults, environ))
    write(Path(arguments[0]), seen)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
