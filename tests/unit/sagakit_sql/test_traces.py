"""One trace per checkout: four services over a broker in memory, in both styles, with an exporter in memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from checkout.messages import CancellationSettled, OrderCompleted
from checkout.saga import CHECKOUT
from checkout.topology import topology_of
from sagakit.engine.engine import ServiceEngine
from sagakit.message import id_of
from sagakit.modes.broker import BrokerMode
from sagakit.modes.inmemory.transport import InMemoryBroker, InMemoryTransport
from sagakit.modes.styles import style_of
from sagakit.provider import OutcomeUnknown, Provider
from sagakit.settings import Settings
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION
from sagakit.tracing import traceparent_of, tracing
from tests.keys import PUBLIC_KEY
from tests.postgres import definition
from tests.service_process import assembled, place
from tests.unit.sagakit_sql.test_caller import Scripted

Database = Callable[[str], str]
SERVICES = ("order", "payment", "inventory", "shipping")
STYLES = (CHOREOGRAPHY, ORCHESTRATION)
COMMANDS = {kind.__name__ for name in SERVICES for kind in definition(name).service.commands}
COMPLETED = {
    "PlaceOrder",
    "ReserveStock",
    "AuthorizePayment",
    "RecordAuthorization",
    "BookShipment",
    "RecordBooking",
    "ConfirmOrder",
    "CommitStock",
    "CapturePayment",
    "RecordCapture",
    "DispatchShipment",
    "RecordDispatch",
    "RecordStockSettled",
    "RecordPaymentSettled",
    "RecordShipmentSettled",
}
"""The commands of an order that is completed: the steps of every mode."""


class Spans:
    """What was exported; `tracer` makes the spans of clients."""

    def __init__(self, exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
        self._exporter, self.tracer = exporter, provider.get_tracer("client")

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def steps(self) -> set[str]:
        """The names of the commands that were handled."""
        return {span.name for span in self.all if "saga.service" in (span.attributes or {})} & COMMANDS

    def broken(self) -> list[str]:
        """The spans whose parents were not exported."""
        ids = {span.context.span_id for span in self.all}
        return [span.name for span in self.all if span.parent is not None and span.parent.span_id not in ids]


@pytest.fixture
def spans() -> Iterator[Spans]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.start(provider.get_tracer("sagakit"), "inmemory")
    yield Spans(exporter, provider)
    tracing.stop()


@asynccontextmanager
async def running(database: Database, style: str, providers: Mapping[str, Provider]) -> AsyncIterator[ServiceEngine]:
    """The four services; yields the engine of the order service."""
    broker, topology = InMemoryBroker(), topology_of(style)
    channels = frozenset(one.channel for one in topology.subscriptions)
    engines = {}
    async with AsyncExitStack() as closing:
        for name in SERVICES:
            settings = Settings(
                token_public_keys=PUBLIC_KEY,
                service=name,
                database_url=database(name),
                providers="sandbox",
                retry_max=0.2,
            )
            process = assembled(settings, providers.get(name))
            transport = InMemoryTransport(broker, name, topology)
            mode = BrokerMode(style_of(style, process.engine.service, CHECKOUT), transport, channels)
            engine = ServiceEngine(
                process.engine.service,
                process.store,
                mode,
                providers.get(name) or Scripted(),
                process.dead_letters,
                settings,
                process.metrics,
            )
            closing.push_async_callback(process.database.dispose)
            await engine.start()
            closing.push_async_callback(engine.stop)
            engines[name] = engine
        yield engines["order"]


async def checkout(order: ServiceEngine, spans: Spans, order_id: str, card: str = "tok_visa") -> None:
    """Place an order under a client's span, and wait for its end."""
    command = place(order_id)
    command = replace(command, checkout=replace(command.checkout, payment_token=card))
    with spans.tracer.start_as_current_span("client") as span:
        await order.do(command, None, traceparent_of(span))
    ends = [id_of(order_id, OrderCompleted), id_of(order_id, CancellationSettled)]
    assert await order.watcher.wait(ends, 60) is not None


@pytest.mark.parametrize("style", STYLES)
async def test_a_checkout_is_one_trace_with_the_same_steps_in_both_styles(
    database: Database, spans: Spans, style: str
) -> None:
    async with running(database, style, {}) as order:
        await checkout(order, spans, "o1")
    assert spans.broken() == []
    traces = {span.context.trace_id for span in spans.all if span.name != "transaction"}
    assert len(traces) == 1
    assert spans.steps() == COMPLETED
    calls = Counter(span.name for span in spans.all if span.name.startswith("call "))
    assert calls == {"call authorize": 1, "call capture": 1, "call book": 1, "call dispatch": 1}
    assert {span.name for span in spans.all} >= {
        "publish OrderPlaced" if style == CHOREOGRAPHY else "publish ReserveStock"
    }


@pytest.mark.parametrize("style", STYLES)
async def test_a_cancelled_checkout_is_one_trace_too(database: Database, spans: Spans, style: str) -> None:
    async with running(database, style, {}) as order:
        await checkout(order, spans, "o1", "tok_declined")
    assert spans.broken() == []
    assert len({span.context.trace_id for span in spans.all if span.name != "transaction"}) == 1
    assert {"CancelOrder", "ReleaseStock", "VoidPayment", "CancelShipment"} <= spans.steps()


async def test_each_attempt_at_a_call_is_a_span_under_the_command_that_asked_for_it(
    database: Database, spans: Spans
) -> None:
    payment = Scripted(OutcomeUnknown("lost"))
    async with running(database, CHOREOGRAPHY, {"payment": payment}) as order:
        await checkout(order, spans, "o1")
    first, second = spans.named("call authorize")
    (asking,) = spans.named("AuthorizePayment")
    assert [span.attributes["saga.call.attempt"] for span in (first, second) if span.attributes] == [1, 2]
    assert [span.status.is_ok for span in (first, second)] == [False, True]
    assert {span.parent.span_id for span in (first, second) if span.parent} == {asking.context.span_id}


async def test_a_transaction_of_several_commands_is_linked_to_their_spans(database: Database, spans: Spans) -> None:
    async with running(database, CHOREOGRAPHY, {}) as order:
        await asyncio.gather(*(checkout(order, spans, f"o{number}") for number in range(8)))
    assert spans.broken() == []
    ids = {span.context.span_id for span in spans.all}
    joined = [span for span in spans.named("transaction") if len(span.links) > 1]
    assert joined
    assert all(link.context.span_id in ids for span in joined for link in span.links)
    assert all(span.parent is None for span in joined)
    traces = {span.context.trace_id for span in spans.all if span.name != "transaction"}
    assert len(traces) == 8


async def test_without_a_tracer_there_are_no_spans_and_the_trace_context_travels(database: Database) -> None:
    assert not tracing.on
    traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    async with running(database, CHOREOGRAPHY, {}) as order:
        await order.do(place("o1"), None, traceparent)
        assert await order.watcher.wait([id_of("o1", OrderCompleted)], 60) is not None


async def test_a_transaction_can_be_a_child_of_each_of_its_commands_instead(database: Database, spans: Spans) -> None:
    tracing.stop()
    tracing.start(spans.tracer, "inmemory", children=True)
    async with running(database, CHOREOGRAPHY, {}) as order:
        await asyncio.gather(*(checkout(order, spans, f"o{number}") for number in range(8)))
    names = {span.context.span_id: span.name for span in spans.all}
    joined = spans.named("transaction")
    assert joined
    assert all(span.parent is not None and names[span.parent.span_id] in COMMANDS for span in joined)
    assert not any(span.links for span in joined)
