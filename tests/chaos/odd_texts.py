"""Texts at and beyond their bounds in every field of an order: `MODES=kafka,temporal python -m tests.chaos.odd_texts`.

A stack of its own per mode (`STACK_DIR`, `.stack/odd-texts`; `PORT_OFFSET`, 21000) gets `RATE` orders a second (10) for
`DURATION` seconds (30), and at least enough for a tenth of them to cover every case. Each odd order must settle, or be
refused with a problem that names its field; then the audit must be clean. Exit status 1 if not, 2 for a wrong setting.
"""

import asyncio
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from checkout import limits
from loadtests.shoppers import KINDS, body, pick
from quartet_stack import api
from sagakit.web.app import issue_token
from tests.chaos.settings import modes_of, number, whole

SHARE: Final = 10  # one in so many orders is odd
SETTLES: Final = 90.0
KEY: Final = "Idempotency-Key"
KEY_MAX: Final = 255
FREE: Final = {
    "payment.token": limits.TOKEN,
    "shipping_address.name": limits.NAME,
    "shipping_address.line1": limits.LINE1,
    "shipping_address.city": limits.CITY,
    "shipping_address.postal_code": limits.POSTAL_CODE,
}
"""The fields of free text, with the most characters of each."""
QUOTES: Final = "O'Brien \"the\" `x` \\ \u201c\u00ab'; DROP TABLE orders;--"
WIDE: Final = "\U0001f600\U00020000\U0001d11e"


@dataclass(frozen=True, slots=True)
class Case:
    """One text in one field (its path in the body, or KEY), and whether the service must accept it."""

    field: str
    kind: str
    text: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an odd order; `wrong` is empty if it is the right one."""

    case: Case
    ended: str
    wrong: str = ""


def cases() -> Sequence[Case]:
    """Every kind of text in every text field."""
    all_cases = [Case(field, *one) for field, longest in FREE.items() for one in _kinds(longest)]
    # these two accept only words from a list
    all_cases += [Case("lines.0.sku", kind, text, False) for kind, text, _ in _kinds(limits.SKU)]
    all_cases += [Case("shipping_address.country", kind, text, kind == "longest") for kind, text, _ in _kinds(2)]
    keys = [one for one in _kinds(KEY_MAX) if one[0] != "controls"]  # invalid in HTTP
    return [*all_cases, *(Case(KEY, *one) for one in keys)]


def _kinds(longest: int) -> Sequence[tuple[str, str, bool]]:
    wide = (WIDE * longest)[:longest]
    return (
        ("longest", "Z" * longest, True),
        ("one more", "Z" * (longest + 1), False),
        ("four-byte", wide, True),
        ("one more four-byte", wide + WIDE[0], False),
        ("quotes", QUOTES[:longest], True),
        ("controls", "a\x00\x1b[31m\n\u0085b"[:longest], False),
    )


def odd(case: Case) -> tuple[dict[str, Any], str]:
    """The body and the key of an order that is good except for the case."""
    order: dict[str, Any] = body(KINDS[0], random.Random(case.field + case.kind))
    key = uuid.uuid4().hex
    if case.field == KEY:
        return order, uuid.uuid4().hex[: max(KEY_MAX - len(case.text), 0)] + case.text
    *path, last = case.field.split(".")
    place: Any = order
    for name in path:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[last] = case.text
    return order, key


class Shop:
    """Orders of one customer over HTTP."""

    def __init__(self, stack: Mapping[str, str], client: httpx.AsyncClient) -> None:
        token = issue_token(stack["TOKEN_SIGNING_KEY"], "odd-texts", ttl=86400)
        self._headers, self._client = {"Authorization": f"Bearer {token}"}, client

    async def place(self, order: Mapping[str, Any], key: str) -> httpx.Response:
        """POST /orders, under a key in UTF-8."""
        headers: dict[Any, Any] = {name.encode(): value.encode() for name, value in self._headers.items()}
        return await self._client.post("/orders", json=order, headers=headers | {KEY.encode(): key.encode()})

    async def judge(self, case: Case) -> Outcome:
        """Place an odd order, and follow it to its end."""
        answer = await self.place(*odd(case))
        problem = answer.json()
        if answer.status_code == 422:
            named = [error["field"] for error in problem.get("errors", ())]
            wrong = "" if case.field in named else f"the problem names {named}"
            return Outcome(case, "refused", "refused, though it fits" if case.fits else wrong)
        if answer.status_code not in (200, 202):
            return Outcome(case, "?", f"{answer.status_code} {problem.get('code', '')}")
        wrong = "" if case.fits else "taken, though it does not fit"
        return Outcome(case, *((await self._end(problem["order_id"])), wrong) if not wrong else ("taken", wrong))

    async def _end(self, order_id: str) -> str:
        for _ in range(int(SETTLES / 0.25)):
            order = (await self._client.get(f"/orders/{order_id}", headers=self._headers)).json()
            if order["status"] in ("COMPLETED", "CANCELLED") and order["settled"]:
                return str(order["cancellation_reason"] or order["status"])
            await asyncio.sleep(0.25)
        raise TimeoutError(f"{order_id} has not settled within {SETTLES:g} s")


async def judge_all(stack: Mapping[str, str], given: Sequence[Case], pause: float = 0.0) -> list[Outcome]:
    """Place one odd order of each case, `pause` seconds apart; returns their outcomes."""
    async with httpx.AsyncClient(base_url=stack["ORDER_URL"], timeout=60) as client:
        return await _judge(Shop(stack, client), given, pause)


async def _judge(shop: Shop, given: Sequence[Case], pause: float) -> list[Outcome]:
    async def one(case: Case) -> Outcome:
        try:
            return await shop.judge(case)
        except (TimeoutError, httpx.HTTPError, ValueError, KeyError) as error:
            return Outcome(case, "?", f"{type(error).__name__}: {error}")

    running = []
    for case in given:
        running.append(asyncio.create_task(one(case)))
        await asyncio.sleep(pause)
    return list(await asyncio.gather(*running))


async def _load(stack: Mapping[str, str], rate: float, seconds: float, console: Console) -> list[Outcome]:
    """Place nine ordinary orders for each odd one, at a fixed rate however long answers take."""
    every_case, dice = list(cases()), random.Random(1)
    number = max(int(rate * seconds), SHARE * len(every_case))
    odd = [every_case[index % len(every_case)] for index in range(number // SHARE)]
    async with httpx.AsyncClient(base_url=stack["ORDER_URL"], timeout=60) as client:
        shop, ordinary = Shop(stack, client), list[asyncio.Task[httpx.Response]]()
        judging = asyncio.create_task(_judge(shop, odd, SHARE / rate))
        for index in track(range(number), description=f"{number} orders, {len(odd)} of them odd", console=console):
            if index % SHARE:
                placed = shop.place(body(pick(KINDS, dice), dice), uuid.uuid4().hex)
                ordinary.append(asyncio.create_task(placed))
            await asyncio.sleep(1 / rate)
        answers = await asyncio.gather(*ordinary, return_exceptions=True)
        lost = [one for one in answers if isinstance(one, BaseException) or one.status_code not in (200, 202)]
        console.print(f"{len(answers)} ordinary orders, {len(lost)} of them not accepted")
        return await judging


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print a row for each field, with a column for each kind of text."""
    table = Table("field", *(kinds := list(dict.fromkeys(one.case.kind for one in outcomes))))
    for field in dict.fromkeys(one.case.field for one in outcomes):
        ended = {one.case.kind: one.wrong or one.ended for one in outcomes if one.case.field == field}
        table.add_row(field, *(ended.get(kind, "") for kind in kinds))
    console.print(table)


