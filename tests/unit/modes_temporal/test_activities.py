"""An activity that fails: what is counted, what is written down, and when."""

from typing import Any, cast

import msgspec
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from checkout import messages as m
from sagakit.envelope import decode
from sagakit.modes.failures import cause_of
from sagakit.modes.temporal.activities import activities
from sagakit.modes.temporal.wire import payload_of
from sagakit.ports import Inlet, RowRejected, RowsLocked, StoreUnavailable
from sagakit.work import Execute, HandlerFailed
from tests.unit.modes_temporal.roles import service

COMMAND = m.CapturePayment("o1")
BUG = HandlerFailed(Execute(COMMAND), ValueError("a bug"))

ATTEMPTS = 3


class FakeInlet:
    """An Inlet with a fixed answer. `away`: how often a dead letter cannot be written."""

    def __init__(self) -> None:
        self.service = service("payment")
        self.answer: Any = None
        self.letters: list[tuple[bytes, str, str | None]] = []
        self.away = 0

    async def do(self, *_: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def conclude(self, *_: object) -> Any:
        return await self.do()

    async def dead_letter(self, body: bytes, cause: str, subject: str | None = None) -> None:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        self.letters.append((body, cause, subject))


class Worker:
    def __init__(self, local: bool) -> None:
        self.inlet = FakeInlet()
        self._handle, _ = activities(cast(Inlet, self.inlet), ATTEMPTS, local)

    async def attempt(self, answer: Any, body: bytes | None = None) -> BaseException | None:
        self.inlet.answer = answer
        payload = (
            msgspec.json.encode(payload_of(m.PUBLIC, COMMAND, "o1/OrderConfirmed", None)) if body is None else body
        )
        try:
            await ActivityEnvironment().run(self._handle, [RawValue(Payload(data=payload))])
        except Exception as error:
            return error
        return None


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def worker(request: pytest.FixtureRequest) -> Worker:
    return Worker(request.param)


@pytest.mark.parametrize("busy", [RowsLocked(frozenset({"o1"})), StoreUnavailable("away")])
async def test_a_busy_error_is_benign_and_never_counts(worker: Worker, busy: Exception) -> None:
    for _ in range(10):
        error = await worker.attempt(busy)
        assert isinstance(error, ApplicationError)
        assert (error.type, error.category) == (type(busy).__name__, ApplicationErrorCategory.BENIGN)
    for _ in range(2):
        await worker.attempt(BUG)
    assert not worker.inlet.letters


async def test_a_provider_without_an_answer_is_no_failure() -> None:
    worker = Worker(local=False)
    for _ in range(10):
        error = await worker.attempt(None)
        assert isinstance(error, ApplicationError)
        assert error.category == ApplicationErrorCategory.BENIGN
    assert not worker.inlet.letters


@pytest.mark.parametrize("fault", [BUG, RowRejected("no"), LookupError("payment has no handler")])
async def test_the_last_attempt_alone_writes_down_a_dead_letter_that_can_be_redelivered(
    worker: Worker, fault: Exception
) -> None:
    for attempt in range(1, 10):
        assert await worker.attempt(fault) is fault
        assert len(worker.inlet.letters) == (attempt >= 3)
    ((body, cause, subject),) = worker.inlet.letters
    parcel = decode(body, m.PUBLIC)
    assert (parcel.message, parcel.cause, subject) == (COMMAND, "o1/OrderConfirmed", "o1")
    assert cause_of(fault) in cause


async def test_two_workers_write_the_same_bytes() -> None:
    one, another = Worker(local=True), Worker(local=True)
    for _ in range(3):
        await one.attempt(BUG)
        await another.attempt(BUG)
    assert one.inlet.letters == another.inlet.letters


async def test_a_success_starts_the_count_anew(worker: Worker) -> None:
    for _ in range(2):
        await worker.attempt(BUG)
    assert await worker.attempt(m.PaymentCaptured("o1")) is None
    for _ in range(2):
        await worker.attempt(BUG)
    assert not worker.inlet.letters


async def test_a_letter_that_could_not_be_written_is_written_at_the_next_failure(worker: Worker) -> None:
    worker.inlet.away = 2
    for attempt in range(1, 8):
        await worker.attempt(BUG)
        assert len(worker.inlet.letters) == (attempt >= 5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'{"type":"Nonsense","data":{}}',
        b'{"type":"CapturePayment","data":' + b"[" * 1000 + b"]" * 1000,
    ],
)
async def test_an_argument_that_cannot_be_read_is_written_down_as_it_is(worker: Worker, body: bytes) -> None:
    for attempt in range(1, 6):
        assert await worker.attempt(None, body) is not None
        assert len(worker.inlet.letters) == (attempt >= 3)
    assert worker.inlet.letters[0][0] == body
