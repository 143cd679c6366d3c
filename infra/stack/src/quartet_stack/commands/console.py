"""`make console`: prints a link to the console that signs in once, as a customer and as the operator.

The tokens are signed here, with the stack's key, and are left with the order service, sealed with the code in the link:
see docs/decisions/0025-the-console-signs-in-with-a-code.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from quartet_stack.errors import StackError
from quartet_stack.layout import layout
from quartet_stack.settings import stack_environment
from quartet_stack.tokens import SIGNING_KEY, make_token
from sagakit.sign_in import digest_of, new_code, seal

TIMEOUT = 10.0
CODE_SECONDS = 15 * 60
CUSTOMER = "alice"
OPERATOR = "operator"


def main(environ: Mapping[str, str]) -> None:
    """Print a new link, and nothing else (`CUSTOMER` is the customer's name, default alice)."""
    print(link(stack_environment(layout(environ).root), environ.get("CUSTOMER") or CUSTOMER))


def link(stack: Mapping[str, str], customer: str = CUSTOMER) -> str:
    """A link that signs in once, within 15 minutes, to the console of a stack with this environment.

    Raises:
        StackError: The order service does not answer, or refuses.
    """
    key, code = stack[SIGNING_KEY], new_code()
    operator = make_token(key, OPERATOR, "admin")
    tokens = {"customer": make_token(key, customer), "operator": operator}
    offer: dict[str, str | int] = {
        "digest": digest_of(code),
        "sealed": seal(code, json.dumps(tokens)),
        "seconds": CODE_SECONDS,
    }
    _leave(stack["ORDER_URL"], operator, offer)
    return f"{stack['CONSOLE_URL']}/sign-in?code={code}"


def _leave(url: str, token: str, offer: Mapping[str, str | int]) -> None:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Connection": "close"}
    try:
        connection.request("POST", "/sign-in/codes", json.dumps(offer), headers)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as error:
        raise StackError(f"order: no answer: {error}; is the stack running? make status") from None
    finally:
        connection.close()
    if response.status != 204:
        raise StackError(f"order: {response.status} to a code for signing in; to update the stack: make up")
