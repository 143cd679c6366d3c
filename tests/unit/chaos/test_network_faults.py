"""Faults of the network: their routes and toxics, healed whatever happens, and felt or not."""

import asyncio
import json
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.connections import Passed, Traffic, connections
from tests.chaos.faults import network
from tests.chaos.faults.disk import _may_mount
from tests.chaos.faults.network import FAULTS
from tests.chaos.model import NotAvailable
from tests.chaos.stack import StackUnderTest
from tests.chaos.toxiproxy import UPSTREAM, Toxic, Toxiproxy

ROUTE = "payment->payment-db"
PROXY = "payment.payment-db"


class FakeToxiproxy(httpx.AsyncBaseTransport):
    """Toxiproxy's interface, as far as it is used. `calls`: the requests, in order."""

    def __init__(self, port: int) -> None:
        self.calls: list[tuple[str, str]] = []
        self.port, self.enabled, self.toxics = port, True, dict[str, Any]()
        self.broken = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        method, path = request.method, request.url.path
        self.calls.append((method, path))
        body = json.loads(request.content) if request.content else {}
        if method == "POST":
            self.broken.set()
        if path.endswith("/toxics"):
            assert body["name"] not in self.toxics
            self.toxics[body["name"]] = body
            return httpx.Response(200, json=body)
        if method == "DELETE":
            return httpx.Response(204 if self.toxics.pop(path.rpartition("/")[2], None) else 404)
        self.enabled = body.get("enabled", self.enabled)
        return httpx.Response(200, json={"listen": f"127.0.0.1:{self.port}", "enabled": self.enabled})


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def fake(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> FakeToxiproxy:
    fake = FakeToxiproxy(listener.getsockname()[1])
    monkeypatch.setattr(network, "Toxiproxy", lambda url: Toxiproxy(url, fake))
    return fake


def stack(**environment: str) -> StackUnderTest:
    return StackUnderTest("kafka-choreography", Path("/nowhere"), environment)


def proxied() -> StackUnderTest:
    return stack(TOXIPROXY_URL="http://toxiproxy", TOXIPROXY_PROXIES=f"{PROXY},payment.kafka,payment.provider")


def test_without_a_proxy_between_them_no_network_can_be_broken() -> None:
    for fault in FAULTS.values():
        with pytest.raises(NotAvailable, match="TOXICS=on is needed"):
            fault.targets(stack())


def test_routes_are_named_by_both_of_their_ends_and_the_broker_by_its_role() -> None:
    for fault in FAULTS.values():
        assert tuple(fault.targets(proxied())) == (ROUTE, "payment->broker", "payment->provider")


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_in_force_for_its_time_and_then_nothing_is_left_of_it(name: str, fake: FakeToxiproxy) -> None:
    injecting = asyncio.create_task(FAULTS[name].inject(proxied(), ROUTE, 0.2, random.Random(1)))
    async with asyncio.timeout(5):
        await fake.broken.wait()
    injection = await injecting
    assert (injection.fault, injection.target) == (name, ROUTE)
    assert injection.ended is not None
    assert injection.ended - injection.began >= 0.2
    assert injection.felt is False, "nothing was connected, and nothing was sent"
    assert fake.enabled
    assert not fake.toxics
    assert all(path.startswith(f"/proxies/{PROXY}") for _, path in fake.calls)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_that_is_cancelled_heals_at_once(name: str, fake: FakeToxiproxy) -> None:
    injecting = asyncio.create_task(FAULTS[name].inject(proxied(), ROUTE, 60, random.Random(1)))
    async with asyncio.timeout(5):
        await fake.broken.wait()
        injecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await injecting
    assert fake.enabled
    assert not fake.toxics


async def test_a_fault_is_felt_by_what_is_sent_into_it(fake: FakeToxiproxy, listener: socket.socket) -> None:
    with socket.create_connection(("127.0.0.1", fake.port)) as client, listener.accept()[0] as served:
        injecting = asyncio.create_task(FAULTS["latency"].inject(proxied(), ROUTE, 0.3, random.Random(1)))
        async with asyncio.timeout(5):
            await fake.broken.wait()
        client.sendall(b"SELECT 1")
        served.recv(100)
        injection = await injecting
    assert injection.felt is True
    assert injection.detail == "0 connections broke, 8 bytes were sent, 0 answered"


async def test_a_fault_is_felt_by_the_connections_that_break(fake: FakeToxiproxy, listener: socket.socket) -> None:
    with socket.create_connection(("127.0.0.1", fake.port)) as client, listener.accept()[0]:
        injecting = asyncio.create_task(FAULTS["cut"].inject(proxied(), ROUTE, 0.3, random.Random(1)))
        async with asyncio.timeout(5):
            await fake.broken.wait()
        client.close()
        injection = await injecting
    assert injection.felt is True
    assert injection.detail.startswith("1 connections broke")


async def test_if_the_kernel_reports_no_connections_it_is_unknown_whether_it_was_felt(
    fake: FakeToxiproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(port: int, process: int | None) -> dict[int, Passed]:
        raise OSError("not here")

    monkeypatch.setattr("tests.chaos.connections.connections", refuse)
    injection = await FAULTS["cut"].inject(proxied(), ROUTE, 0.1, random.Random(1))
    assert injection.felt is None
    assert fake.enabled


async def test_a_toxic_that_is_gone_already_is_no_error(fake: FakeToxiproxy) -> None:
    async with Toxiproxy("http://toxiproxy", fake) as toxiproxy:
        await toxiproxy.remove(PROXY, Toxic("latency", UPSTREAM))


def test_what_went_over_a_connection_is_counted_in_both_directions(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert connections(port) == {}
    with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as served:
        traffic = Traffic(port)
        client.sendall(b"x" * 1000)
        served.recv(1000, socket.MSG_WAITALL)
        served.sendall(b"y" * 300)
        client.recv(300, socket.MSG_WAITALL)
        client.sendall(b"z")  # and with it the acknowledgement
        served.recv(1)
        traffic.look()
        assert (traffic.received, traffic.answered, traffic.broken) == (1001, 300, 0)
        assert set(connections(port)) == {client.getsockname()[1]}
        if _may_mount():  # the same privilege joins the network of a process
            assert set(connections(port, os.getpid())) == {client.getsockname()[1]}
        else:
            with pytest.raises(PermissionError, match="cannot be joined"):
                connections(port, os.getpid())
    traffic.look()
    assert traffic.broken == 1


def test_the_connections_of_a_listener_for_both_families_are_seen() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0]:
            assert set(connections(port)) == {client.getsockname()[1]}
