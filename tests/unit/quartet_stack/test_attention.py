"""`make attention` against four services that answer as the real ones do."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from quartet_stack.__main__ import main
from quartet_stack.commands import attention
from quartet_stack.settings import SERVICES
from tests.keys import SIGNING_KEY

PER_PAGE = 2


class Service:
    """One service's `/attention`: its open items, in pages of two at most; retries fail where they are told to."""

    def __init__(self, *ids: str) -> None:
        self.items = [
            {"id": one, "kind": "dead-letter", "since": "2026-01-01T00:00:00Z", "detail": f"[cause] of {one}"}
            for one in ids
        ]
        self.failing: set[str] = set()
        self.refusing = False
        self.reasons: dict[str, str] = {}
        self.tokens: set[str] = set()

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(target)
        if self.refusing:
            return 503, {"detail": "The service cannot reach its store."}
        if method == "GET" and parts.path == "/attention":
            start = int(parse_qs(parts.query).get("cursor", ["0"])[0])
            end = start + PER_PAGE
            return 200, {"items": self.items[start:end], "next_cursor": str(end) if end < len(self.items) else None}
        item, _, act = unquote(parts.path).removeprefix("/attention/").rpartition("/")
        if item not in {one["id"] for one in self.items}:
            return 404, {"detail": "Nothing of that id needs attention."}
        if act == "resolve" and body["outcome"] != "declined":
            return 422, {"detail": "outcome: must be one of: declined"}
        if act == "retry" and item in self.failing:
            return 200, {"id": item, "retried": False, "outcome": "failed", "detail": "still a bug"}
        self.items = [one for one in self.items if one["id"] != item]
        if act == "retry":
            return 200, {"id": item, "retried": True, "outcome": "done"}
        self.reasons[item] = body["reason"]
        if act == "resolve":
            return 200, {"resolved": True, "id": item, **body}
        return 200, {"dismissed": True, "id": item, **body}


@contextmanager
def serving(service: Service) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            service.tokens.add(self.headers["Authorization"])
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = service.answer(self.command, self.path, json.loads(raw) if raw else None)
            told = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = _do

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


Stack = dict[str, Service]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stack() -> Stack:
    return {name: Service() for name in SERVICES}


