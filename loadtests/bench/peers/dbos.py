"""DBOS Transact: `python -m loadtests.bench.peers.dbos`, one process, as a library that is linked into a program.

A durable workflow; each step is a transaction of a datasource, one for each of the four databases, which records its
result in the same transaction. The system database is the order service's server, as DBOS advises for one application.
The transactions run at PostgreSQL's default isolation, as those of all other peers do.
"""

import asyncio

from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSConfig, SetWorkflowID
from sqlalchemy import text

from loadtests.bench.peers.asynchronous import CONNECTIONS, address
from loadtests.bench.peers.driver import drive
from loadtests.bench.peers.work import SCHEMA, SERVICES, STEPS, Order

HOLDS = ("reserve", "authorize", "book")
SETTLES = ("commit", "capture", "dispatch")
ISOLATION = "READ COMMITTED"


def url(service: str) -> str:
    """The URL of a database for SQLAlchemy with psycopg, which DBOS uses."""
    return f"{address(service)}?options=-csearch_path%3D{SCHEMA}".replace("postgresql:", "postgresql+psycopg:", 1)


async def main() -> None:
    """Run until standard input ends."""
    config: DBOSConfig = {
        "name": "peer",
        "system_database_url": address("order"),
        "sys_db_pool_size": CONNECTIONS,
        "log_level": "WARNING",
        "enable_otlp": False,
    }
    DBOS(config=config)
    sources = {
        name: await AsyncSQLAlchemyDatasource.create(url(name), engine_kwargs={"pool_size": CONNECTIONS})
        for name in SERVICES
    }

    async def do(step: str, order: Order) -> bool:
        source, statements = sources[STEPS[step].service], STEPS[step].statements

        @source.transaction(name=step, isolation_level=ISOLATION)
        async def transaction() -> bool:
            session, values = source.sql_session(), order.values(step)
            first, *others = map(text, statements)
            if (await session.execute(first, values)).first() is None:
                return False
            for statement in others:
                await session.execute(statement, values)
            return True

        return bool(await transaction())

    @DBOS.workflow()
    async def checkout(order: Order) -> None:
        for step in ("place", *HOLDS, "confirm"):
            await do(step, order)
        for step in (*SETTLES, "complete"):
            await do(step, order)

    async def buy(order: Order) -> None:
        with SetWorkflowID(order.order_id):
            handle = await DBOS.start_workflow_async(checkout, order)
        await handle.get_result()

    DBOS.launch()
    try:
        await drive(buy)
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main())
