"""Celery: a worker for each service, a chain of tasks for each order, RabbitMQ between them.

`celery -A loadtests.bench.peers.celery worker -Q SERVICE` runs a worker, `python -m loadtests.bench.peers.celery order`
the client. Tasks are idempotent and acknowledged late, and are delivered again if a worker is lost; queues are durable,
messages persistent, and publishing is confirmed. Results are ignored but for that of the last task, whose reply tells
the client that the order has completed.
"""

import asyncio
import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import psycopg
from celery import Celery, chain
from celery.signals import worker_process_init
from kombu import Connection, Consumer

from loadtests.bench.peers.asynchronous import address
from loadtests.bench.peers.driver import drive
from loadtests.bench.peers.work import SCHEMA, STEPS, Order, percent

CHAIN = ("place", "reserve", "authorize", "book", "confirm", "commit", "capture", "dispatch", "complete")
LAST = CHAIN[-1]
SQL = {step: [percent(statement) for statement in STEPS[step].statements] for step in CHAIN}

app = Celery("peer", broker=os.environ.get("PEER_RABBITMQ", ""), backend="rpc://")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    task_routes={f"peer.{step}": {"queue": STEPS[step].service} for step in CHAIN},
    worker_hijack_root_logger=False,
)
_connections: dict[str, psycopg.Connection[Any]] = {}


@worker_process_init.connect
def connected(**_: Any) -> None:
    """Give each process of a worker a connection of its own."""
    service = os.environ["PEER_SERVICE"]
    _connections[service] = psycopg.connect(address(service), autocommit=True, options=f"-csearch_path={SCHEMA}")


def do(step: str, content: dict[str, Any]) -> bool:
    """Do a step in a transaction; returns whether this was the first time."""
    connection, values = _connections[STEPS[step].service], Order(**content).values(step)
    first, *others = SQL[step]
    with connection.transaction():
        if connection.execute(first, values).fetchone() is None:
            return False
        for statement in others:
            connection.execute(statement, values)
    return True


def _task(step: str) -> Any:
    def run(content: dict[str, Any]) -> bool:
        return do(step, content)

    return app.task(run, name=f"peer.{step}", ignore_result=step != LAST)


TASKS = {step: _task(step) for step in CHAIN}


class Client:
    """Starts chains, and hears of their ends in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[str, asyncio.Event] = {}
        self._queue = app.backend.binding
        self._connection = Connection(app.conf.broker_url)
        self._queue(self._connection).declare()
        threading.Thread(target=self._listen, name="replies", daemon=True).start()

    async def buy(self, order: Order) -> None:
        """Place an order, and wait until it has completed."""
        signatures = [TASKS[step].si(asdict(order)) for step in CHAIN]
        signatures[-1].set(task_id=order.order_id)
        self._waiting[order.order_id] = done = asyncio.Event()
        try:
            chain(*signatures).apply_async()
            await done.wait()
        finally:
            del self._waiting[order.order_id]

    def _listen(self) -> None:
        with Consumer(self._connection, queues=[self._queue], callbacks=[self._heard], no_ack=True, accept=["json"]):
            while True:
                with suppress(TimeoutError):
                    self._connection.drain_events(timeout=1)

    def _heard(self, body: Any, message: Any) -> None:
        content = json.loads(body) if isinstance(body, str) else body
        if waits := self._waiting.get(content["task_id"]):
            self._loop.call_soon_threadsafe(waits.set)


async def main() -> None:
    """Run the client until standard input ends."""
    await drive(Client(asyncio.get_running_loop()).buy)


if __name__ == "__main__" and sys.argv[1:] == ["order"]:
    asyncio.run(main())
