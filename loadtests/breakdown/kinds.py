"""The kinds of work inside a service, and the kind of a sampled stack. Pure.

A sample has one kind, that of the innermost frame which RULES name: a write to a socket belongs to whoever sends. Only
where no rule names any frame, it is the event loop's, unless a module that nobody has named was at work: then its kind
is OTHER, which is to stay small.
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import Final

CARRIER: Final = "carrier's client"
LOOP: Final = "event loop"
OTHER: Final = "other"

RULES: Final[Sequence[tuple[str, Sequence[str]]]] = (
    (
        "metrics, logs, traces",
        (
            *("prometheus_client/", "opentelemetry/", "trace/", "context/", "sdk/", "metrics/", "logging/"),
            *("sagakit/telemetry", "sagakit/tracing", "sagakit/logs", "sagakit/activity", "sagakit/app/spans"),
            *("sagakit/engine/durations", "sagakit/modes/temporal_spans"),
        ),
    ),
    ("sealing", ("sagakit/sealing", "checkout/sealing", "cryptography/fernet")),
    ("encoding", ("sagakit/message.py", "sagakit/envelope", "sagakit/modes/*/wire")),
    (
        CARRIER,
        (
            *("sagakit/modes/", "sagakit/topology"),
            *(
                "aiokafka/",
                "_legacy_records.c",
                "default_records.c",
                "memory_records.c",
                "legacy_records.c",
                "crc32c.c",
            ),
            *("aioboto3/", "boto3/", "aiobotocore/", "botocore/", "aiohttp/", "yarl/", "multidict/", "aioitertools/"),
            *("_http_parser.c", "_http_writer.c", "jmespath/", "s3transfer/", "dateutil/", "wrapt/", "propcache/"),
            *("google/", "grpc/", "proto/", "pubsub_v1/", "api_core/", "cygrpc", "_message.abi3.so", "protobuf/"),
            *("temporalio/", "temporal_sdk_bridge"),
        ),
    ),
    (
        "transactions",
        (
            *("asyncpg/", "protocol.c", "pgproto.c", "recordobj.c", "sqlalchemy/", "greenlet/", "sagakit/postgres/"),
            *("sagakit/engine/", "sagakit/ports", "sagakit/dead_letters", "*_service/store"),
        ),
    ),
    (
        "deciding",
        (
            *("*_service/domain", "*_service/handlers", "*_service/reactions", "*_service/service"),
            *("*_service/gateway", "*_service/carrier", "checkout/", "sagakit/saga", "sagakit/service", "sagakit/work"),
            *("sagakit/provider", "sagakit/engine/batch"),
        ),
    ),
    (
        "HTTP",
        (
            *("uvicorn/", "httptools/", "parser.c", "llhttp.c", "api.c", "h11/", "starlette/", "fastapi/", "pydantic"),
            *("anyio/", "sagakit/web/", "sagakit/app/", "sagakit/http_get", "sagakit/tokens", "sagakit/sign_in"),
            *("sagakit/engine/watcher", "order_service/", "*_service/api", "*_service/queries", "*_service/documents"),
        ),
    ),
)
"""Kind -> beginnings of modules, libraries and C files; `*` stands for any letters. The longest beginning counts."""
BACKGROUND: Final = "background tasks"
TASKS: Final = (
    *("order_service/sweeper", "order_service/disowner", "order_service/unsettled", "order_service/nudge_rate"),
    *("Admission.run (", "sagakit/app/gauges", "sagakit/app/peers", "sagakit/app/readiness", "sagakit/app/attention"),
    *("sagakit/postgres/retention", "sagakit/engine/dependencies", "*_service/retention"),
    *("sagakit/modes/kafka/probe", "sagakit/modes/kafka/letters", "Server.on_tick ("),
)
"""Whatever such a frame calls, its statements included, is a background task's."""
LOOPS: Final = (
    *("asyncio/", "uvloop/", "loop.c", "_asyncio.cpython", "concurrent/", "threading.py", "_queue.cpython"),
    *("async_timeout/", "sagakit/tasks"),
)
NATIVE: Final = {
    "tokio": CARRIER,
    "temporal": CARRIER,
    "workflow": CARRIER,
    "grpc": CARRIER,
    "event_engine": CARRIER,
    "timer_manager": CARRIER,
    "lifeguard": CARRIER,
    "resolver": CARRIER,
    "libuv": LOOP,
}
"""Kind of the threads that run no Python, by the beginning of their names."""
WAITS: Final = (
    *("epoll_pwait", "epoll_wait", "poll (", "select (", "pthread_cond_wait", "pthread_cond_timedwait", "nanosleep"),
    *("pthread_cond_clockwait", "sem_wait", "sem_timedwait", "sem_clockwait", "PyThread_acquire_lock_timed"),
)
"""In such a frame a thread that is ready to run has mostly been woken, and waits for a core."""
KINDS: Final = (*(kind for kind, _ in RULES), BACKGROUND, LOOP, OTHER)
_FRAME: Final = re.compile(r"(?P<name>.*?) \((?P<path>[^()]*?)(?::\d+)?\)")
_THREAD: Final = re.compile(r"thread \((\d+)\)")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]+ \(|\?")


@dataclass(slots=True)
class Samples:
    """The samples of a thread by kind; those that wait apart. `unnamed`: modules behind OTHER, and how often."""

    working: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    unnamed: Counter[str] = field(default_factory=Counter)


def _compiled(beginnings: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(one).replace(r"\*", "[a-z_]+") for one in beginnings))


