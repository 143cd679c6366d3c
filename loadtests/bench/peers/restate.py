"""Restate: `python -m loadtests.bench.peers.restate SERVICE`, an endpoint for each service, behind one server.

The order service is a workflow that calls the handlers of the other services and records its own transactions as
journaled runs. Calls that do not depend on one another are made together, as Restate's documentation advises.
"""

import asyncio
import os
import sys
from dataclasses import asdict
from typing import Any, cast

import httpx
import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from loadtests.bench.peers.asynchronous import Databases
from loadtests.bench.peers.driver import READY, drive, say
from loadtests.bench.peers.work import SERVICES, STEPS, Order

STREAMS = 2_147_483_647
"""Requests on one connection, as Restate's documentation sets it for Hypercorn."""
OWN = ("place", "confirm", "complete")
HANDLERS = {name: [step for step, of in STEPS.items() if of.service == name and step != "note"] for name in SERVICES}


def participant(name: str, databases: Databases) -> restate.Service:
    """The handlers of a participant, named like its steps."""
    service = restate.Service(name)

    def handler(step: str) -> Any:
        async def handle(ctx: restate.Context, content: dict[str, Any]) -> bool:
            async def transaction() -> bool:
                return await databases.do(step, Order(**content))

            return cast(bool, await ctx.run_typed(step, transaction))

        return handle

    for step in HANDLERS[name]:
        service.handler(step)(handler(step))
    return service


def checkout(databases: Databases) -> restate.Workflow:
    """The order service."""
    workflow = restate.Workflow("order")

    @workflow.main("run")
    async def run(ctx: restate.WorkflowContext, content: dict[str, Any]) -> bool:
        async def own(step: str) -> None:
            async def transaction() -> bool:
                return await databases.do(step, Order(**content))

            await ctx.run_typed(step, transaction)

        def call(step: str) -> Any:
            request = httpx.Response(200, json=content).content
            return ctx.generic_call(STEPS[step].service, step, request)

        await own("place")
        for step in ("reserve", "authorize", "book"):
            await call(step)
        await own("confirm")
        await restate.gather(*(call(step) for step in ("commit", "capture", "dispatch")))
        await own("complete")
        return True

    return workflow


async def main(name: str) -> None:
    """Serve until terminated, or for the order service until standard input ends."""
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ[f'PEER_RESTATE_{name.upper()}']}"]
    config.h2_max_concurrent_streams = config.keep_alive_max_requests = STREAMS
    config.keep_alive_timeout = STREAMS
    config.loglevel = "WARNING"
    async with Databases([name]) as databases:
        of = checkout(databases) if name == "order" else participant(name, databases)
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(cast(Any, restate.app([of])), config, shutdown_trigger=stop.wait))
        if name != "order":
            await asyncio.sleep(0.2)  # Hypercorn does not tell when it listens
            say(READY)
            await serving
            return
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            await _register(client)

            async def buy(order: Order) -> None:
                address = f"{os.environ['PEER_RESTATE_INGRESS']}/order/{order.order_id}/run"
                (await client.post(address, json=asdict(order))).raise_for_status()

            await drive(buy)
        stop.set()
        await serving


async def _register(client: httpx.AsyncClient) -> None:
    """Tell the server where the endpoints are."""
    for name in SERVICES:
        uri = f"http://127.0.0.1:{os.environ[f'PEER_RESTATE_{name.upper()}']}"
        answer = await client.post(f"{os.environ['PEER_RESTATE_ADMIN']}/deployments", json={"uri": uri})
        answer.raise_for_status()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
