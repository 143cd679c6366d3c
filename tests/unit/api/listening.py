"""An application that listens on a port, in a thread and an event loop of its own, for clients that block."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from unittest.mock import patch

from fastapi import FastAPI

from checkout.messages import AuthorizePayment, BookShipment
from provider_sandbox.ledger import Ledger
from provider_sandbox.main import build
from sagakit.app.documents import ORDER_EXAMPLE
from sagakit.app.server import Server
from sagakit.settings import Settings
from sagakit.web.documents import EXAMPLE_KEY
from tests.keys import PAYMENT_KEY, PUBLIC_KEY, SHIPPING_KEY
from tests.service_process import basket, reserve
from tests.unit.api.served import Served, served

Opened = Callable[[], AbstractAsyncContextManager[FastAPI]]
EXAMPLE_ORDER = ORDER_EXAMPLE["order_id"]


@contextmanager
def listening(opened: Opened) -> Iterator[str]:
    """Serve what `opened` opens; the address."""
    ready, stop = Future[str](), threading.Event()

    async def serve() -> None:
        async with opened() as app:
            # asyncio sets TCP_NODELAY only on a socket that names its protocol
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
                sock.bind(("127.0.0.1", 0))
                server = Server(app, app.state.settings)
                task = asyncio.create_task(server.serve(sockets=[sock]))
                ready.set_result("http://{}:{}".format(*sock.getsockname()))
                await asyncio.to_thread(stop.wait)
                app.state.drain.start()
                server.should_exit = True
                await task

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=run, name="listening")
    thread.start()
    try:
        yield ready.result(60)
    finally:
        stop.set()
        thread.join(30)


@asynccontextmanager
async def a_service(name: str, url: str) -> AsyncIterator[FastAPI]:
    """A service that has the order of the examples, placed by alice."""
    async with served(name, url, fault_injection=True) as this:
        await FILLED[name](this)
        yield this.app


async def _order(this: Served) -> None:
    with patch("order_service.placing.new_order_id", return_value=EXAMPLE_ORDER):
        answer = await this.place(EXAMPLE_KEY)
    assert answer.json()["order_id"] == EXAMPLE_ORDER


async def _payment(this: Served) -> None:
    await this.do(AuthorizePayment(EXAMPLE_ORDER, basket()))


async def _inventory(this: Served) -> None:
    await this.do(reserve(EXAMPLE_ORDER))


async def _shipping(this: Served) -> None:
    await this.do(BookShipment(EXAMPLE_ORDER, basket()))


FILLED = {"order": _order, "payment": _payment, "inventory": _inventory, "shipping": _shipping}


@asynccontextmanager
async def the_sandbox(folder: Path) -> AsyncIterator[FastAPI]:
    """The sandbox, with short waits."""
    ledger = Ledger(folder / "ledger.db")
    await ledger.open()
    settings = Settings(
        token_public_keys=PUBLIC_KEY,
        service="sandbox",
        fault_injection=True,
        provider_key_payment=PAYMENT_KEY,
        provider_key_shipping=SHIPPING_KEY,
    )
    app, provider = build(settings, ledger, slow=0.1, hold=0.1)
    yield app
    await provider.close()
    await ledger.close()
