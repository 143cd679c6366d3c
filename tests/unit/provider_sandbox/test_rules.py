"""What is allowed when, and which input gives which outcome."""

from __future__ import annotations

from typing import Any

import pytest

from checkout.provider_rules import decide
from provider_sandbox.records import Record
from provider_sandbox.rules import NotAllowed, amount_of, judge
from sagakit.provider import ProviderCall

EUR = {"amount": 2400, "currency": "EUR"}


def call(operation: str, **payload: Any) -> ProviderCall:
    party = "payment" if operation in ("authorize", "capture", "void") else "carrier"
    return ProviderCall(f"o1/{operation}", party, operation, {"order_id": "o1", **payload})


def done(*operations: str, outcome: str = "ok") -> dict[str, Record]:
    return {
        operation: Record(
            f"o1/{operation}", "o1", "payment", operation, b"", outcome, "", "", 2400, "EUR", "2026-01-01"
        )
        for operation in operations
    }


@pytest.mark.parametrize(
    ("token", "outcome", "code"),
    [
        ("tok_visa", "ok", ""),
        ("tok_timeout", "ok", ""),
        ("tok_flaky", "ok", ""),
        ("tok_slow", "ok", ""),
        ("tok_declined", "declined", "card_declined"),
        ("tok_insufficient_funds", "declined", "insufficient_funds"),
        ("tok_unheard_of", "declined", "invalid_token"),
        (None, "declined", "invalid_token"),
    ],
)
def test_the_token_alone_decides_an_authorization(token: str | None, outcome: str, code: str) -> None:
    decided = decide(call("authorize", token=token, amount=EUR))
    assert (decided.outcome, decided.code) == (outcome, code)


@pytest.mark.parametrize(("country", "outcome"), [("LV", "ok"), ("AQ", "refused"), (None, "ok")])
def test_the_country_alone_decides_a_booking(country: str | None, outcome: str) -> None:
    assert decide(call("book", country=country)).outcome == outcome


def test_the_reference_is_derived_from_the_key() -> None:
    assert decide(call("capture")) == decide(call("capture"))
    assert decide(call("capture")).reference != decide(call("void")).reference


@pytest.mark.parametrize(
    ("operation", "history", "code"),
    [
        ("capture", done(), "not_authorized"),
        ("capture", done("authorize", outcome="declined"), "not_authorized"),
        ("capture", done("authorize", "void"), "already_voided"),
        ("void", done(), "nothing_to_void"),
        ("void", done("authorize", outcome="declined"), "nothing_to_void"),
        ("void", done("authorize", "capture"), "already_captured"),
        ("dispatch", done(), "not_booked"),
        ("dispatch", done("book", outcome="refused"), "not_booked"),
        ("dispatch", done("book", "cancel"), "already_cancelled"),
        ("cancel", done(), "nothing_to_cancel"),
        ("cancel", done("book", "dispatch"), "already_dispatched"),
    ],
)
def test_a_call_that_the_history_forbids_is_refused(operation: str, history: dict[str, Record], code: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        judge(call(operation, amount=EUR), history)
    assert caught.value.code == code


@pytest.mark.parametrize("amount", [None, {"amount": 2399, "currency": "EUR"}, {"amount": 2400, "currency": "USD"}])
def test_a_capture_of_another_amount_is_refused(amount: dict[str, Any] | None) -> None:
    with pytest.raises(NotAllowed, match="exactly"):
        judge(call("capture", amount=amount), done("authorize"))


@pytest.mark.parametrize(
    ("operation", "before"),
    [("capture", "authorize"), ("void", "authorize"), ("dispatch", "book"), ("cancel", "book")],
)
def test_a_call_that_the_history_allows_is_made(operation: str, before: str) -> None:
    assert judge(call(operation, amount=EUR), done(before)).outcome == "ok"


def test_a_void_is_about_the_authorized_amount() -> None:
    assert amount_of(call("void"), done("authorize")) == (2400, "EUR")
    assert amount_of(call("book"), {}) == (None, None)
