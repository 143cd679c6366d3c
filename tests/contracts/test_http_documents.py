"""The documents in docs/api are those of the code, and break no promise that CHANGELOG.md does not name."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.http_documents import (
    CHANGELOG,
    FOLDER,
    NAMES,
    PROMISES,
    broken,
    document,
    promises,
    text_of,
)

COMMAND = "python -m tests.contracts.http_documents"


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_document_is_that_of_the_code(name: str) -> None:
    committed = (FOLDER / f"{name}.openapi.json").read_text()
    assert committed == text_of(document(name)), f"write it again: {COMMAND}"


def test_no_promise_is_broken_that_the_changelog_does_not_name() -> None:
    now = {line for name in NAMES for line in promises(name, document(name))}
    before = set(PROMISES.read_text().splitlines())
    assert broken(before, now, CHANGELOG.read_text()) == []
    assert now <= before, f"record the new promises: {COMMAND}"


def test_without_fault_injection_only_the_faults_are_missing() -> None:
    opened, closed = document("order"), document("order", fault_injection=False)
    del opened["paths"]["/faults"]
    assert closed["paths"] == opened["paths"]


def _without_operation(whole: Any) -> None:
    del whole["paths"]["/orders/{order_id}/cancel"]


def _without_field(whole: Any) -> None:
    del whole["components"]["schemas"]["Order"]["properties"]["settled"]


def _demanding(whole: Any) -> None:
    whole["components"]["schemas"]["OrderIn"]["properties"]["gift"] = {"type": "boolean"}
    whole["components"]["schemas"]["OrderIn"]["required"].append("gift")


def _without_value(whole: Any) -> None:
    whole["components"]["schemas"]["Order"]["properties"]["status"]["enum"].remove("PENDING")


def _without_code(whole: Any) -> None:
    whole["components"]["schemas"]["PlaceOrder422Problem"]["properties"]["code"]["enum"].remove("validation")


def _without_status(whole: Any) -> None:
    del whole["paths"]["/orders"]["post"]["responses"]["200"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_without_operation, "order POST /orders/{order_id}/cancel cancel_order"),
        (_without_field, "order GET /orders/{order_id} 200 .settled always"),
        (_demanding, "order POST /orders body .gift"),
        (_without_value, "order GET /orders/{order_id} 200 .status = PENDING"),
        (_without_code, "order POST /orders 422 .code = validation"),
        (_without_status, "order POST /orders 200"),
    ],
)
def test_a_change_that_breaks_clients_is_found(change: Callable[[Any], None], line: str) -> None:
    before = document("order")
    after = copy.deepcopy(before)
    change(after)
    lines = set(promises("order", before)), set(promises("order", after))
    assert line in broken(*lines, "")
    named = "\n".join(f"`{each}`" for each in broken(*lines, ""))
    assert broken(*lines, named) == []


def test_a_new_optional_field_breaks_nothing() -> None:
    before = document("order")
    after = copy.deepcopy(before)
    after["components"]["schemas"]["OrderIn"]["properties"]["gift"] = {"type": "boolean"}
    after["components"]["schemas"]["Order"]["properties"]["gift"] = {"type": "boolean"}
    assert broken(set(promises("order", before)), set(promises("order", after)), "") == []
