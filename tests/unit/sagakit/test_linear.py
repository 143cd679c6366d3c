"""Whatever reads a client's text takes time in proportion to it: each regular expression and parser, held to the clock.

Every use of `re` in our code stands in EXPRESSIONS, with what is worst for it; one that does not fails this test. Each
is timed on the largest text that is let in and on half of it: what is quadratic takes four times as long, and seconds.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from quartet_stack.layout import REPOSITORY
from sagakit import logs, telemetry
from sagakit.modes.sns_sqs import wire
from sagakit.web import middleware as http_middleware
from sagakit.web import protocol as http_protocol
from sagakit.web import requests as http_requests
from sagakit.web.app import Problem, decode_cursor, parse_prefer_wait
from sagakit.web.auth import Verifier
from sagakit.web.bodies import duplicate_key
from tests.keys import PUBLIC_KEY

LARGEST: Final = 65_536  # bytes of a body, and of all headers together
LIMIT: Final = 0.25  # seconds; a quadratic reader of 64 KiB takes many

# Where re is used: what it reads. Our own tools' output is not a client's text, and is listed all the same.
EXPRESSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "shared/src/sagakit/web/middleware.py:_REQUEST_ID": ("a", "a.", ":"),
    "shared/src/sagakit/web/requests.py:_WAIT": ("wait=1 ", "wait=1;", "wait", "wait = ", " ", 'wait="1', "1"),
    "shared/src/sagakit/web/requests.py:_WAIT_NAME": ("wait ", " ", "wait"),
    "shared/src/sagakit/logs.py:_SECRET_KEY": ("toke", "secre", "passwor", "jw"),
    "shared/src/sagakit/logs.py:_SECRET_TEXT": (
        "bearer ",
        "Bearer a",
        "eyJ-",
        "eyJa.",
        "eyJ.eyJ-",
        "-eyJa",
        "://a:",
        "://",
        ":/",
        "://a:b",
        "tok_",
        "tok_-",
        " tok_",
        "a",
        " ",
    ),
    "shared/src/sagakit/telemetry.py:_TRACEPARENT": ("0", "00-", "f"),
    "shared/src/sagakit/modes/sns_sqs/wire.py:_UNLAWFUL": ("\x00", "a", "\ufffe"),
    "shared/src/sagakit/web/protocol.py:_HOST": ("a", "a.", "[", ":", "%"),
    "shared/src/sagakit/app/readiness.py:_REVISION": (),
    "infra/stack/src/quartet_stack/docker/choice.py:match": (),
    "infra/stack/src/quartet_stack/docker/images.py:DIGEST": (),
    "infra/stack/src/quartet_stack/docker/images.py:findall": (),
    "infra/stack/src/quartet_stack/servers/postgres.py:search": (),
    "infra/stack/src/quartet_stack/servers/toxiproxy.py:search": (),
    "infra/audit/src/checkout_audit/shapes.py:ID": (),
    "infra/audit/src/checkout_audit/shapes.py:PLAIN": (),
    "infra/audit/src/checkout_audit/shapes.py:_MISSING": (),
    "infra/audit/src/checkout_audit/shapes.py:_RESTOCK": (),
    "infra/audit/src/checkout_audit/shapes.py:_RECEIVED": (),
    "infra/docker/lock.py:split": (),
    "infra/site/hooks.py:_LINK": (),
    "infra/site/hooks.py:_CELL": (),
    "infra/site/hooks.py:_CODE": (),
    "infra/site/hooks.py:_SEPARATOR": (),
}
READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "shared/src/sagakit/web/middleware.py:_REQUEST_ID": http_middleware._REQUEST_ID.fullmatch,
    "shared/src/sagakit/web/protocol.py:_HOST": lambda text: http_protocol._HOST.fullmatch(text.encode()),
    "shared/src/sagakit/web/requests.py:_WAIT": http_requests._WAIT.fullmatch,
    "shared/src/sagakit/web/requests.py:_WAIT_NAME": http_requests._WAIT_NAME.match,
    "shared/src/sagakit/logs.py:_SECRET_KEY": logs._SECRET_KEY.search,
    "shared/src/sagakit/logs.py:_SECRET_TEXT": logs.redact,
    "shared/src/sagakit/telemetry.py:_TRACEPARENT": telemetry._TRACEPARENT.fullmatch,
    "shared/src/sagakit/modes/sns_sqs/wire.py:_UNLAWFUL": lambda text: wire._UNLAWFUL.sub("", text),
}


def _uses(path: Path) -> set[str]:
    """`file:NAME` of each compiled expression, `file:function` of each other use of `re`."""
    name = str(path.relative_to(REPOSITORY))
    tree = ast.parse(path.read_text())
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "re":
            found.add(f"{name}:from re import")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "re":
            if node.attr.isupper():
                continue
            above: ast.AST = node
            while above in parents and not isinstance(above, ast.Assign | ast.AnnAssign):
                above = parents[above]
            target = getattr(above, "target", None) or (getattr(above, "targets", None) or [None])[0]
            compiled = node.attr == "compile" and isinstance(target, ast.Name)
            found.add(f"{name}:{target.id if compiled else node.attr}")  # type: ignore[union-attr]
    return found


def test_every_expression_is_known_with_what_is_worst_for_it() -> None:
    folders = [REPOSITORY / "shared" / "src", REPOSITORY / "services", REPOSITORY / "infra"]
    found = {use for folder in folders for path in sorted(folder.rglob("*.py")) for use in _uses(path)}
    assert found == set(EXPRESSIONS)
    assert {name for name, inputs in EXPRESSIONS.items() if inputs} == set(READERS)


def _seconds(read: Callable[[str], Any], text: str) -> float:
    """Of computing, without the garbage collector: it looks at what all tests of this process have left."""
    gc.disable()
    try:
        began = time.thread_time()
        read(text)
        return time.thread_time() - began
    finally:
        gc.enable()


def _filled(unit: str, around: str = "") -> str:
    head, _, tail = around.partition("|")
    return head + unit * ((LARGEST - len(around)) // len(unit)) + tail


@pytest.mark.parametrize(("name", "unit"), [(name, unit) for name, units in EXPRESSIONS.items() for unit in units])
def test_an_expression_takes_time_in_proportion(name: str, unit: str) -> None:
    for around in ("", "|!", '"|', "://a:|", "bearer |", "eyJ|", "wait=|", 'wait="1|x'):
        assert _seconds(READERS[name], _filled(unit, around)) < LIMIT, (unit, around)


def _cursor(text: str) -> None:
    with contextlib.suppress(Problem):
        decode_cursor(text, str, int)


def _token(text: str) -> None:
    with contextlib.suppress(Problem):
        Verifier(PUBLIC_KEY).verify(text)


PARSERS: Final[Mapping[str, tuple[Callable[[str], Any], tuple[str, ...]]]] = {
    "Prefer": (
        lambda text: parse_prefer_wait([text]),
        ('"', '\\"', '"\\"', ",", '",', "a", "wait", "wait=1;", " ", "\\", '"a",'),
    ),
    "cursor": (_cursor, ("A", "=", "W1", "-", "_")),
    "bearer token": (_token, ("a", ".", "a.", "eyJhbGciOiJFZERTQSJ9.", "=")),
    "traceparent": (telemetry.child_traceparent, ("0", "00-")),
    "JSON without repeated keys": (
        lambda text: duplicate_key(text.encode()),
        ("[", '{"a":', '"', "\\", "1", " ", '{"a":1,"a":1},', '"\\u'),
    ),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_time_in_proportion(name: str) -> None:
    read, units = PARSERS[name]
    for unit in units:
        for around in ("", '"|', "[|]", '{"a":[|]}', "wait=1,|", 'x="|'):
            assert _seconds(read, _filled(unit, around)) < LIMIT, (unit, around)


def test_the_header_that_froze_the_loop() -> None:
    assert _seconds(lambda text: parse_prefer_wait([text]), '"' + '\\"' * 32_000) < 0.05


def test_a_log_line_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    record = logging.makeLogRecord({"name": "x", "msg": "a" * 10_000_000})
    line = logs.JsonFormatter("order", "kafka").format(record)
    assert len(line) < 50_000
