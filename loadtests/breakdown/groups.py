"""The statements of the databases in groups. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from loadtests.statements import Statement

OTHER: Final = "other statements"
GROUPS: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("record events, states, messages and ledger", ("insert into journal",)),
    ("claim and lock", ("insert into inbox", "with locked as")),
    (
        "background tasks",
        (
            *("not settled", "as newest", "nudge", "from outbox_waiting", "kind, count(*)", "for update of pruned"),
            *("alembic_version", "pg_is_in_recovery", "pg_class", "typeinfo_tree", "pg_catalog", "dead_letter"),
        ),
    ),
    ("lease and delete messages", ("outbox",)),
    ("read the journal", ("from journal",)),
    ("read orders and the catalogue", ("from orders", "from catalogue", "from payments", "from shipments")),
)
"""Group -> texts in lower case of which a statement has one. The first group counts: one statement records it all."""
NAMES: Final = (*(name for name, _ in GROUPS), OTHER)


def group_of(query: str) -> str:
    """The group of a statement."""
    text = " ".join(query.lower().split())
    return next((name for name, texts in GROUPS if any(one in text for one in texts)), OTHER)


def grouped(statements: Iterable[Statement]) -> Mapping[str, float]:
    """Seconds of execution by group."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for one in statements:
        seconds[group_of(one.query)] += one.seconds
    return seconds
