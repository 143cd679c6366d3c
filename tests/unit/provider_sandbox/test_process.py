"""The sandbox as a process: it is killed, and its ledger knows nothing of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from checkout.provider_rules import decide
from sagakit.ports import Probed
from sagakit.provider import InstantProvider, OutcomeUnknown, ProviderCall
from sagakit.provider_http import HttpProvider
from tests.keys import PAYMENT_KEY, PUBLIC_KEY, SHIPPING_KEY

pytestmark = pytest.mark.thorough

EUR = {"amount": 2400, "currency": "EUR"}


class Process:
    def __init__(self, database: Path) -> None:
        self._database = database
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self._port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TOKEN_PUBLIC_KEYS": PUBLIC_KEY,
            "PROVIDER_KEY_PAYMENT": PAYMENT_KEY,
            "PROVIDER_KEY_SHIPPING": SHIPPING_KEY,
            "HTTP_PORT": str(self._port),
            "SANDBOX_DATABASE": str(self._database),
        }
        self.child = subprocess.Popen([sys.executable, "-m", "provider_sandbox"], env=environ)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("not ready")

    def end(self, number: signal.Signals) -> int:
        self.child.send_signal(number)
        return self.child.wait(10)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "ledger.db")
    yield process
    if process.child.poll() is None:
        process.child.kill()
        process.child.wait()


def authorize(number: int, token: str = "tok_visa") -> ProviderCall:  # noqa: S107
    order_id = f"order-{number}"
    payload = {"order_id": order_id, "amount": EUR, "token": token}
    return ProviderCall(f"{order_id}/authorize", "payment", "authorize", payload)


async def ledger(process: Process, headers: dict[str, str]) -> list[str]:
    keys: list[str] = []
    async with httpx.AsyncClient(base_url=process.url, headers=headers) as client:
        cursor: str | None = ""
        while cursor is not None:
            body = (await client.get("/ledger", params={"limit": 200, "cursor": cursor})).json()
            keys += [entry["key"] for entry in body["items"]]
            cursor = body["next_cursor"]
    return keys


async def test_answered_calls_survive_a_kill_and_have_one_effect(
    process: Process, as_role: Callable[[Any], dict[str, str]]
) -> None:
    provider = HttpProvider(process.url, PAYMENT_KEY, time_limit=20)
    answered: set[str] = set()
    enough = asyncio.Event()

    async def ask(number: int) -> None:
        try:
            await provider.call(authorize(number))
        except OutcomeUnknown:
            return
        answered.add(f"order-{number}/authorize")
        if len(answered) >= 50:
            enough.set()

    asking = [asyncio.create_task(ask(number)) for number in range(400)]
    await asyncio.wait_for(enough.wait(), 20)
    process.end(signal.SIGKILL)
    await asyncio.gather(*asking)
    assert 50 <= len(answered) < 400
    process.start()
    survived = await ledger(process, as_role("admin"))
    assert answered <= set(survived)
    for number in range(400):
        assert await provider.call(authorize(number)) == decide(authorize(number))
    keys = await ledger(process, as_role("admin"))
    assert sorted(keys) == sorted(f"order-{number}/authorize" for number in range(400))
    await provider.close()


async def test_a_lost_answer_is_a_timeout_and_the_repeat_is_answered(process: Process) -> None:
    provider = HttpProvider(process.url, PAYMENT_KEY, time_limit=0.3)
    with pytest.raises(OutcomeUnknown):
        await provider.call(authorize(1, "tok_timeout"))
    assert (await provider.call(authorize(1, "tok_timeout"))).outcome == "ok"
    await provider.close()


async def test_the_connection_of_a_waiting_client_is_closed(process: Process) -> None:
    provider = HttpProvider(process.url, PAYMENT_KEY, time_limit=10)
    with pytest.raises(OutcomeUnknown, match=r"ClientPayloadError|ServerDisconnected"):
        await provider.call(authorize(1, "tok_timeout"))
    await provider.close()


async def test_a_graceful_stop_closes_held_connections_and_exits_with_0(process: Process) -> None:
    provider = HttpProvider(process.url, PAYMENT_KEY, time_limit=10)
    call = asyncio.create_task(provider.call(authorize(1, "tok_timeout")))
    await asyncio.sleep(0.3)
    assert await asyncio.to_thread(process.end, signal.SIGTERM) == 0
    with pytest.raises(OutcomeUnknown):
        await call
    await provider.close()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"TOKEN_PUBLIC_KEYS": ""}, "TOKEN_PUBLIC_KEYS"),
        ({"TOKEN_PUBLIC_KEYS": "short"}, "TOKEN_PUBLIC_KEYS"),
        ({"PROVIDER_KEY_PAYMENT": ""}, "PROVIDER_KEY_PAYMENT"),
        ({"PROVIDER_KEY_SHIPPING": ""}, "PROVIDER_KEY_SHIPPING"),
        ({"PROVIDER_KEY_SHIPPING": "weak"}, "PROVIDER_KEY_SHIPPING"),
        ({"PROVIDER_KEY_SHIPPING": PAYMENT_KEY}, "PROVIDER_KEY_SHIPPING"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_one_line(wrong: dict[str, str], named: str, tmp_path: Path) -> None:
    environ = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "SANDBOX_DATABASE": str(tmp_path / "ledger.db"),
        "TOKEN_PUBLIC_KEYS": PUBLIC_KEY,
        "PROVIDER_KEY_PAYMENT": PAYMENT_KEY,
        "PROVIDER_KEY_SHIPPING": SHIPPING_KEY,
        **wrong,
    }
    done = subprocess.run(
        [sys.executable, "-m", "provider_sandbox"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(named)
    assert not any(value in done.stderr for value in ("weak", PAYMENT_KEY, SHIPPING_KEY))


async def test_a_probe_tells_whether_the_provider_answers(process: Process) -> None:
    provider = HttpProvider(process.url, PAYMENT_KEY)
    assert isinstance(provider, Probed)
    assert not isinstance(InstantProvider(decide), Probed)
    await provider.probe()
    process.child.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await provider.probe()
    finally:
        process.child.send_signal(signal.SIGCONT)
    await provider.probe()
    process.end(signal.SIGKILL)
    with pytest.raises(ConnectionRefusedError):
        await provider.probe()
    await provider.close()