_BEGINNINGS: Final = sorted(
    ((beginning, kind) for kind, beginnings in RULES for beginning in beginnings), key=lambda one: -len(one[0])
)
_RULES: Final = [(_compiled([beginning]), kind) for beginning, kind in _BEGINNINGS]
_TASKS: Final = _compiled(TASKS)
_LOOPS: Final = _compiled(LOOPS)


def kind_of(stack: Sequence[str]) -> tuple[str, str]:
    """The kind of a stack, the outermost frame first; for OTHER, also the module that no rule names.

    What lies outside of the event loop's start is the same in each stack and left out.
    """
    starts = [at for at, frame in enumerate(stack) if "(asyncio/runners.py" in frame]
    inner = stack[starts[-1] :] if starts else stack
    if any(_TASKS.match(frame) or _TASKS.match(_path(frame)) for frame in inner):
        return BACKGROUND, ""
    unnamed, loop = "", False
    for path in map(_path, reversed(inner)):
        for rule, kind in _RULES:
            if rule.match(path):
                return kind, ""
        if _LOOPS.match(path):
            loop = True
        elif not unnamed and _is_module(path):
            unnamed = path
    if unnamed or not loop:
        return OTHER, unnamed or (inner[-1] if inner else "an empty stack")
    return LOOP, ""


def counted(lines: Iterable[str]) -> Mapping[int, Samples]:
    """The samples of each thread, from what py-spy writes with `--threads --format raw`: a stack and a number a line.

    Raises:
        ValueError: A line is none of py-spy's; the message quotes it.
    """
    found: defaultdict[int, Samples] = defaultdict(Samples)
    for line in filter(None, map(str.strip, lines)):
        stack, _, number = line.rpartition(" ")
        thread, *frames = stack.split(";")
        label = _THREAD.match(thread)
        if label is None or not number.isdigit():
            raise ValueError(f"not a line of py-spy's raw format with threads: {line[:100]!r}")
        samples = found[int(label[1])]
        kind, unnamed = kind_of(frames)
        (samples.waiting if _waits(frames) else samples.working)[kind] += int(number)
        if kind == OTHER:
            samples.unnamed[unnamed] += int(number)
    return found


def native_kind(thread: str) -> str:
    """The kind of a thread that runs no Python, by its name."""
    return next((kind for beginning, kind in NATIVE.items() if thread.startswith(beginning)), OTHER)


def _path(frame: str) -> str:
    """The file of a frame, or the frame as it is where it has none."""
    found = _FRAME.fullmatch(frame)
    return found["path"] if found else frame


def _is_module(path: str) -> bool:
    """Whether it is a Python module of somebody else than Python."""
    name = re.split(r"[/.]", path, maxsplit=1)[0]
    return path.endswith(".py") and name not in sys.stdlib_module_names


def _waits(frames: Sequence[str]) -> bool:
    """Whether the innermost frame that has a name is one in which threads wait."""
    named = next(dropwhile(_ADDRESS.match, reversed(frames)), "")
    return named.startswith(WAITS)
