"""The providers' ledger: what the sandbox, which shares no code with the services' databases, says was done."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from sys import intern
from typing import Any, Final

import httpx

from checkout.messages import Money
from checkout_audit.errors import Unreachable
from checkout_audit.rows import LedgerRow
from checkout_audit.tables import Among, Range
from sagakit.web.auth import issue_token

PAGE: Final = 200
ATTEMPTS: Final = 3
TIME_LIMIT: Final = 15.0  # seconds per request
_order_id: Final = attrgetter("order_id")


class Ledger:
    """The entries of the sandbox, sorted by order."""

    def __init__(self, entries: Iterable[LedgerRow] = ()) -> None:
        self._entries = sorted(entries, key=_order_id)

    def between(self, low: str | None, high: str | None) -> tuple[LedgerRow, ...]:
        """The entries of orders from `low` up to, not including, `high`; None is no bound."""
        start = 0 if low is None else bisect_left(self._entries, low, key=_order_id)
        end = len(self._entries) if high is None else bisect_left(self._entries, high, key=_order_id)
        return tuple(self._entries[start:end])

    def among(self, among: Among) -> tuple[LedgerRow, ...]:
        """The entries of the orders in a range, or of some orders."""
        if isinstance(among, Range):
            return self.between(among.low, among.high)
        return tuple(row for one in among.ids for row in self.between(one, f"{one}0"))


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The address of the sandbox, and an operator's token, or else the key that signs one."""

    url: str
    signing_key: str
    transport: httpx.AsyncBaseTransport | None = None
    token: str = field(default="", repr=False)

    async def read(self, order_id: str = "") -> Ledger:
        """Read the whole ledger, or what it has of one order, page by page.

        Raises:
            Unreachable: The sandbox did not answer, or refused.
        """
        token = self.token or issue_token(self.signing_key, "auditor", "admin")
        client = httpx.AsyncClient(
            base_url=self.url,
            timeout=TIME_LIMIT,
            trust_env=False,
            headers={"Authorization": f"Bearer {token}"},
            transport=self.transport,
        )
        entries: list[LedgerRow] = []
        async with client:
            cursor: str | None = None
            while True:
                page = await self._page(client, {"order_id": order_id} if order_id else {}, cursor)
                entries += (_entry(item) for item in page["items"])
                cursor = page["next_cursor"]
                if cursor is None:
                    return Ledger(entries)

    async def _page(self, client: httpx.AsyncClient, among: Mapping[str, str], cursor: str | None) -> Mapping[str, Any]:
        params = {"limit": str(PAGE), **among, **({"cursor": cursor} if cursor else {})}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await client.get("/ledger", params=params)
                answer.raise_for_status()
                page: Mapping[str, Any] = answer.json()
                return page
            except (httpx.HTTPError, ValueError) as error:
                if attempt == ATTEMPTS or isinstance(error, httpx.ConnectError):
                    raise Unreachable(
                        f"the provider sandbox's ledger at {self.url} cannot be read ({type(error).__name__}: "
                        f"{str(error).splitlines()[0] if str(error) else 'no answer'}); start the stack with: make up"
                    ) from error
                await asyncio.sleep(0.2 * attempt)
        raise AssertionError("unreachable")


def _entry(item: Mapping[str, Any]) -> LedgerRow:
    money = item["amount"]
    return LedgerRow(
        order_id=item["order_id"],
        provider=intern(item["provider"]),
        operation=intern(item["operation"]),
        outcome=intern(item["outcome"]),
        amount=Money(money["amount"], intern(money["currency"])) if money else None,
        key=item["key"],
        at=datetime.fromisoformat(item["at"]),
        source="sandbox",
    )
