"""The provider's ledger over HTTP, and when it may be missing."""

from typing import Any

import httpx
import pytest

from checkout_audit.errors import Unreachable
from checkout_audit.ledger import Ledger, Sandbox
from checkout_audit.slicing import ranges
from checkout_audit.target import Target
from sagakit.web.auth import Verifier
from tests.keys import PUBLIC_KEY, SIGNING_KEY
from tests.unit.checkout_audit.edits import entry


def item(number: int) -> dict[str, Any]:
    return {
        "order_id": f"{number:04x}",
        "provider": "payment",
        "operation": "capture",
        "outcome": "ok",
        "amount": {"amount": number, "currency": "EUR"} if number else None,
        "key": f"{number:04x}/capture",
        "at": "2030-01-01T00:00:00.000001+00:00",
        "code": "of a later version",
    }


class Pages:
    """A sandbox with `total` entries, two to a page; the first `broken` answers are 503."""

    def __init__(self, total: int, broken: int = 0, status: int = 503) -> None:
        self.total, self.broken, self.status, self.asked = total, broken, status, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        assert Verifier(PUBLIC_KEY).verify(request.headers["Authorization"].removeprefix("Bearer ")).is_admin
        assert request.url.params["limit"] == "200"
        if self.asked <= self.broken:
            return httpx.Response(self.status)
        start = int(request.url.params.get("cursor", 0))
        end = min(start + 2, self.total)
        more = str(end) if end < self.total else None
        return httpx.Response(200, json={"items": [item(n) for n in range(start, end)], "next_cursor": more})


def sandbox(pages: Pages) -> Sandbox:
    return Sandbox("http://sandbox", SIGNING_KEY, httpx.MockTransport(pages))


async def test_the_ledger_is_read_page_by_page_and_found_by_range() -> None:
    ledger = await sandbox(Pages(5)).read()
    rows = ledger.between(None, None)
    assert [row.key for row in rows] == [f"{n:04x}/capture" for n in range(5)]
    assert (rows[0].amount, rows[4].amount and rows[4].amount.amount) == (None, 4)
    assert {row.source for row in rows} == {"sandbox"}
    assert [row.order_id for row in ledger.between("0001", "0003")] == ["0001", "0002"]


async def test_a_transient_failure_is_retried() -> None:
    assert len((await sandbox(Pages(3, broken=1)).read()).between(None, None)) == 3


async def test_a_lasting_failure_is_an_error_and_no_empty_ledger() -> None:
    with pytest.raises(Unreachable, match="make up"):
        await sandbox(Pages(3, broken=99, status=401)).read()


async def test_only_with_instant_providers_may_the_sandbox_be_down() -> None:
    nowhere = "http://127.0.0.1:1"
    assert await Target({}, nowhere, SIGNING_KEY, instant=True).ledger() is None
    with pytest.raises(Unreachable, match="ledger"):
        await Target({}, nowhere, SIGNING_KEY, instant=False).ledger()
    with pytest.raises(Unreachable, match="TOKEN_SIGNING_KEY"):
        await Target({}, nowhere, "", instant=False).ledger()


@pytest.mark.parametrize("bounds", [[], ["8"], ["00", "0000", "restock-7"], [format(n, "02x") for n in range(256)]])
def test_slices_cover_every_id_once(bounds: list[str]) -> None:
    parts = ranges(bounds)
    odd = ("", "!", "0000", "00", "zz", "restock-7", "ffff")
    ledger = Ledger(
        entry(order_id, "capture") for order_id in (*odd, *(format(n, "032x") for n in range(0, 1 << 128, 1 << 120)))
    )
    found = [row.order_id for part in parts for row in ledger.between(part.low, part.high)]
    assert found == [row.order_id for row in ledger.between(None, None)]
    assert len(parts) == len(bounds) + 1
