"""What logs, operators and brokers may read of an error: text that was chosen by us, never values.

The message of a library's exception may contain the value that caused it, such as a card token or a street. So only its
type is shown, where it was raised, and codes of known attributes. An exception of this system that derives from
`Stated` promises that its message has nothing but names, ids and numbers.
"""

import os
import traceback
from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from typing import Final

_CODE_MAX: Final = 64
_FRAMES_MAX: Final = 40
_SUMMARY_MAX: Final = 300
_OF_STATEMENTS: Final = (
    "42"  # SQLSTATEs of wrong statements: PostgreSQL quotes names of them, while values are parameters
)
# Codes by which libraries tell their errors apart: PostgreSQL, gRPC, Temporal, Kafka, HTTP
_CODES: Final = ("sqlstate", "grpc_status_code", "status", "errno", "code")
_PLACES: Final = ("schema_name", "table_name", "column_name", "constraint_name")


class Stated(Exception):
    """An error whose message may be shown to everybody who may read the log."""


def stated(error: BaseException, *, placed: bool = False) -> str:
    """The error as text that is safe for a log: its message if it is `Stated`, else its type and its codes.

    `placed`: also where it was raised, for readers without a traceback.
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
    summary = f"{kind} ({', '.join(details)})" if details else kind
    if str(getattr(source, "sqlstate", "")).startswith(_OF_STATEMENTS) and source.args:
        summary = f"{summary}: {source.args[0]}".partition("\n")[0][:_SUMMARY_MAX]
    return summary


def trace_of(error: BaseException) -> str:
    """The traceback of the error and of its causes: frames without source lines, each error as `stated`."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        parts.append("".join(_frames(current)) + stated(current))
        if isinstance(current, BaseExceptionGroup):
            parts += [f"  of the group: {stated(inner)}" for inner in current.exceptions[:10]]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n\ncaused by\n\n".join(parts)


def _frames(error: BaseException) -> Iterator[str]:
    """The frames, the innermost last, without source lines, which may contain values."""
    places = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if len(places) > _FRAMES_MAX:
        yield f"  … {len(places) - _FRAMES_MAX} more\n"
    for code, line in places[-_FRAMES_MAX:]:
        yield f"  {code.co_filename}:{line} in {code.co_qualname}\n"


def code_of(value: object) -> str:
    """`value` if it is a code such as `card_declined`, else empty: other text may repeat what was sent."""
    if (
        isinstance(value, str)
        and len(value) <= _CODE_MAX
        and value.isascii()
        and value.replace(".", "_").isidentifier()
    ):
        return value
    return ""


def _source(error: BaseException) -> BaseException:
    """The database's own error behind those of SQLAlchemy and its adapter, where there is one."""
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
    aws = answer.get("Error") if isinstance(answer, dict) else None
    if isinstance(aws, dict) and (code := code_of(aws.get("Code"))):
        yield "code", code


def _sqlstate(value: str) -> str:
    return value if len(value) == 5 and value.isascii() and value.isalnum() else ""
