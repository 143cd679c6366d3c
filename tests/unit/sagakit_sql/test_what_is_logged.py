"""Whatever goes wrong, no log, dead letter or list of what needs attention holds a card token, a name or a street."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from checkout.messages import Address, AuthorizePayment, Checkout, PlaceOrder
from checkout.provider_rules import decide
from payment_service import handlers
from payment_service.service import SERVICE
from sagakit import envelope
from sagakit.logs import configure_logging
from sagakit.message import Command, UnknownMessage
from sagakit.modes.failures import cause_of
from sagakit.provider import OutcomeUnknown, ProviderCall, ProviderOutcome
from sagakit.provider_http import HttpProvider
from sagakit.service import Handler
from sagakit.work import Execute
from tests.keys import PAYMENT_KEY
from tests.postgres import Server
from tests.service_process import ServiceProcess, basket, service_process
from tests.unit.api.served import headers, order_body, problem, served
from tests.unit.sagakit_sql.test_caller import CALLING, Scripted

TOKEN, NAME, STREET = "card-Wexwy4929-0000", "Zbigniew Quux", "4 Elmwood Street"
SECRETS = (TOKEN, NAME, STREET, "Wexwy4929", "Quux", "Elmwood")  # no four digits: a process may have that number
CHECKOUT: Checkout = replace(basket(), payment_token=TOKEN, address=Address(NAME, STREET, "Riga", "LV-1010", "LV"))


class Log:
    """What was logged, each line an object."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def clean(self, *expected: str) -> None:
        """All of `expected` was logged, and nothing that is secret."""
        text = self.stream.getvalue()
        assert not [secret for secret in SECRETS if secret in text], text
        for words in expected:
            assert words in text
        assert all(json.loads(line) for line in text.splitlines())


@pytest.fixture
def log() -> Iterator[Log]:
    root, log = logging.getLogger(), Log()
    handlers_, level = root.handlers[:], root.level
    configure_logging("payment", "kafka", "DEBUG", log.stream)
    yield log
    root.handlers[:] = handlers_
    root.setLevel(level)


@pytest.fixture(autouse=True)
def server_is_silent(postgres: Server) -> Iterator[None]:
    yield
    assert not [secret for secret in SECRETS if secret in postgres.log()]


def authorize(order_id: str = "o1") -> AuthorizePayment:
    return AuthorizePayment(order_id, CHECKOUT)


def _coded(command: Command, _: Any) -> Any:
    raise RuntimeError(f"cannot do {command!r}")


def _key(command: AuthorizePayment, _: Any) -> Any:
    return {}[command.checkout.payment_token]


def _number(command: AuthorizePayment, _: Any) -> Any:
    return int(command.checkout.address.line1)


def _codec(command: AuthorizePayment, _: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(command.checkout.address.name), type=int | None)


def _group(command: AuthorizePayment, _: Any) -> Any:
    raise ExceptionGroup(STREET, [ValueError(command.checkout.address.name)])


def _chained(command: AuthorizePayment, state: Any) -> Any:
    try:
        return _key(command, state)
    except KeyError as error:
        raise ValueError(f"no {command.checkout.address}") from error


@pytest.mark.parametrize("decide_", [_coded, _key, _number, _codec, _group, _chained])
async def test_a_handler_that_fails(
    database: Callable[[str], str], log: Log, monkeypatch: pytest.MonkeyPatch, decide_: Any
) -> None:
    monkeypatch.setitem(handlers.COMMANDS, AuthorizePayment, Handler(decide_, ()))
    async with service_process("payment", database("payment")) as payment:
        (answer,) = await payment.engine.do_until_stored([Execute(authorize())])
        assert isinstance(answer, Exception)
        await payment.engine.dead_letter(b"", cause_of(answer), "o1")
        await clean_list(payment)
    log.clean("AuthorizePayment failed", decide_.__name__, "dead letter")


async def clean_list(service: ServiceProcess) -> None:
    """What an operator is shown, and what stands in the table of dead letters."""
    shown = [row.detail for row in await service.attention.page(None, 100)]
    shown += [row.cause for row in await service.rows("SELECT cause FROM dead_letter")]
    assert shown
    assert not [secret for secret in SECRETS for text in shown if secret in text]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE payments ADD CONSTRAINT no_elm CHECK (status = 'NEW')",
        "ALTER TABLE journal ADD CONSTRAINT no_elm CHECK (data NOT LIKE '%Elmwood%')",
        "ALTER TABLE outbox ADD CONSTRAINT no_elm CHECK (is_call IS NULL)",
        "ALTER TABLE journal ALTER COLUMN data TYPE varchar(10)",
        "ALTER TABLE journal RENAME COLUMN data TO datum",
    ],
)
async def test_a_row_that_is_rejected(database: Callable[[str], str], log: Log, change: str) -> None:
    provider = Scripted()
    async with service_process("payment", database("payment"), provider=provider, started=False, **CALLING) as payment:
        await payment.execute(change)
        answers = await payment.engine.do_until_stored([Execute(authorize("o1")), Execute(authorize("o2"))])
        failed = [answer for answer in answers if isinstance(answer, Exception)]
        assert failed
        for answer in failed:
            await payment.engine.dead_letter(b"", cause_of(answer), "o1")
        await clean_list(payment)
    log.clean("AuthorizePayment failed", "sqlstate=", *(["constraint_name=no_elm"] if "no_elm" in change else []))


