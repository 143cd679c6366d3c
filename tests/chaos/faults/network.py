"""The network between a service and its dependencies, broken in every way that Toxiproxy offers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.connections import Traffic
from tests.chaos.model import Fault, Injection, NotAvailable
from tests.chaos.stack import StackUnderTest
from tests.chaos.toxiproxy import DOWNSTREAM, UPSTREAM, Toxic, Toxiproxy

LOOK_EVERY: Final = 0.25
ARROW: Final = "->"
PROXY: Final = "toxiproxy"
Toxics = tuple[Toxic, ...]


@dataclass(slots=True)
class NetworkFault:
    """Toxics on one route, such as "payment->payment-db" or "order->broker"; without toxics the route is cut.

    It was felt if connections broke, or if the service sent something over the route.
    """

    name: str
    toxics: Callable[[random.Random], Toxics] = lambda dice: ()
    kind: str = "network"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return tuple(_proxies(stack))

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        proxy, toxics = _proxies(stack)[target], self.toxics(dice)
        async with Toxiproxy(stack.environment["TOXIPROXY_URL"]) as toxiproxy:
            traffic = await _traffic(stack, toxiproxy, proxy)
            injection = Injection(self.name, target, time.time())
            try:
                await _break(toxiproxy, proxy, toxics)
                await _watch(traffic, seconds)
            finally:
                await asyncio.shield(_heal(toxiproxy, proxy, toxics))
                injection.ended = time.time()
        if traffic is None:
            injection.detail = "not known whether it was felt: the connections of the route are not visible here"
            return injection
        injection.felt = bool(traffic.broken or traffic.received)
        injection.detail = (
            f"{traffic.broken} connections broke, {traffic.received} bytes were sent, {traffic.answered} answered"
        )
        return injection


def _proxies(stack: StackUnderTest) -> Mapping[str, str]:
    """Route -> Toxiproxy's name for it."""
    names = stack.environment.get("TOXIPROXY_PROXIES", "")
    if not names:
        raise NotAvailable("there is no proxy between the services and their dependencies: TOXICS=on is needed")
    routes = {}
    for name in names.split(","):
        service, _, dependency = name.partition(".")
        routes[f"{service}{ARROW}{'broker' if dependency == stack.broker else dependency}"] = name
    return routes


async def _traffic(stack: StackUnderTest, toxiproxy: Toxiproxy, proxy: str) -> Traffic | None:
    """The traffic of a proxy; None if the kernel does not report it."""
    _, port = await toxiproxy.listens(proxy)
    try:
        return Traffic(port, (await stack.processes())[PROXY] if stack.in_containers else None)
    except (KeyError, OSError):
        return None


async def _break(toxiproxy: Toxiproxy, proxy: str, toxics: Toxics) -> None:
    for toxic in toxics:
        await toxiproxy.add(proxy, toxic)
    if not toxics:
        await toxiproxy.enable(proxy, False)


async def _watch(traffic: Traffic | None, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left, LOOK_EVERY))
        if traffic is not None:
            traffic.look()


async def _heal(toxiproxy: Toxiproxy, proxy: str, toxics: Toxics) -> None:
    for toxic in toxics:
        await toxiproxy.remove(proxy, toxic)
    if not toxics:
        await toxiproxy.enable(proxy, True)


def _latency(dice: random.Random) -> Toxics:
    return (Toxic("latency", DOWNSTREAM, {"latency": dice.randint(100, 300), "jitter": 0}),)


def _jitter(dice: random.Random) -> Toxics:
    most = dice.randint(50, 150)
    return tuple(Toxic("latency", stream, {"latency": most, "jitter": most}) for stream in (UPSTREAM, DOWNSTREAM))


def _slow(dice: random.Random) -> Toxics:
    rate = dice.randint(4, 16)  # KB/s
    return tuple(Toxic("bandwidth", stream, {"rate": rate}) for stream in (UPSTREAM, DOWNSTREAM))


def _reset(dice: random.Random) -> Toxics:
    return (Toxic("reset_peer", DOWNSTREAM, {"timeout": 0}),)


def _half_open(dice: random.Random) -> Toxics:
    return tuple(Toxic("timeout", stream, {"timeout": 0}) for stream in (UPSTREAM, DOWNSTREAM))


def _answers_lost(dice: random.Random) -> Toxics:
    """Requests arrive and take effect, and their answers are lost."""
    return (Toxic("timeout", DOWNSTREAM, {"timeout": 0}),)


FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for fault in (
        NetworkFault("cut"),
        NetworkFault("latency", _latency),
        NetworkFault("jitter", _jitter),
        NetworkFault("slow", _slow),
        NetworkFault("reset", _reset),
        NetworkFault("half-open", _half_open),
        NetworkFault("answers-lost", _answers_lost),
    )
}
