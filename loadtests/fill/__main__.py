"""`make fill`: settled orders in bulk, as a long run leaves them, in the four databases of the running stack.

Settings: ORDERS (100000), SKUS (how many different ones are sold, 10 to 100000; 1000), LINES (at most so many per
order, 1 to 50; 3), ZIPF (0: all SKUs sell alike; 1: the first sells twice as often as the second), SEED (1).
Exit status 0 filled, 2 not (one line says why, and what to do).
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from checkout_audit.drain import drain
from checkout_audit.errors import Unreachable
from checkout_audit.target import Target
from loadtests.fill.book import Book, Plan
from loadtests.fill.tables import Busy, opened

CHUNK: Final = 10_000  # orders at a time


def main(environ: Mapping[str, str]) -> int:
    """Fill the stack; returns the exit status."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        plan = Plan.of(environ)
        databases = Target.from_environment(environ).databases
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task("orders", total=plan.orders)

            def on_step(done: int, what: str) -> None:
                progress.update(task, completed=done, description=what)

            asyncio.run(fill(databases, plan, on_step))
    except (ValueError, Unreachable, Busy, asyncpg.PostgresError, OSError) as error:
        print(f"nothing was filled in: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"{plan.orders:,} settled orders are in the four databases; check them with: make audit")
    return 0


async def fill(databases: Mapping[str, str], plan: Plan, on_step: Callable[[int, str], None]) -> None:
    """Fill these databases; `on_step` is told how many orders are in, and what is being done.

    Raises:
        Busy: Orders are in flight.
    """
    if in_flight := await drain(databases, 0):
        raise Busy(f"{in_flight}; wait until `make audit` is clean, then: make fill")
    book = Book(plan)
    async with opened(databases) as tables:
        await tables.prepare(list(book.columns))
        for number in range(0, plan.orders, CHUNK):
            on_step(number, "orders")
            await tables.copy(book.orders(number, min(CHUNK, plan.orders - number)), book.columns)
        await book.stock(tables.at)
        await tables.finish(lambda step: on_step(plan.orders, step))


if __name__ == "__main__":
    sys.exit(main(os.environ))
