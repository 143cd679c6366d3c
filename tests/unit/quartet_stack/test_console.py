"""The link that `make console` prints: tokens are left with the order service, and only the link opens them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest

from quartet_stack.commands.console import link
from quartet_stack.errors import StackError
from sagakit.sign_in import CODE_LENGTH, digest_of, unseal
from tests.keys import SIGNING_KEY


@contextmanager
def order_service(status: int) -> Iterator[tuple[str, list[Any]]]:
    """Something that answers every request with that status, and what it was sent."""
    sent: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sent.append((self.path, self.headers["Authorization"], body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def stack(order: str) -> dict[str, str]:
    return {"TOKEN_SIGNING_KEY": SIGNING_KEY, "ORDER_URL": order, "CONSOLE_URL": "http://127.0.0.1:8000"}


def test_the_link_alone_opens_the_tokens_that_were_left() -> None:
    with order_service(204) as (url, sent):
        address, _, code = link(stack(url), "bob").partition("?code=")
    ((path, authorization, offer),) = sent
    assert address == "http://127.0.0.1:8000/sign-in"
    assert path == "/sign-in/codes"
    assert len(code) == CODE_LENGTH
    assert code not in json.dumps(offer)
    assert offer["digest"] == digest_of(code)
    tokens = json.loads(unseal(code, offer["sealed"]))
    claims = {who: jwt.decode(token, options={"verify_signature": False}) for who, token in tokens.items()}
    assert {who: (claim["sub"], claim["role"]) for who, claim in claims.items()} == {
        "customer": ("bob", "customer"),
        "operator": ("operator", "admin"),
    }
    assert authorization == f"Bearer {tokens['operator']}"


def test_no_two_links_have_the_same_code() -> None:
    with order_service(204) as (url, _):
        assert link(stack(url)) != link(stack(url))


def test_a_service_that_knows_no_codes_is_an_older_one() -> None:
    with order_service(404) as (url, _), pytest.raises(StackError, match="make up"):
        link(stack(url))


def test_a_stack_that_does_not_run_is_told_so() -> None:
    with order_service(204) as (url, _):
        pass
    with pytest.raises(StackError, match="make status"):
        link(stack(url))
