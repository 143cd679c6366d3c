"""`make attention`: what needs a human in the four services; RETRY=id pushes one on, DISMISS=id REASON=… puts it away,
RESOLVE=id OUTCOME=declined REASON=… ends a call that gets no answer.

Exit status 0 when nothing is open (or the act went through), 1 when something is (or the retry failed), 2 when that
cannot be told: a service does not answer, or the call was wrong.
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

from quartet_stack.errors import StackError, usage
from quartet_stack.layout import layout
from quartet_stack.settings import SERVICES, stack_environment
from quartet_stack.tokens import SIGNING_KEY, make_token

TIMEOUT = 20.0
PAGE = 200
COLUMNS = ("service", "kind", "id", "since", "detail")
FORMATS = ("table", "json")


@dataclass(frozen=True)
class Desk:
    """One service's `/attention`, as an operator reaches it."""

    service: str
    url: str
    token: str

    def items(self) -> Iterator[dict[str, str]]:
        """All that is open; raises what `_ask` raises."""
        query = {"limit": str(PAGE)}
        while True:
            page = self._ask("GET", f"/attention?{urlencode(query)}")
            for one in page["items"]:
                yield {name: {**one, "service": self.service}[name] for name in COLUMNS}
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]

    def act(self, item: str, act: str, body: Mapping[str, str] | None = None) -> Any:
        """What came of `retry`, `dismiss` or `resolve`; None if this service has nothing of that id."""
        return self._ask("POST", f"/attention/{quote(item, safe='/')}/{act}", body)

    def _ask(self, method: str, target: str, body: Mapping[str, str] | None = None) -> Any:
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
        try:
            sent = json.dumps(body) if body is not None else None
            connection.request(method, target, sent, headers | ({"Content-Type": "application/json"} if sent else {}))
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            raise StackError(f"{self.service}: no answer: {error}", 2) from None
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise StackError(f"{self.service}: {answer.status} {told.get('detail', '')}", 2)
        return told


def main(environ: Mapping[str, str]) -> int:
    """List, or act; the exit status."""
    retry, dismiss, resolve, reason, outcome = (
        environ.get(name, "") for name in ("RETRY", "DISMISS", "RESOLVE", "REASON", "OUTCOME")
    )
    shape = (environ.get("FORMAT") or "table").lower()
    if shape not in FORMATS:
        raise usage(f"FORMAT={shape} is not known; valid: {', '.join(FORMATS)}")
    _one_act(environ)
    desks = _desks(environ)
    if retry:
        return _retry(desks, retry)
    if dismiss:
        return _dismiss(desks, dismiss, reason)
    if resolve:
        return _resolve(desks, resolve, outcome, reason)
    return _list(desks, shape)


def _one_act(environ: Mapping[str, str]) -> None:
    """Raises unless at most one act is asked for, with what it needs and no more."""
    given = [name for name in ("RETRY", "DISMISS", "RESOLVE") if environ.get(name)]
    if len(given) > 1:
        raise usage(f"either {' or '.join(given)} can be given, not both")
    act = given[0] if given else ""
    if act in ("DISMISS", "RESOLVE") and not environ.get("REASON", "").strip():
        raise usage(f"{act}={environ[act]} needs a REASON=, which is kept")
    if environ.get("REASON") and act not in ("DISMISS", "RESOLVE"):
        raise usage("REASON belongs to DISMISS=id or RESOLVE=id")
    if act == "RESOLVE" and not environ.get("OUTCOME"):
        raise usage(f"RESOLVE={environ[act]} needs an OUTCOME=: declined for an authorization, refused for a booking")
    if environ.get("OUTCOME") and act != "RESOLVE":
        raise usage("OUTCOME belongs to RESOLVE=id")


def _desks(environ: Mapping[str, str]) -> list[Desk]:
    try:
        environment = stack_environment(layout(environ).root)
    except StackError as error:
        raise StackError(str(error), 2) from None
    token = make_token(environment[SIGNING_KEY], "operator", "admin")
    return [Desk(name, environment[f"{name.upper()}_URL"], token) for name in SERVICES]


def _list(desks: list[Desk], shape: str) -> int:
    items: list[dict[str, str]] = []
    silent: list[str] = []
    for desk in desks:
        try:
            items += desk.items()
        except StackError as error:
            silent.append(str(error))
    if len(silent) == len(desks):
        raise _nobody(silent)
    if shape == "json":
        print(json.dumps({"items": items}, indent=1))
    else:
        _show(items, complete=not silent)
    if silent:
        print("\n".join(silent), file=sys.stderr)
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


def _retry(desks: list[Desk], item: str) -> int:
    desk, told = _first(desks, item, "retry")
    if told["retried"]:
        print(f"{desk.service}: {item}: {told['outcome']}")
        return 0
    print(f"{desk.service}: {item}: {told['outcome']}: {told['detail']}")
    return 1


def _dismiss(desks: list[Desk], item: str, reason: str) -> int:
    desk, _ = _first(desks, item, "dismiss", {"reason": reason})
    print(f"{desk.service}: {item}: dismissed")
    return 0


def _resolve(desks: list[Desk], item: str, outcome: str, reason: str) -> int:
    desk, told = _first(desks, item, "resolve", {"outcome": outcome, "reason": reason})
    print(f"{desk.service}: {item}: ended as {told['outcome']}; should it have had an effect, that is undone")
    return 0


def _first(desks: list[Desk], item: str, act: str, body: Mapping[str, str] | None = None) -> tuple[Desk, Any]:
    """The first service that has something of that id, and its answer."""
    silent: list[str] = []
    for desk in desks:
        try:
            told = desk.act(item, act, body)
        except StackError as error:
            silent.append(str(error))
            continue
        if told is not None:
            return desk, told
    if len(silent) == len(desks):
        raise _nobody(silent)
    raise StackError("\n".join((*silent, f"nothing of the id {item} needs attention in the services that answer")), 2)


def _nobody(silent: list[str]) -> StackError:
    return StackError("\n".join((*silent, "none of the services answers; start the stack with: make up")), 2)
