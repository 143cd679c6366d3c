"""Buyers who honour Retry-After, and what an overload comes to, against a small server of the test."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from loadtests import flash_sale, overload
from loadtests.buyers import Buyers, Purchase
from loadtests.overload import Phase
from tests.keys import SIGNING_KEY

COMPLETED = b'{"status": "COMPLETED", "cancellation_reason": null}'
SOLD_OUT = b'{"status": "CANCELLED", "cancellation_reason": "OUT_OF_STOCK"}'
HANG_UP = b""


def answer(status: int, body: bytes = b"{}", retry_after: int | None = None) -> bytes:
    header = b"" if retry_after is None else b"Retry-After: %d\r\n" % retry_after
    return b"HTTP/1.1 %d Text\r\n%sContent-Length: %d\r\n\r\n%s" % (status, header, len(body), body)


@asynccontextmanager
async def shop(*answers: bytes) -> AsyncIterator[tuple[Buyers, list[str]]]:
    """Buyers of a server that gives these answers in turn, and the keys of the requests that it got."""
    keys, left, connections = list[str](), list(answers), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())  # type: ignore[arg-type]
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(int(re.findall(r"Content-Length: (\d+)", head)[0]))
                keys.append(re.findall(r"Idempotency-Key: (\S+)", head)[0])
                content = left.pop(0)
                if not content:
                    break
                for half in (content[: len(content) // 2], content[len(content) // 2 :]):
                    writer.write(half)
                    await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        buyers = Buyers(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", SIGNING_KEY, customers=2, most=4)
        yield buyers, keys
        buyers.close()
        await asyncio.gather(*connections)


async def test_a_refused_buyer_comes_again_with_the_same_key_and_hears_the_end() -> None:
    refusals = answer(503, retry_after=0), answer(429, retry_after=0)
    async with shop(*refusals, answer(202), answer(200, COMPLETED), answer(200, SOLD_OUT)) as (buyers, keys):
        until = time.monotonic() + 10
        bought, missed = await buyers.buy({}, until), await buyers.buy({}, until)
    assert (bought.end, bought.refused, bought.error) == ("COMPLETED", 2, "")
    assert 0 <= bought.seconds < 5
    assert missed.end == "OUT_OF_STOCK"
    assert len(keys) == 5
    assert len(set(keys)) == 2


async def test_a_buyer_does_not_come_again_after_the_end() -> None:
    async with shop(answer(503, retry_after=30)) as (buyers, _):
        gone = await buyers.buy({}, time.monotonic() + 10)
    assert gone == Purchase(refused=1)


async def test_a_client_who_would_come_again_after_the_end_places_no_other_order_instead() -> None:
    async with shop(answer(503, retry_after=30)) as (buyers, keys):
        phase = await overload.Overload(buyers, seed=1).clients(1, 10)
    assert (list(phase.purchases), len(keys)) == ([Purchase(refused=1)], 1)


async def test_a_lost_connection_is_no_refusal_and_an_unexpected_answer_is_an_error() -> None:
    async with shop(HANG_UP, answer(500, b"broken")) as (buyers, keys):
        failed = await buyers.buy({}, time.monotonic() + 10)
    assert failed.error == "answered 500: broken"
    assert len(set(keys)) == 1


def purchases(*ends: str, seconds: float = 2.0) -> list[Purchase]:
    return [Purchase(sent=10.0, ended=10.0 + seconds, end=end) for end in ends]


def test_a_phase_counts_what_completed_and_tells_what_went_wrong() -> None:
    phase = Phase([*purchases("COMPLETED", "COMPLETED", "TIMED_OUT"), Purchase(refused=3), Purchase(error="odd")], 4.0)
    assert (phase.rate, phase.in_flight, phase.latest) == (0.5, 1.5, 2.0)
    assert phase.wrong() == {"TIMED_OUT": 1, "odd": 1}


def test_an_accepted_order_without_an_end_is_wrong() -> None:
    assert Phase([Purchase(sent=1.0)], 1.0).wrong() == {"no end": 1}


@pytest.mark.parametrize("given", [{"CLIENTS": "50,x"}, {"DURATION": "0"}, {"FACTOR": "-1"}, {"CLIENTS": "0"}])
def test_a_wrong_setting_of_the_overload_is_named(given: dict[str, str]) -> None:
    (pair,) = (f"{name}={value}" for name, value in given.items())
    with pytest.raises(ValueError, match=pair):
        overload.plan(given)
    assert overload.plan({}).clients == (50, 400)


@pytest.mark.parametrize(("run", "given"), [(overload.main, "CLIENTS=none"), (flash_sale.main, "BUYERS=99")])
def test_a_wrong_setting_ends_with_status_2(
    run: Callable[[], int], given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, value = given.split("=")
    monkeypatch.setenv(name, value)
    assert run() == 2
    assert name in capsys.readouterr().err
