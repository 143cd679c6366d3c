"""The auditor over HTTP: for operators only, with their own token at the ledger; what it cannot read it names."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from checkout_audit import service
from checkout_audit.audit import AuditOptions
from checkout_audit.errors import Unreachable
from checkout_audit.report import Report
from checkout_audit.snapshot import Violation
from checkout_audit.target import Target
from sagakit.settings import Settings
from sagakit.web.app import issue_token
from tests.keys import PUBLIC_KEY, SIGNING_KEY

OPERATOR = issue_token(SIGNING_KEY, "operator", "admin")


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    nowhere = dict.fromkeys(("order", "payment", "inventory", "shipping"), "postgresql://a:b@127.0.0.1:1/c")
    app = service.build(Settings(token_public_keys=PUBLIC_KEY), Target(nowhere, "http://127.0.0.1:1"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://auditor") as one:
        yield one


@pytest.mark.parametrize("path", ["/verdicts/o1", "/audit"])
async def test_only_an_operator_may_ask(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 401
    customer = bearer(issue_token(SIGNING_KEY, "alice"))
    assert (await client.get(path, headers=customer)).status_code == 403


@pytest.mark.parametrize("path", ["/verdicts/o1", "/audit"])
async def test_what_cannot_be_read_is_named(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=bearer(OPERATOR))
    assert answer.status_code == 503
    assert "database" in answer.json()["detail"] or "ledger" in answer.json()["detail"]
    assert "b@127" not in answer.text, "no password"


async def test_an_order_is_judged_with_the_token_of_who_asks_and_its_violations_are_listed(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Report()
    report.findings[3].add(1, [Violation("o1", "it is cancelled, and stock is held")])
    asked: list[tuple[str, str]] = []

    async def judged(target: Target, order_id: str) -> Report | None:
        asked.append((target.token, order_id))
        return report if order_id == "o1" else None

    monkeypatch.setattr(service, "_judged", judged)
    monkeypatch.setattr(service, "PAUSE_BEFORE_RECHECK", 0)
    body = (await client.get("/verdicts/o1", headers=bearer(OPERATOR))).json()
    assert (body["consistent"], body["judged"]) == (False, [4])
    assert body["violations"] == [
        {
            "number": 4,
            "name": "cancelled is undone",
            "subject": "o1",
            "what": "it is cancelled, and stock is held",
        }
    ]
    assert asked == [(OPERATOR, "o1"), (OPERATOR, "o1")], "what looks wrong is looked at twice"
    assert (await client.get("/verdicts/o2", headers=bearer(OPERATOR))).status_code == 404


async def test_an_audit_of_what_changed_says_since_when(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[AuditOptions] = []

    async def examine(target: Target, options: AuditOptions, wait: float) -> Any:
        given.append(options)
        if options.since is None:
            raise Unreachable("nobody")
        return Report()

    monkeypatch.setattr(service, "examine", examine)
    assert (await client.get("/audit?since=600", headers=bearer(OPERATOR))).json()["consistent"] is True
    assert (await client.get("/audit", headers=bearer(OPERATOR))).status_code == 503
    assert (await client.get("/audit?since=x", headers=bearer(OPERATOR))).status_code == 422
    assert [options.since is None for options in given] == [False, True]
    assert {options.processes for options in given} == {1}, "a fork copies connections and held locks"
