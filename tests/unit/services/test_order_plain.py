"""The quick reading of an order against `OrderIn`, its oracle: what the one reads, the other reads alike."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from pydantic import ValidationError

from checkout import limits
from order_service.documents import EXAMPLE
from order_service.plain import read_plain_order
from order_service.schemas import OrderIn

TEXTS: Final = ["", " ", "x", "cup", "Rīga", "\u200d", "\uffff", "a\x00b", "a\x7fb", "a\nb", "sealed:x", "lv", "LV\n"]
STRANGE: Final = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from([None, True, 0, 1, 100, 101, -1, 1.0, 1e2, 2**70, [], {}, [1], {"sku": "x"}]),
    st.text(max_size=3),
    st.sampled_from(["x" * 32, "x" * 33, "x" * 100, "x" * 101, "x" * 200, "x" * 201]),
)
PATHS: Final[list[tuple[Any, ...]]] = [
    (),
    ("lines",),
    ("lines", 0),
    ("lines", 0, "sku"),
    ("lines", 0, "quantity"),
    ("payment",),
    ("payment", "token"),
    ("shipping_address",),
    *(("shipping_address", name) for name in EXAMPLE["shipping_address"]),
]


def changed(path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    body = copy.deepcopy(EXAMPLE)
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return body


def agree(text: bytes) -> bool:
    """Whether the quick reading took it; fails if OrderIn does not read the same."""
    plain = read_plain_order(text)
    if plain is None:
        return False
    order = OrderIn.model_validate(json.loads(text))
    assert plain.fingerprint() == order.fingerprint()
    assert plain.pieces() == order.pieces()
    assert plain.payment.token == order.payment.token
    assert plain.address() == order.address()
    return True


@given(st.sampled_from(PATHS), STRANGE, st.booleans(), st.sampled_from([None, 1, " "]))
def test_what_is_read_quickly_is_what_order_in_reads(
    path: tuple[Any, ...], value: Any, escaped: bool, indent: Any
) -> None:
    body = changed(path, value)
    taken = agree(json.dumps(body, ensure_ascii=escaped, indent=indent).encode(errors="surrogatepass"))
    event("read quickly" if taken else "left to OrderIn")


@given(st.dictionaries(st.sampled_from(["lines", "payment", "shipping_address", "x"]), STRANGE))
def test_fields_that_are_missing_or_unknown_are_left_to_order_in(fields: dict[str, Any]) -> None:
    agree(json.dumps(fields).encode(errors="surrogatepass"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), EXAMPLE),
        (("lines",), [{"sku": f"cup-{n}", "quantity": n + 1} for n in range(limits.LINES)]),
        (("shipping_address", "city"), "Rīga"),
        (("shipping_address", "name"), "x" * limits.NAME),
        (("payment", "token"), "tok_{}:[],"),
    ],
)
def test_an_ordinary_order_is_read_quickly(path: tuple[Any, ...], value: Any) -> None:
    assert agree(json.dumps(changed(path, value), ensure_ascii=False).encode())
    assert agree(msgspec.json.encode(changed(path, value)))


def test_the_order_of_keys_and_the_spaces_between_them_do_not_matter() -> None:
    backwards = dict(reversed(EXAMPLE.items()))
    assert agree(json.dumps(backwards, indent=3).encode())


GOOD: Final = json.dumps(EXAMPLE)
DUPLICATES: Final = {
    "of a field": GOOD[:-1] + ', "payment": {"token": "tok_other"}}',
    "of an inner field": GOOD.replace('"quantity": 2', '"quantity": 2, "quantity": 3'),
    "of the same value": GOOD.replace('"country": "LV"', '"country": "LV", "country": "LV"'),
    "hidden by quotation marks that are escaped otherwise": GOOD.replace("Riga", r"\u0022\u0022").replace(
        '"quantity": 2', '"quantity": 2, "quantity": 3'
    ),
}


@pytest.mark.parametrize("text", DUPLICATES.values(), ids=list(DUPLICATES))
def test_a_key_that_is_given_twice_is_left_to_the_route(text: str) -> None:
    assert json.loads(text)
    assert read_plain_order(text.encode()) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        GOOD.encode() + b"x",
        GOOD.encode("utf-16"),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.encode().replace(b"Riga", b"\xff"),
        GOOD.encode().replace(b"Riga", b"Ri\x01ga"),
        b"[" * 50_000,
    ],
)
def test_what_is_no_order_is_left_to_the_route(text: bytes) -> None:
    assert read_plain_order(text) is None


def test_the_oracle_can_disagree() -> None:
    with pytest.raises(ValidationError):
        OrderIn.model_validate(changed(("payment", "token"), "sealed:x"))
