"""How long a switch of the mode stops progress: `make up` in one mode after another, under a steady load.

python -m tests.chaos.switching [MODES=kafka,temporal,sns-sqs-orchestration,pubsub RATE=5 ROUNDS=1 in the environment]

The stack is switched from each mode to the next, and from the last to the first, ROUNDS times. Exit status 0 if all
bounds hold, 1 if not, 2 for bad input. The bounds of each switch: orders complete again after at most 10.0 s, and no
good order that was placed before its end ends otherwise than COMPLETED. The audit must be clean.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from checkout_audit.audit import audit
from checkout_audit.target import Target
from quartet_stack import api
from tests.chaos.kills import CALM, PATIENCE, Shopper
from tests.chaos.settings import modes_of, number, whole
from tests.e2e.stack import Stack

PAUSE: Final = 10.0
USUAL: Final = "kafka,temporal,sns-sqs-orchestration,pubsub"
STACK: Final = {"STACK_DIR": ".stack/switching", "PORT_OFFSET": "18000", "STACK": "native", "FAULT_INJECTION": "off"}


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch: how many seconds it took, the longest time without a completed order, and the orders placed before
    its end that ended otherwise than COMPLETED (`wrong`) of all that were (`orders`).
    """

    before: str
    after: str
    seconds: float
    pause: float
    orders: int
    wrong: int

    @property
    def holds(self) -> bool:
        return self.pause <= PAUSE and not self.wrong and self.orders > 0


def main() -> int:
    """Switch through the modes, and print what was measured; returns the exit status."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    try:
        modes = modes_of(os.environ.get("MODES") or USUAL)
        rate, rounds = number(os.environ, "RATE", 5, 1000), whole(os.environ, "ROUNDS", 1, 1, 1000)
        if len(modes) < 2:
            raise ValueError(f"MODES={','.join(modes)}: name two or more to switch between")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    folder = Path(STACK["STACK_DIR"]).resolve()
    own = {**STACK, "PORT_OFFSET": os.environ.get("PORT_OFFSET", STACK["PORT_OFFSET"])}

    def up(mode: str) -> dict[str, str]:
        return api.up(mode, env=own)

    api.down(folder, delete_data=True)
    try:
        stack = Stack(modes[0], folder, up(modes[0]))
        switches = asyncio.run(switch_all(stack, [*modes[1:], modes[0]] * rounds, rate, up, console))
        report = audit(Target.from_environment(stack.environment))
        if not report.consistent:
            console.print(f"the audit is not clean: {report}", markup=False)
    finally:
        api.down(folder, delete_data=True)
    return 0 if judge(switches, console) and report.consistent else 1


async def switch_all(
    stack: Stack, modes: Sequence[str], rate: float, up: Callable[[str], dict[str, str]], console: Console
) -> list[Switch]:
    """Switch to each mode in turn under a steady load of good orders; returns what was measured."""
    switches = []
    async with stack.client() as client:
        shopper = Shopper(stack, rate)
        shopping = asyncio.create_task(shopper.run(client))
        try:
            for mode in modes:
                async with asyncio.timeout(PATIENCE):
                    await shopper.first(placed_after=time.monotonic())
                await asyncio.sleep(CALM)
                switches.append(await _switch(stack, mode, shopper, up))
                console.print(str(switches[-1]), markup=False)
        finally:
            shopping.cancel()
            await asyncio.gather(shopping, return_exceptions=True)
            if shopper.open:
                await asyncio.wait(shopper.open, timeout=PATIENCE)
    return switches


async def _switch(stack: Stack, mode: str, shopper: Shopper, up: Callable[[str], dict[str, str]]) -> Switch:
    before, began = stack.mode, time.monotonic()
    stack.environment = await asyncio.to_thread(up, mode)
    stack.mode, ended = mode, time.monotonic()
    async with asyncio.timeout(PATIENCE):
        await shopper.first(placed_after=ended)
        placed = {order for order, at in shopper.placed.items() if at <= ended}
        while not placed <= shopper.ended.keys():
            shopper.another.clear()
            await shopper.another.wait()
    until = time.monotonic()
    concerned = [shopper.ended[order] for order in placed if shopper.ended[order][0] >= began]
    return Switch(
        before,
        mode,
        round(ended - began, 1),
        round(longest_pause(shopper.completed(began - CALM, until), began), 1),
        len(concerned),
        sum(status != "COMPLETED" for _, status in concerned),
    )


def longest_pause(completed: Sequence[float], since: float) -> float:
    """The longest time between two completions of which the later one came after `since`."""
    return max((later - earlier for earlier, later in pairwise(completed) if later >= since), default=float("inf"))


def judge(switches: Sequence[Switch], console: Console) -> bool:
    """Print the figures; returns whether all bounds hold."""
    table = Table(
        *("from", "to", "make up, s", "longest pause, s", "orders", "not completed", "holds"),
        title="a switch of the mode under load",
    )
    for one in switches:
        figures = (f"{one.seconds:.1f}", f"{one.pause:.1f}", str(one.orders), str(one.wrong))
        table.add_row(one.before, one.after, *figures, "yes" if one.holds else "NO")
    console.print(table)
    return bool(switches) and all(one.holds for one in switches)


if __name__ == "__main__":
    sys.exit(main())