async def _echo(path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
    return 422, b'{"code": "' + TOKEN.encode() + b' is odd", "detail": ' + body + b"}"


async def _echo_in_answer(path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
    return 200, msgspec.json.encode({"outcome": "declined", "code": STREET, "reference": body.decode()})


async def _odd(path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
    return 200, b'{"outcome": "' + TOKEN.encode() + b'"}'


async def _rejects(path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
    return 409, b'{"code": "' + STREET.encode() + b'"}'


async def _broken(path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
    raise aiohttp.ClientPayloadError(body.decode())


async def _bug(path: str, body: bytes, headers: Any) -> tuple[int, bytes]:
    raise RuntimeError(body.decode())


@pytest.mark.parametrize("post", [_echo, _echo_in_answer, _odd, _rejects, _broken, _bug])
async def test_a_provider_that_fails(database: Callable[[str], str], log: Log, post: Any) -> None:
    provider = HttpProvider("http://nowhere", PAYMENT_KEY, post=post)
    settings = {**CALLING, "saga_attention_after": 0.1}
    async with service_process("payment", database("payment"), provider=provider, **settings) as payment:
        await payment.engine.dispatcher.do(authorize())
        ended = "SELECT count(*) FROM outbox WHERE is_call AND attempts < 2"
        await payment.until(ended, 0)
        assert not [
            secret
            for row in await payment.rows("SELECT data FROM journal WHERE name = 'PaymentDeclined'")
            for secret in SECRETS
            if secret in row.data
        ]
        if await payment.rows("SELECT id FROM outbox WHERE is_call"):
            await clean_list(payment)
    log.clean()


async def test_a_call_that_raises_what_it_was_given(database: Callable[[str], str], log: Log) -> None:
    class Raising(Scripted):
        async def call(self, call: ProviderCall) -> ProviderOutcome:
            await super().call(call)
            if self.calls.total() < 3:
                raise (RuntimeError(f"{call!r}"), OutcomeUnknown(call.key))[self.calls.total() - 1]
            return decide(call)

    async with service_process("payment", database("payment"), provider=Raising(), **CALLING) as payment:
        await payment.engine.dispatcher.do(authorize())
        await payment.until("SELECT count(*) FROM outbox WHERE is_call", 0)
    log.clean("o1/authorize", "RuntimeError")


async def test_a_task_that_fails(database: Callable[[str], str], log: Log) -> None:
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise ValueError(f"{CHECKOUT!r}")

    async with service_process("payment", database("payment")) as payment:
        payment.engine.background.start("odd", work)
        await failed.wait()
        await asyncio.sleep(0)
        await clean_list(payment)
    log.clean("background task failed", "ValueError")


@pytest.mark.parametrize(
    "data",
    [
        {"order_id": "o1", "checkout": STREET},
        {"order_id": "o1", "checkout": {"payment_token": TOKEN, "address": {"line1": STREET, "name": 5}}},
        {STREET: NAME},
        [TOKEN],
    ],
)
def test_a_message_that_cannot_be_read(data: Any) -> None:
    wire = {"id": "o1/AuthorizePayment", "source": "/quartet/order", "subject": "o1", "specversion": "1.0"}
    body = json.dumps({**wire, "type": "quartet.AuthorizePayment.v1", "data": data})
    for bytes_ in (body.encode(), body[:-3].encode(), STREET.encode()):
        with pytest.raises(UnknownMessage) as caught:
            envelope.decode(bytes_, SERVICE.wire)
        assert not [secret for secret in SECRETS if secret in cause_of(caught.value)]


async def test_a_request_that_fails(postgres: Server, log: Log) -> None:
    body = order_body()
    body["payment"]["token"] = TOKEN
    body["shipping_address"] |= {"name": NAME, "line1": STREET}
    async with served("order", postgres.database("order")) as order:
        await order.service_process.execute(
            "ALTER TABLE orders ADD CONSTRAINT no_elm CHECK (checkout NOT LIKE '%Elmwood%')"
        )
        problem(await order.place(body=body), 500, "internal")
        problem(await order.client.get(f"/orders/{STREET}", headers=headers()), 404, "not_found")
        problem(await order.client.get(f"/{STREET}?{TOKEN}", headers=headers()), 404, "not_found")
    log.clean("request failed", PlaceOrder.__name__)
