"""What may be said of an error, in a log, to an operator, to a broker: words that were chosen, never values.

An exception of anybody else's may hold what it choked on, and that can be a card token or a street: of it the type is
told, where it was raised, and codes that come from a list. An exception of ours that derives from `Stated` promises
that its message holds nothing but names, ids and numbers.
"""

import os
import traceback
from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from typing import Final

_CODE_MAX: Final = 64
_IN_CODES: Final = str.maketrans("", "", "_.:-")
_FRAMES_MAX: Final = 40
_SAID_MAX: Final = 300
_OF_STATEMENTS: Final = "42"  # SQLSTATEs of wrong statements, of which PostgreSQL quotes names: values are parameters
# Codes by which libraries tell their errors apart: PostgreSQL, gRPC, Temporal, Kafka, HTTP
_CODES: Final = ("sqlstate", "grpc_status_code", "status", "errno", "code")
_PLACES: Final = ("schema_name", "table_name", "column_name", "constraint_name")


class Stated(Exception):
    """An error whose message may be told to everybody who may read the log."""


def stated(error: BaseException, *, placed: bool = False) -> str:
    """The error in words fit for a log: its own if they were chosen, else its type and its code.

    `placed`: and where it was raised, for those who see no traceback.
    """
    if placed and not isinstance(error, Stated) and error.__traceback__ is not None:
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        code = frame.f_code
        return f"{stated(error)} in {code.co_qualname}, {PurePath(code.co_filename).name}:{line}"
    kind = type(error).__name__
    if isinstance(error, Stated):
        return str(error) or kind
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return f"{kind}: {os.strerror(error.errno)}"
    source = _source(error)
    details = [f"{name}={value}" for name, value in _details(source)]
    said = f"{kind} ({', '.join(details)})" if details else kind
    if str(getattr(source, "sqlstate", "")).startswith(_OF_STATEMENTS) and source.args:
        said = f"{said}: {source.args[0]}".partition("\n")[0][:_SAID_MAX]
    return said


def trace_of(error: BaseException) -> str:
    """Where the error was raised, and what it came from: frames of our code, and each error as `stated`."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        parts.append("".join(_frames(current)) + stated(current))
        if isinstance(current, BaseExceptionGroup):
            parts += [f"  of the group: {stated(inner)}" for inner in current.exceptions[:10]]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n\nwhich came of\n\n".join(parts)


def _frames(error: BaseException) -> Iterator[str]:
    """Where, the innermost last; without the lines of code, which may have a value in them."""
    places = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if len(places) > _FRAMES_MAX:
        yield f"  … {len(places) - _FRAMES_MAX} more\n"
    for code, line in places[-_FRAMES_MAX:]:
        yield f"  {code.co_filename}:{line} in {code.co_qualname}\n"


def code_of(value: object) -> str:
    """A code such as `card_declined`; empty if it is anything else, for a stranger's text may hold what we sent."""
    if (
        isinstance(value, str)
        and len(value) <= _CODE_MAX
        and value.isascii()
        and value.replace(".", "_").isidentifier()
    ):
        return value
    return ""


def _source(error: BaseException) -> BaseException:
    """The server's own error behind those of SQLAlchemy and its adapter, where there is one."""
    orig: BaseException = getattr(error, "orig", None) or error
    cause = orig.__cause__
    return cause if cause is not None and isinstance(getattr(cause, "sqlstate", None), str) else orig


def _details(error: BaseException) -> Iterator[tuple[str, object]]:
    for name in (*_CODES, *_PLACES):
        value = getattr(error, name, None)
        if isinstance(value, Enum):
            yield name, value.name
        elif isinstance(value, int) and not isinstance(value, bool):
            yield name, value
        elif isinstance(value, str) and (code := _sqlstate(value) if name == "sqlstate" else code_of(value)):
            yield name, code
    answer = getattr(error, "response", None)
    told = answer.get("Error") if isinstance(answer, dict) else None
    if isinstance(told, dict) and (code := code_of(told.get("Code"))):
        yield "code", code


def _sqlstate(value: str) -> str:
    return value if len(value) == 5 and value.isascii() and value.isalnum() else ""
