"""A floor: the steps one after the other in one process, where nothing survives a crash between two of them."""

import asyncio

from loadtests.bench.peers.asynchronous import Databases
from loadtests.bench.peers.driver import drive
from loadtests.bench.peers.work import SERVICES, Order

HOLDS = ("reserve", "authorize", "book")
SETTLES = ("commit", "capture", "dispatch")


async def main() -> None:
    """Run until standard input ends."""
    async with Databases(SERVICES) as databases:

        async def buy(order: Order) -> None:
            for step in ("place", *HOLDS, "confirm"):
                await databases.do(step, order)
            await asyncio.gather(*(databases.do(step, order) for step in SETTLES))
            await databases.do("complete", order)

        await drive(buy)


if __name__ == "__main__":
    asyncio.run(main())
