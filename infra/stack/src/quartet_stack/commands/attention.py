"""`make attention`: the items in the four services that need an operator.

`RETRY=id` tries one again, `DISMISS=id REASON=…` closes it, and `RESOLVE=id OUTCOME=declined REASON=…` ends a call to a
provider that gets no answer.

Exit status of this program (make itself turns each failure into 2): 0 if nothing is open or the action succeeded, 1 if
something is open or the retry failed, 2 if a service did not answer or the request was wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from rich.console import Console
from rich.table import Table

from quartet_stack.errors import StackError, UsageError
from quartet_stack.layout import layout
from quartet_stack.settings import SERVICES, stack_environment
from quartet_stack.tokens import SIGNING_KEY, make_token

TIMEOUT = 20.0
PAGE = 200
COLUMNS = ("service", "kind", "id", "since", "detail")
FORMATS = ("table", "json")


class NoServiceAnswers(StackError):
    """Not one of the four services answered."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join((*problems, "no service answers; start the stack with: make up")), status=2)


@dataclass(frozen=True)
class AttentionClient:
    """The `/attention` interface of one service, used as an operator."""

    service: str
    url: str
    token: str

    def items(self) -> Iterator[dict[str, str]]:
        """All open items, page by page; `StackError` if the service does not answer."""
        query = {"limit": str(PAGE)}
        while True:
            page = self._ask("GET", f"/attention?{urlencode(query)}")
            for item in page["items"]:
                yield {name: {**item, "service": self.service}[name] for name in COLUMNS}
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]

    def act(self, item: str, action: str, body: Mapping[str, str] | None = None) -> Any:
        """`retry`, `dismiss` or `resolve` an item; returns the answer, or None if this service has no such item."""
        return self._ask("POST", f"/attention/{quote(item, safe='/')}/{action}", body)

    def _ask(self, method: str, target: str, body: Mapping[str, str] | None = None) -> Any:
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, target, text, headers | ({"Content-Type": "application/json"} if text else {}))
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise StackError(f"{self.service}: no answer: {error}", 2) from None
        finally:
            connection.close()
        if response.status == 404:
            return None
        if response.status >= 400:
            raise StackError(f"{self.service}: {response.status} {answer.get('detail', '')}", 2)
        return answer


def main(environ: Mapping[str, str]) -> int:
    """List the open items or act on one; returns the exit status.

    Raises:
        UsageError: `FORMAT` or the combination of options is not valid.
    """
    retry, dismiss, resolve, reason, outcome = (
        environ.get(name, "") for name in ("RETRY", "DISMISS", "RESOLVE", "REASON", "OUTCOME")
    )
    shape = (environ.get("FORMAT") or "table").lower()
    if shape not in FORMATS:
        raise UsageError(f"FORMAT={shape} is not known; valid: {', '.join(FORMATS)}")
    _check_options(environ)
    clients = _clients(environ)
    if retry:
        return _retry(clients, retry)
    if dismiss:
        return _dismiss(clients, dismiss, reason)
    if resolve:
        return _resolve(clients, resolve, outcome, reason)
    return _list(clients, shape)


def _check_options(environ: Mapping[str, str]) -> None:
    """Check that there is at most one action, with exactly the options that it needs.

    Raises:
        UsageError: There are more actions, or an option is missing or belongs to another action.
    """
    given = [name for name in ("RETRY", "DISMISS", "RESOLVE") if environ.get(name)]
    if len(given) > 1:
        raise UsageError(f"set either {' or '.join(given)}, not both")
    action = given[0] if given else ""
    if action in ("DISMISS", "RESOLVE") and not environ.get("REASON", "").strip():
        raise UsageError(f"{action}={environ[action]} needs a REASON=, which the service records")
    if environ.get("REASON") and action not in ("DISMISS", "RESOLVE"):
        raise UsageError("REASON belongs to DISMISS=id or RESOLVE=id")
    if action == "RESOLVE" and not environ.get("OUTCOME"):
        raise UsageError(
            f"RESOLVE={environ[action]} needs an OUTCOME=: declined for an authorization, refused for a booking"
        )
    if environ.get("OUTCOME") and action != "RESOLVE":
        raise UsageError("OUTCOME belongs to RESOLVE=id")


def _clients(environ: Mapping[str, str]) -> list[AttentionClient]:
    try:
        environment = stack_environment(layout(environ).root)
    except StackError as error:
        raise StackError(str(error), 2) from None
    token = make_token(environment[SIGNING_KEY], "operator", "admin")
    return [AttentionClient(name, environment[f"{name.upper()}_URL"], token) for name in SERVICES]


def _list(clients: list[AttentionClient], shape: str) -> int:
    items: list[dict[str, str]] = []
    unreachable: list[str] = []
    for client in clients:
        try:
            items += client.items()
        except StackError as error:
            unreachable.append(str(error))
    if len(unreachable) == len(clients):
        raise NoServiceAnswers(unreachable)
    if shape == "json":
        print(json.dumps({"items": items}, indent=1))
    else:
        _show(items, complete=not unreachable)
    if unreachable:
        print("\n".join(unreachable), file=sys.stderr)
        return 2
    return 1 if items else 0


def _show(items: list[dict[str, str]], complete: bool) -> None:
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)
    if not items:
        if complete:
            console.print("nothing needs attention")
        return
    table = Table()
    for name in COLUMNS:
        table.add_column(name, overflow="fold", no_wrap=name in ("service", "kind", "since"))
    for item in items:
        table.add_row(*(item[name] for name in COLUMNS))
    console.print(table)


def _retry(clients: list[AttentionClient], item: str) -> int:
    client, answer = _first(clients, item, "retry")
    if answer["retried"]:
        print(f"{client.service}: {item}: {answer['outcome']}")
        return 0
    print(f"{client.service}: {item}: {answer['outcome']}: {answer['detail']}")
    return 1


def _dismiss(clients: list[AttentionClient], item: str, reason: str) -> int:
    client, _ = _first(clients, item, "dismiss", {"reason": reason})
    print(f"{client.service}: {item}: dismissed")
    return 0


def _resolve(clients: list[AttentionClient], item: str, outcome: str, reason: str) -> int:
    client, answer = _first(clients, item, "resolve", {"outcome": outcome, "reason": reason})
    print(f"{client.service}: {item}: ended as {answer['outcome']}; if the call had an effect, it will be undone")
    return 0


def _first(
    clients: list[AttentionClient], item: str, action: str, body: Mapping[str, str] | None = None
) -> tuple[AttentionClient, Any]:
    """Act in the first service that has such an item; returns that service's client and answer.

    Raises:
        NoServiceAnswers: Nothing is known to have changed.
        StackError: No service that answers has such an item.
    """
    unreachable: list[str] = []
    for client in clients:
        try:
            answer = client.act(item, action, body)
        except StackError as error:
            unreachable.append(str(error))
            continue
        if answer is not None:
            return client, answer
    if len(unreachable) == len(clients):
        raise NoServiceAnswers(unreachable)
    raise StackError("\n".join((*unreachable, f"no service that answers has an open item with the id {item}")), 2)
