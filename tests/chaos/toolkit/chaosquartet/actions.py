"""Actions: each breaks something for a while, heals it, and returns whether it was felt.

Besides `failpoint`, `toxic` and `clear` there is one for each fault of `make chaos`, with dashes as underscores:
`kill`, `pause`, `broker_restart`, `db_restart`, and so on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from tests.chaos import faults
from tests.chaos.model import Injection
from tests.chaos.stack import SERVICES, StackUnderTest

from . import running

__all__ = ["clear", "failpoint", "toxic", *sorted(name.replace("-", "_") for name in faults.MODULES)]

ANY: Final = "any"
SECONDS: Final = 8.0
HEALS_WITHIN: Final = 120.0
ANSWERS_WITHIN: Final = 2.0
LOOK_EVERY: Final = 0.1
NETWORK: Final = "network"
logger: Final = logging.getLogger("chaostoolkit")


class NotFelt(Exception):
    """The fault was injected and the system did not notice it, so it proves nothing."""


def failpoint(
    service: str, point: str, action: str = "kill", hit: int = 1, stalls: float = 0.0, seconds: float = SECONDS
) -> dict[str, Any]:
    """Let a service die (`kill`), fail or stall (for `stalls` seconds) on the `hit`th passage of a named point.

    Waits at most `seconds` for it to happen, and then removes the failpoint. Needs FAULT_INJECTION=on.
    Raises NotFelt.
    """
    rule = {"point": point, "action": action, "hit": hit, "seconds": stalls}
    return _told(asyncio.run(_failpoint(running.stack(), service, rule, seconds)))


def toxic(kind: str, route: str = ANY, seconds: float = SECONDS, seed: int | None = None) -> dict[str, Any]:
    """Break the network on a route such as "payment->payment-db" in a way such as `latency`. Raises NotFelt.

    ValueError lists the kinds that there are; NotAvailable says what is missing, usually TOXICS=on.
    """
    kinds = [name for name, module in faults.MODULES.items() if module == NETWORK]
    if kind not in kinds:
        raise ValueError(f"kind={kind!r} is not one of {', '.join(kinds) or 'none'}")
    return _inject(kind, route, seconds, seed)


def clear() -> dict[str, Any]:
    """Remove all failpoints of all services: a rollback. Returns the services."""
    asyncio.run(_clear(running.stack()))
    return {"services": list(SERVICES)}


def _action(fault: str) -> Callable[..., dict[str, Any]]:
    def act(target: str = ANY, seconds: float = SECONDS, seed: int | None = None) -> dict[str, Any]:
        return _inject(fault, target, seconds, seed)

    act.__name__ = act.__qualname__ = fault.replace("-", "_")
    act.__doc__ = (
        f"The fault {fault} of `make chaos` on a target, or on one that is drawn by `seed`, for about `seconds`.\n\n"
        "Raises NotFelt; NotAvailable says what is missing; ValueError lists the targets that there are."
    )
    return act


globals().update({name.replace("-", "_"): _action(name) for name in faults.MODULES})


def _inject(fault: str, target: str, seconds: float, seed: int | None) -> dict[str, Any]:
    dice = random.Random(random.randrange(2**32) if seed is None else seed)
    return _told(asyncio.run(_injected(running.stack(), fault, target, seconds, dice)))


async def _injected(stack: StackUnderTest, name: str, target: str, seconds: float, dice: random.Random) -> Injection:
    fault = faults.load(name)
    targets = fault.targets(stack)
    if target != ANY and target not in targets:
        raise ValueError(f"target={target!r} is not one of {', '.join(targets)}, {ANY}")
    chosen = dice.choice(sorted(targets)) if target == ANY else target
    logger.info("%s of %s for about %g s", name, chosen, seconds)
    async with asyncio.timeout(seconds + HEALS_WITHIN):
        return await fault.inject(stack, chosen, seconds, dice)


async def _failpoint(stack: StackUnderTest, service: str, rule: dict[str, Any], seconds: float) -> Injection:
    point = rule["point"]
    injection = Injection("failpoint", service, time.time(), detail=f"{rule['action']} at {point}")
    before = (await stack.processes()).get(service)
    fired = (await stack.call("GET", "/faults", service))["fired"].get(point, 0)
    await stack.call("PUT", "/faults", service, {"set": [rule]})
    give_up = time.monotonic() + seconds
    try:
        injection.felt = False
        while not injection.felt and time.monotonic() < give_up:
            await asyncio.sleep(LOOK_EVERY)
            injection.felt = await _happened(stack, service, before, point, fired)
    finally:
        await stack.call("PUT", "/faults", service, {"set": []}, HEALS_WITHIN)
        injection.ended = time.time()
    return injection


async def _happened(stack: StackUnderTest, service: str, pid: int | None, point: str, fired: int) -> bool:
    """Whether another process runs, or the same one has passed the point; one that dies meanwhile does not answer."""
    counts: dict[str, int] = {}
    with suppress(TimeoutError):
        counts = (await stack.call("GET", "/faults", service, seconds=ANSWERS_WITHIN))["fired"]
    return counts.get(point, 0) > fired or (await stack.processes()).get(service) != pid


async def _clear(stack: StackUnderTest) -> None:
    await asyncio.gather(*(stack.call("PUT", "/faults", service, {"set": []}, HEALS_WITHIN) for service in SERVICES))


def _told(injection: Injection) -> dict[str, Any]:
    """The injection as JSON values."""
    logger.info("%s of %s: felt %s; %s", injection.fault, injection.target, injection.felt, injection.detail)
    if injection.felt is False:
        raise NotFelt(
            f"{injection.fault} of {injection.target} was not felt: {injection.detail or 'nothing noticed it'}"
        )
    return asdict(injection)
