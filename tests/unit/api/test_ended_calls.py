"""A call to a provider that gets no answer, ended by an operator: what is accepted, kept, and made good later."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from checkout.messages import AuthorizePayment, BookShipment, CapturePayment, PaymentDeclined, VoidPayment
from checkout.provider_rules import decide
from sagakit.provider import OutcomeUnknown, ProviderCall, ProviderOutcome
from tests.postgres import Server
from tests.service_process import basket
from tests.unit.api.served import ADMIN, Served, headers, problem, served
from tests.unit.api.test_attention import counted, pages

BECAUSE = {"outcome": "declined", "reason": "  they told us by telephone  "}


class Silent:
    """Gives no answer to the operations in `silent`; what it was asked, in order."""

    def __init__(self, *silent: str) -> None:
        self.silent, self.asked = set(silent), list[str]()

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        self.asked.append(call.key)
        if call.operation in self.silent:
            raise OutcomeUnknown(f"{call.key}: silent")
        return decide(call)

    def decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        return None

    async def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture
def provider() -> Silent:
    return Silent("authorize", "book")


@pytest.fixture
async def payment(postgres: Server, provider: Silent) -> AsyncIterator[Served]:
    given: dict[str, Any] = {
        "provider": provider,
        "providers": "sandbox",
        "saga_attention_after": 0.05,
        "retry_max": 0.2,
    }
    async with served("payment", postgres.database("payment"), **given) as this:
        yield this


@pytest.fixture
async def shipping(postgres: Server, provider: Silent) -> AsyncIterator[Served]:
    given: dict[str, Any] = {
        "provider": provider,
        "providers": "sandbox",
        "saga_attention_after": 0.05,
        "retry_max": 0.2,
    }
    async with served("shipping", postgres.database("shipping"), **given) as this:
        yield this


async def asked(this: Served, command: Any) -> None:
    """Done so far that its call has been made once, without answer."""
    await this.do(command)
    await this.service_process.until("SELECT count(*) FROM outbox WHERE is_call AND attempts > 0", 1)


async def journal(this: Served) -> list[str]:
    rows = await this.service_process.rows("SELECT name FROM journal ORDER BY seq")
    return [row.name for row in rows]


async def test_an_authorization_is_ended_as_declined_with_who_and_why(
    payment: Served, caplog: pytest.LogCaptureFixture
) -> None:
    await asked(payment, AuthorizePayment("o1", basket()))
    with caplog.at_level(logging.WARNING):
        told = (await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE)).json()
    assert (told["resolved"], told["outcome"], told["detail"]) == (True, "declined", "ended as declined")
    assert (told["reason"], told["dismissed_by"]) == ("they told us by telephone", "root")
    (record,) = [record for record in caplog.records if record.message == "call ended"]
    assert (record.item, record.by) == ("o1/authorize", "root")  # type: ignore[attr-defined]
    assert await journal(payment) == ["PaymentAuthorizationRequested", "PaymentDeclined"]
    assert await pages(payment) == []
    (kept,) = await pages(payment, "/attention?dismissed=true")
    assert kept == {name: value for name, value in told.items() if name not in ("resolved", "outcome")}
    (row,) = await payment.service_process.rows("SELECT data FROM journal WHERE name = 'PaymentDeclined'")
    assert json.loads(row.data)["code"] == "ended_by_operator"


async def test_repeating_it_changes_nothing_and_the_first_reason_stays(payment: Served) -> None:
    await asked(payment, AuthorizePayment("o1", basket()))
    first = (await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE)).json()
    other = {"outcome": "declined", "reason": "another"}
    again = await payment.post("/attention/o1/authorize/resolve", headers("eve", "admin"), other)
    assert (again.status_code, again.json()) == (200, first)
    assert await journal(payment) == ["PaymentAuthorizationRequested", "PaymentDeclined"]


async def test_one_that_was_put_away_before_can_be_ended_and_the_reason_for_that_is_kept(payment: Served) -> None:
    await asked(payment, AuthorizePayment("o1", basket()))
    await counted(payment, "provider-call", 1)
    assert (await payment.post("/attention/o1/authorize/dismiss", ADMIN, {"reason": "known"})).status_code == 200
    told = (await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE)).json()
    assert (told["reason"], told["detail"]) == ("they told us by telephone", "ended as declined")


async def test_what_the_provider_did_after_all_is_undone_there(payment: Served, provider: Silent) -> None:
    await asked(payment, AuthorizePayment("o1", basket()))
    await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE)
    await payment.do(VoidPayment("o1"))
    assert await journal(payment) == ["PaymentAuthorizationRequested", "PaymentDeclined", "PaymentVoided"]
    assert "o1/void" not in provider.asked, "of what it has not answered there is nothing to void"
    provider.silent.clear()
    await payment.service_process.until("SELECT count(*) FROM outbox WHERE is_call", 0)
    assert provider.asked[-2:] == ["o1/authorize", "o1/void"]
    assert (await journal(payment))[3:] == ["LateAuthorizationVoidRequested", "LateAuthorizationVoided"]
    (row,) = await payment.service_process.rows("SELECT status, open, closed FROM payments")
    assert tuple(row) == ("DECLINED", False, True)


async def test_what_the_provider_did_not_do_needs_no_undoing(payment: Served, provider: Silent) -> None:
    await asked(payment, AuthorizePayment("o1", replace(basket(), payment_token="tok_declined")))
    await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE)
    provider.silent.clear()
    await payment.service_process.until("SELECT count(*) FROM outbox WHERE is_call", 0)
    assert (await journal(payment))[2:] == ["LateAuthorizationDeclined"]
    assert "o1/void" not in provider.asked


async def test_an_order_that_waits_to_be_voided_settles(payment: Served) -> None:
    await asked(payment, AuthorizePayment("o1", basket()))
    await payment.do(VoidPayment("o1"))
    assert (await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE)).status_code == 200
    assert (await journal(payment))[-1] == "PaymentVoided"


async def test_a_booking_is_ended_as_refused_and_cancelled_if_it_was_made(shipping: Served, provider: Silent) -> None:
    await asked(shipping, BookShipment("o1", basket()))
    body = {"outcome": "refused", "reason": "their system has no such booking"}
    assert (await shipping.post("/attention/o1/book/resolve", ADMIN, body)).json()["resolved"] is True
    assert await journal(shipping) == ["ShipmentBookingRequested", "ShipmentRefused"]
    provider.silent.clear()
    await shipping.service_process.until("SELECT count(*) FROM outbox WHERE is_call", 0)
    assert provider.asked[-2:] == ["o1/book", "o1/cancel"]
    assert (await journal(shipping))[2:] == ["LateBookingCancellationRequested", "LateBookingCancelled"]


@pytest.mark.parametrize("outcome", ["ok", "refused", "DECLINED", "captured"])
async def test_an_outcome_that_could_not_be_made_good_is_refused_with_those_that_can(
    payment: Served, outcome: str
) -> None:
    await asked(payment, AuthorizePayment("o1", basket()))
    answer = await payment.post("/attention/o1/authorize/resolve", ADMIN, {**BECAUSE, "outcome": outcome})
    (error,) = problem(answer, 422, "validation")["errors"]
    assert (error["field"], error["message"]) == ("outcome", "must be one of: declined")
    assert await journal(payment) == ["PaymentAuthorizationRequested"]


async def test_a_capture_ends_with_the_providers_answer_alone(payment: Served, provider: Silent) -> None:
    provider.silent = {"capture"}
    await payment.do(AuthorizePayment("o1", basket()))
    await payment.service_process.until("SELECT count(*) FROM journal WHERE name = 'PaymentAuthorized'", 1)
    await asked(payment, CapturePayment("o1"))
    for outcome in ("ok", "declined"):
        answer = await payment.post("/attention/o1/capture/resolve", ADMIN, {**BECAUSE, "outcome": outcome})
        assert "capture" in problem(answer, 409, "not_resolvable")["detail"]


async def test_who_may_and_what_has_to_be_said(payment: Served) -> None:
    path = "/attention/o1/authorize/resolve"
    problem(await payment.post(path, ADMIN, BECAUSE), 404, "not_found")
    await asked(payment, AuthorizePayment("o1", basket()))
    problem(await payment.post(path, headers(), BECAUSE), 403, "forbidden")
    problem(await payment.client.post(path, json=BECAUSE), 401, "unauthenticated")
    wrong: list[dict[str, Any]] = [{}, {"outcome": "declined"}, {"reason": "x"}, {**BECAUSE, "reason": "  "}]
    for body in (*wrong, {**BECAUSE, "reason": "x" * 501}, {**BECAUSE, "outcome": ""}, {**BECAUSE, "by": "me"}):
        problem(await payment.post(path, ADMIN, body), 422, "validation")
    for item in ("o2/authorize", "o1", "o1/PaymentDeclined", "%00"):
        problem(await payment.post(f"/attention/{item}/resolve", ADMIN, BECAUSE), 404, "not_found")
    assert await journal(payment) == ["PaymentAuthorizationRequested"]


async def test_an_answer_that_came_first_wins(payment: Served, provider: Silent) -> None:
    """The row of a call is there for a moment longer than its answer is on record."""
    await asked(payment, AuthorizePayment("o1", basket()))
    (row,) = await payment.service_process.rows("SELECT * FROM outbox WHERE is_call")
    provider.silent.clear()
    await payment.service_process.until("SELECT count(*) FROM journal WHERE name = 'PaymentAuthorized'", 1)
    await payment.service_process.until("SELECT count(*) FROM outbox WHERE is_call", 0)
    columns = "id, channel, key, type, body, is_call, token, attempts, leased_until, created_at"
    body = f"'\\x{row.body.hex()}'"
    values = f"'o1/authorize', 'provider', 'o1', 'authorize', {body}, true, 0, 1, now() + interval '1 h', now()"
    await payment.service_process.execute(f"INSERT INTO outbox ({columns}) VALUES ({values})")
    problem(await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE), 409, "answered")
    assert PaymentDeclined.__name__ not in await journal(payment)
    assert await pages(payment, "/attention?dismissed=true") == []


async def test_a_call_that_was_answered_is_not_unknown(payment: Served, provider: Silent) -> None:
    await asked(payment, AuthorizePayment("o1", basket()))
    provider.silent.clear()
    await payment.service_process.until("SELECT count(*) FROM journal WHERE name = 'PaymentAuthorized'", 1)
    await payment.service_process.until("SELECT count(*) FROM outbox WHERE is_call", 0)
    problem(await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE), 409, "answered")
    for other in ("o1/capture", "o/authorize", "o10/authorize"):
        problem(await payment.post(f"/attention/{other}/resolve", ADMIN, BECAUSE), 404, "not_found")


async def test_repeating_it_after_the_provider_has_answered_gives_the_same_record(
    payment: Served, provider: Silent
) -> None:
    await asked(payment, AuthorizePayment("o1", basket()))
    first = (await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE)).json()
    provider.silent.clear()
    await payment.service_process.until("SELECT count(*) FROM journal WHERE name = 'LateAuthorizationVoided'", 1)
    await payment.service_process.until("SELECT count(*) FROM outbox WHERE is_call", 0)
    again = await payment.post("/attention/o1/authorize/resolve", ADMIN, BECAUSE)
    assert (again.status_code, again.json()) == (200, first)
