"""The network between a service and what it stands on, broken in every way that Toxiproxy can break it."""

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
HERE: Final = "127.0.0.1"
Toxics = tuple[Toxic, ...]


@dataclass(slots=True)
class NetworkFault:
    """Toxics on one route, such as "payment->payment-db" or "order->broker". None: the route is cut.

    It was felt if connections broke, or if the service sent something into it.
    """

    name: str
    toxics: Callable[[random.Random], Toxics] = lambda dice: ()
    kind: str = "network"

    def targets(self, stack: StackUnderTest) -> Sequence[str]:
        return tuple(_proxies(stack))

    async def inject(self, stack: StackUnderTest, target: str, seconds: float, dice: random.Random) -> Injection:
        proxy, toxics = _proxies(stack)[target], self.toxics(dice)
        async with Toxiproxy(stack.environment["TOXIPROXY_URL"]) as toxiproxy:
            traffic = await _traffic(toxiproxy, proxy)
            injection = Injection(self.name, target, time.time())
            try:
                await _break(toxiproxy, proxy, toxics)
                await _watch(traffic, seconds)
            finally:
                await asyncio.shield(_heal(toxiproxy, proxy, toxics))
                injection.ended = time.time()
        if traffic is None:
            injection.detail = "not known what went over the route: its connections cannot be seen from here"
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
        raise NotAvailable("no proxy stands between the services and what they stand on: TOXICS=on is needed")
    routes = {}
    for name in names.split(","):
        service, _, dependency = name.partition(".")
        routes[f"{service}{ARROW}{'broker' if dependency == stack.broker else dependency}"] = name
    return routes


async def _traffic(toxiproxy: Toxiproxy, proxy: str) -> Traffic | None:
    """None where it cannot be seen from here: in a container, or where the kernel does not tell."""
    address, port = await toxiproxy.listens(proxy)
    try:
        return Traffic(port) if address == HERE else None
    except OSError:
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
    """What is asked for happens, and who asked is never told."""
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
