"""Readers of headers and cursors: what they accept, exactly."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagakit.web.app import Problem, decode_cursor, encode_cursor, parse_prefer_wait


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([], None),
        (["wait=10"], 10),
        (["WAIT = 10"], 10),
        (['wait="10"'], 10),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=7"], 7),
        (["wait=10; foo=bar"], 10),
        (["wait=0"], 0),
        (["wait=60"], 60),
        (["wait=61"], 60),
        (["wait=" + "9" * 5000], 60),
        (["wait=5, wait=9"], 5),
        (["wait=x, wait=9"], None),
        (['foo="a, wait=3", wait=4'], 4),
        (['foo="a, wait=3"'], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=\u0661"], None),
        (["waiter=3"], None),
        (["return=minimal"], None),
        ([""], None),
        ([", ,"], None),
    ],
)
def test_prefer_wait_follows_the_rfc_and_ignores_what_is_malformed(values: list[str], seconds: int | None) -> None:
    assert parse_prefer_wait(values) == seconds


@given(st.text())
def test_no_preference_raises(value: str) -> None:
    seconds = parse_prefer_wait([value])
    assert seconds is None or 0 <= seconds <= 60


@given(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8")), st.integers(-(2**63), 2**63 - 1))
def test_a_cursor_comes_back_as_it_was(text: str, number: int) -> None:
    assert decode_cursor(encode_cursor(text, number), str, int) == (text, number)


def test_no_cursor_is_the_first_page() -> None:
    assert decode_cursor(None, str) is None
    assert decode_cursor("", str) is None


@given(st.text(max_size=40))
def test_a_foreign_cursor_is_a_problem_and_nothing_else(cursor: str) -> None:
    with contextlib.suppress(Problem):
        parts = decode_cursor(cursor, str, int)
        assert parts is None or len(parts) == 2


@pytest.mark.parametrize("cursor", [encode_cursor(1), encode_cursor("a", 1), encode_cursor("\0"), encode_cursor()])
def test_a_cursor_of_another_shape_is_refused(cursor: str) -> None:
    with pytest.raises(Problem):
        decode_cursor(cursor, str)


def test_a_number_that_no_database_holds_is_refused() -> None:
    with pytest.raises(Problem):
        decode_cursor(encode_cursor(2**63), int)
