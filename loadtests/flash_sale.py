"""`make load SHAPE=flash-sale`: 5,000 buyers at once for the 100 pieces of `limited-edition`.

Every buyer wants one piece, and insists until it is answered whether it has got one. Exit status 0 if exactly as many
orders completed as there were pieces, the stock agrees, nobody got another answer, and the audit is clean; 1 if not, 2
if it could not run.

Without MODES the sale is held in the running stack; with `MODES=all`, or a list, in each mode in turn on a stack of its
own. Settings: BUYERS (5000).
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from loadtests.auditing import audited
from loadtests.buyers import Buyers
from loadtests.shoppers import single
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.settings import stack_environment
from sagakit.modes import MODES, resolve
from sagakit.web.app import issue_token

SKU: Final = "limited-edition"
PIECES: Final = 100
PATIENCE: Final = 900.0  # seconds
STACK_DIR: Final = ".stack/flash-sale"
PORT_OFFSET: Final = "21500"

console = Console(highlight=False)


async def sale(stack: Mapping[str, str], number: int) -> bool:
    """Hold the sale among so many buyers; whether exactly PIECES pieces were sold."""
    url, key = stack["ORDER_URL"], stack["TOKEN_SIGNING_KEY"]
    before = await _fill_up(stack)
    buyers = Buyers(url, key, customers=number)
    began = time.monotonic()
    tasks = [asyncio.create_task(buyers.buy(single(SKU), began + PATIENCE)) for _ in range(number)]
    while len((await asyncio.wait(tasks, timeout=10))[1]):
        answered = sum(task.done() for task in tasks)
        console.print(f"  after {time.monotonic() - began:.0f} s: {answered} of {number} buyers have their answer")
    purchases = [task.result() for task in tasks]
    buyers.close()
    ends = Counter(one.end or one.error or "no answer" for one in purchases)
    after = await _stock(stack)
    sold, refused = after["committed"] - before["committed"], sum(one.refused for one in purchases)
    console.print(
        f"{stack['COORDINATION_MODE']}: {number} buyers, {sold} pieces sold, {dict(ends)}, {refused} requests refused, "
        f"{time.monotonic() - began:.1f} s"
    )
    want = {"COMPLETED": PIECES, **({"OUT_OF_STOCK": number - PIECES} if number > PIECES else {})}
    return dict(ends) == want and sold == PIECES and (after["available"], after["reserved"]) == (0, 0)


async def _stock(stack: Mapping[str, str]) -> Mapping[str, Any]:
    async with httpx.AsyncClient(base_url=stack["INVENTORY_URL"], timeout=30) as client:
        answer = (await client.get(f"/stock/{SKU}")).raise_for_status()
        stock: Mapping[str, Any] = answer.json()
        return stock


async def _fill_up(stack: Mapping[str, str]) -> Mapping[str, Any]:
    """Restock until PIECES pieces are available; the stock then.

    Raises:
        StackError: There are more.
    """
    stock = await _stock(stack)
    if stock["available"] > PIECES or stock["reserved"]:
        raise StackError(
            f"{SKU} must have no more than {PIECES} pieces and none reserved: use a new stack (make clean)"
        )
    if missing := PIECES - stock["available"]:
        token = issue_token(stack["TOKEN_SIGNING_KEY"], "flash-sale", "admin")
        given = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"flash-sale-{time.time_ns()}"}
        async with httpx.AsyncClient(base_url=stack["INVENTORY_URL"], timeout=30) as client:
            answer = await client.post(f"/stock/{SKU}/restock", json={"quantity": missing}, headers=given)
            answer.raise_for_status()
    return await _stock(stack)


def own_stack() -> dict[str, str]:
    """The settings of the sale's own stack."""
    return {
        "STACK_DIR": os.environ.get("STACK_DIR") or STACK_DIR,
        "PORT_OFFSET": os.environ.get("PORT_OFFSET") or PORT_OFFSET,
        "PROVIDERS": os.environ.get("PROVIDERS") or "instant",
    }


def main() -> int:
    """Hold the sale; returns the exit status."""
    try:
        number = _number(os.environ.get("BUYERS") or "5000")
        names = os.environ.get("MODES", "")
        modes = list(MODES) if names == "all" else [resolve(name) for name in names.split(",") if name]
        if not modes:
            stack = stack_environment()
            return 0 if asyncio.run(sale(stack, number)) and audited(stack) else 1
        return _in_turn(modes, number)
    except (ValueError, StackError, httpx.HTTPError) as error:
        print(error, file=sys.stderr)
        return 2


def _number(given: str) -> int:
    """How many buyers there are.

    Raises:
        ValueError: It is no number, or there are fewer buyers than pieces.
    """
    if not given.isdecimal() or int(given) < PIECES:
        raise ValueError(f"BUYERS={given!r} must be a number of at least {PIECES}")
    return int(given)


def _in_turn(modes: list[str], number: int) -> int:
    settings = own_stack()
    fine = True
    try:
        for mode in modes:
            console.print(f"{mode}: starting")
            stack = api.up(mode, env=settings)
            fine = asyncio.run(sale(stack, number)) and audited(stack) and fine
    finally:
        api.down(Path(settings["STACK_DIR"]), delete_data=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
