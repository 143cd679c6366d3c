"""The tables that sagakit keeps in every service's own database.

They are inbox, journal, outbox and its batches, dead letters, dismissed attention items, and ledger. Ids collate as
bytes: sorting them is cheap and the same on every server, and all ids of one subject form one range.
"""

from typing import Final

from sqlalchemy import (
    ARRAY,
    DDL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    column,
    event,
    func,
    table,
)
from sqlalchemy import Text as PlainText

Text: Final = PlainText
Id: Final = PlainText(collation="C")
WAITING: Final = table(
    "outbox_waiting",
    column("id", Id),
    column("channel", Text),
    column("key", Text),
    column("type", Text),
    column("is_call", Boolean),
    column("token", BigInteger),
    column("attempts", Integer),
    column("leased_until", DateTime(timezone=True)),
    column("created_at", DateTime(timezone=True)),
)
"""A view: all messages and calls in the outbox, those in batches included."""
ROOM: Final = {"fillfactor": "50"}
"""For a table whose rows are updated: what an update writes fits onto the page of its row, so no index is touched."""
CREATE_WAITING: Final = DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it
    "CREATE VIEW outbox_waiting AS "
    "SELECT id, channel, key, type, is_call, token, attempts, leased_until, created_at FROM outbox UNION ALL "
    'SELECT u.id COLLATE "C", u.channel, u.key, u.type, false, token, 0, leased_until, created_at '
    "FROM outbox_batch, unnest(ids, channels, keys, types) AS u (id, channel, key, type)"
)


def machinery(metadata: MetaData) -> None:
    """Define all of them but the ledger in `metadata`."""
    now = func.clock_timestamp()
    Table(
        "inbox",
        metadata,
        Column("id", Id, primary_key=True),
        Column("cause", Text),
        Column("claimed_at", DateTime(timezone=True), nullable=False, server_default=now),
    )
    Table(
        "journal",
        metadata,
        Column("id", Id, primary_key=True),
        Column("seq", BigInteger, Identity(always=True), nullable=False),
        Column("subject", Id, nullable=False),
        Column("name", Text, nullable=False),
        Column("command", Text, nullable=False),
        Column("data", Text, nullable=False),
        Column("traceparent", Text),
        Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=now),
    )
    outbox = Table(
        "outbox",
        metadata,
        Column("id", Id, primary_key=True),
        Column("channel", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("is_call", Boolean, nullable=False),
        Column("token", BigInteger, nullable=False),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("leased_until", DateTime(timezone=True), nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=now),
    )
    Index("outbox_due", outbox.c.is_call, outbox.c.leased_until)
    batch = Table(
        "outbox_batch",
        metadata,
        Column("token", BigInteger, primary_key=True, autoincrement=False),
        Column("ids", ARRAY(Text), nullable=False),
        Column("channels", ARRAY(Text), nullable=False),
        Column("keys", ARRAY(Text), nullable=False),
        Column("types", ARRAY(Text), nullable=False),
        Column("bodies", ARRAY(LargeBinary), nullable=False),
        Column("leased_until", DateTime(timezone=True), nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=now),
    )
    Index("outbox_batch_due", batch.c.leased_until)
    event.listen(metadata, "after_create", CREATE_WAITING)
    event.listen(metadata, "before_drop", DDL("DROP VIEW IF EXISTS outbox_waiting"))  # type: ignore[no-untyped-call]
    dead_letter = Table(
        "dead_letter",
        metadata,
        Column("id", Text, primary_key=True),
        Column("body", LargeBinary, nullable=False),
        Column("cause", Text, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False, server_default=now),
        Column("resolved_at", DateTime(timezone=True)),
        Column("subject", Text),
        Column("resolution", Text),
        Column("reason", Text),
        Column("resolved_by", Text),
    )
    Index("dead_letter_open", dead_letter.c.at, postgresql_where=dead_letter.c.resolved_at.is_(None))
    dismissed = Table(
        "attention_dismissed",
        metadata,
        Column("id", Id, primary_key=True),
        Column("mark", Text, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("since", DateTime(timezone=True), nullable=False),
        Column("detail", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("dismissed_by", Text, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False, server_default=now),
    )
    Index("attention_dismissed_at", dismissed.c.at)


def unpruned(table: Table) -> None:
    """Index the rows of a service's own table that may be pruned one day, in the order of their creation."""
    columns = table.c
    Index(f"{table.name}_unpruned", columns.created_at, columns.order_id, postgresql_where=~columns.pruned)


def ledger(metadata: MetaData) -> None:
    """Define the table in which an in-process provider records its entries."""
    Table(
        "ledger",
        metadata,
        Column("key", Id, primary_key=True),
        Column("order_id", Id, nullable=False),
        Column("provider", Text, nullable=False),
        Column("operation", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("amount", BigInteger),
        Column("currency", Text),
        Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    )