@pytest.fixture
def run(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    with ExitStack() as exits:
        urls = {
            f"{name.upper()}_URL": f"http://127.0.0.1:{exits.enter_context(serving(one))}"
            for name, one in stack.items()
        }
        (tmp_path / "run").mkdir()
        record = {"environment": {**urls, "TOKEN_SIGNING_KEY": SIGNING_KEY}}
        monkeypatch.setenv("STACK_DIR", str(tmp_path))
        attention.layout({"STACK_DIR": str(tmp_path)}).record.write_text(json.dumps(record))

        def run(**given: str) -> tuple[int, str, str]:
            for name in ("FORMAT", "RETRY", "DISMISS", "RESOLVE", "OUTCOME", "REASON"):
                monkeypatch.delenv(name, raising=False)
            for name, value in given.items():
                monkeypatch.setenv(name, value)
            status = main(["attention"])
            told = capsys.readouterr()
            return status, told.out, told.err

        yield run


def test_nothing_open_is_said_and_is_status_0(run: Run) -> None:
    status, out, err = run()
    assert (status, err) == (0, "")
    assert "nothing needs attention" in out
    status, out, err = run(FORMAT="json")
    assert (status, json.loads(out), err) == (0, {"items": []}, "")


def test_all_pages_of_all_services_are_listed_and_are_status_1(run: Run, stack: Stack) -> None:
    stack["payment"].items = Service(*(f"o{n}/authorize" for n in range(5))).items
    stack["shipping"].items = Service("letter").items
    status, out, _ = run(FORMAT="json")
    items = json.loads(out)["items"]
    assert status == 1
    assert [(one["service"], one["id"]) for one in items] == [
        *(("payment", f"o{n}/authorize") for n in range(5)),
        ("shipping", "letter"),
    ]
    assert items[0].keys() == {"service", "kind", "id", "since", "detail"}
    status, out, _ = run()
    assert status == 1
    for one in items:
        assert one["id"] in out
    assert "[cause] of letter" in out
    assert all(len(service.tokens) == 1 for service in stack.values())


def test_a_retry_finds_its_service_and_says_what_came_of_it(run: Run, stack: Stack) -> None:
    stack["payment"].items = Service("o1/authorize", "odd id?#").items
    stack["payment"].failing = {"odd id?#"}
    status, out, _ = run(RETRY="o1/authorize")
    assert (status, out) == (0, "payment: o1/authorize: done\n")
    status, out, _ = run(RETRY="odd id?#")
    assert (status, out) == (1, "payment: odd id?#: failed: still a bug\n")
    status, out, err = run(RETRY="o1/authorize")
    assert (status, out) == (2, "")
    assert "no service that answers has an open item with the id o1/authorize" in err


def test_a_dismissal_takes_its_reason_along(run: Run, stack: Stack) -> None:
    stack["inventory"].items = Service("letter").items
    status, out, _ = run(DISMISS="letter", REASON="a test of ours")
    assert (status, out) == (0, "inventory: letter: dismissed\n")
    assert stack["inventory"].reasons == {"letter": "a test of ours"}


def test_a_call_without_answer_is_ended_with_an_outcome_and_a_reason(run: Run, stack: Stack) -> None:
    stack["payment"].items = Service("o1/authorize", "o2/authorize").items
    status, out, _ = run(RESOLVE="o1/authorize", OUTCOME="declined", REASON="the provider says so by telephone")
    assert status == 0
    assert out.startswith("payment: o1/authorize: ended as declined")
    assert stack["payment"].reasons == {"o1/authorize": "the provider says so by telephone"}
    status, out, err = run(RESOLVE="o2/authorize", OUTCOME="ok", REASON="x")
    assert (status, out) == (2, "")
    assert "payment: 422 outcome: must be one of: declined" in err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"RESOLVE": "x", "OUTCOME": "declined"}, "RESOLVE=x needs a REASON="),
        ({"RESOLVE": "x", "REASON": "y"}, "RESOLVE=x needs an OUTCOME=: declined"),
        ({"RESOLVE": "x", "OUTCOME": "declined", "REASON": "y", "DISMISS": "x"}, "either DISMISS or RESOLVE"),
        ({"OUTCOME": "declined"}, "OUTCOME belongs to RESOLVE"),
        ({"DISMISS": "x"}, "DISMISS=x needs a REASON="),
        ({"RETRY": "x", "DISMISS": "y", "REASON": "z"}, "either RETRY or DISMISS"),
        ({"REASON": "z"}, "REASON belongs to DISMISS"),
        ({"FORMAT": "xml"}, "FORMAT=xml is not known; valid: table, json"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, given: dict[str, str], words: str) -> None:
    status, out, err = run(**given)
    assert (status, out) == (2, "")
    assert words in err


def test_a_service_that_does_not_answer_is_named_and_the_others_are_listed(run: Run, stack: Stack) -> None:
    stack["order"].refusing = True
    stack["shipping"].items = Service("letter").items
    status, out, err = run()
    assert status == 2
    assert "letter" in out
    assert "order: 503 The service cannot reach its store." in err
    status, out, err = run(RETRY="nothing")
    assert status == 2
    assert "order" in err


def test_a_stack_that_does_not_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    record = attention.layout({"STACK_DIR": str(tmp_path)}).record
    environment = {f"{name.upper()}_URL": "http://127.0.0.1:1" for name in SERVICES}
    record.write_text(json.dumps({"environment": {**environment, "TOKEN_SIGNING_KEY": SIGNING_KEY}}))
    status, out, err = run()
    assert (status, out) == (2, "")
    assert "start the stack with: make up" in err
    record.unlink()
    status, out, err = run()
    assert (status, out) == (2, "")
    assert "make up" in err