def run(mode: str, folder: Path, offset: int, rate: float, seconds: float, console: Console) -> bool:
    """Run load and audit on a stack in that mode; returns whether all outcomes are right."""
    console.print(f"[bold]{mode}[/bold]: bringing up {folder}")
    stack = api.up(mode, folder, offset, {"STACK": "native", "TEMPORAL_UI": "off", "PROVIDERS": "sandbox"})
    try:
        outcomes = asyncio.run(_load(stack, rate, seconds, console))
        show(outcomes, console)
        words = [sys.executable, "-m", "checkout_audit"]
        audit = subprocess.run(words, env={**os.environ, **stack}, check=False)
    finally:
        api.down(folder, delete_data=True)
    wrong = [one for one in outcomes if one.wrong]
    for one in wrong:
        console.print(f"[red]{one.case.field}, {one.case.kind}: {one.wrong}[/red]")
    console.print(f"{mode}: {len(outcomes)} odd orders, {len(wrong)} wrong; the audit ended with {audit.returncode}")
    return not wrong and audit.returncode == 0


def main(environ: Mapping[str, str]) -> int:
    """Run the modes one after the other; returns the exit status."""
    try:
        modes = modes_of(environ.get("MODES") or "kafka")
        rate, seconds = number(environ, "RATE", 10, 1000), number(environ, "DURATION", 30, 3600)
        offset = whole(environ, "PORT_OFFSET", 21000, 0, 50000)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    folder = Path(environ.get("STACK_DIR", ".stack/odd-texts")).resolve()
    console = Console(width=None if sys.stdout.isatty() else 160)
    good = [run(mode, folder, offset, rate, seconds, console) for mode in modes]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
