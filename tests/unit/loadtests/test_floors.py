"""The floors replay what a running stack says that it has published."""

from collections import Counter
from itertools import islice

import httpx
import pytest

from loadtests.bench.floors.shape import Kind, NothingRecorded, apart, body, deliveries, recorded, stream
from quartet_stack.settings import SERVICES
from sagakit.modes.sns_sqs.topology import plan

URLS = {f"{name.upper()}_URL": f"http://{name}" for name in SERVICES}
PUBLISHED = {
    "order": {"OrderPlaced": (200, 180_000), "OrderConfirmed": (200, 100_000)},
    "inventory": {"StockReserved": (200, 150_000), "StockCommitted": (201, 60_000)},
    "payment": {},
    "shipping": {"ShipmentBooked": (100, 50_000)},
}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(url: str, **_: object) -> httpx.Response:
        service = url.removeprefix("http://").removesuffix("/metrics")
        lines = []
        for name, (number, size) in PUBLISHED[service].items():
            lines.append(f'saga_outbox_published_total{{name="{name}"}} {number}')
            lines.append(f'saga_outbox_published_bytes_total{{name="{name}"}} {size}')
        return httpx.Response(200, text="\n".join(lines), request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)


@pytest.mark.usefixtures("services")
def test_the_messages_of_an_order_are_those_that_the_services_published() -> None:
    _, kinds = recorded({**URLS, "COORDINATION_MODE": "sns-sqs"}, "sns_sqs")
    assert {kind.type: (kind.channel, kind.each, kind.size, kind.consumers) for kind in kinds} == {
        "OrderPlaced": ("choreography.order.events", 1.0, 900, 1),
        "OrderConfirmed": ("choreography.order.events", 1.0, 500, 3),
        "StockReserved": ("choreography.inventory.events", 1.0, 750, 1),
        "StockCommitted": ("choreography.inventory.events", 1.005, 299, 1),
        "ShipmentBooked": ("choreography.shipping.events", 0.5, 500, 1),
    }
    assert deliveries(kinds) == pytest.approx(6.505)


@pytest.mark.usefixtures("services")
def test_another_mode_or_too_few_orders_are_told() -> None:
    with pytest.raises(NothingRecorded, match="kafka-choreography"):
        recorded({**URLS, "COORDINATION_MODE": "kafka"}, "sns_sqs")


def test_a_stream_keeps_the_proportions() -> None:
    one, half = Kind("one", "a.b.events", 1.0, 10, 1), Kind("half", "a.b.events", 0.5, 10, 1)
    assert Counter(kind.type for kind in islice(stream([one, half]), 300)) == {"one": 200, "half": 100}


@pytest.mark.parametrize("size", [10, 339, 5000])
def test_a_body_is_as_long_as_the_messages_were(size: int) -> None:
    assert len(body(Kind("any", "a.b.events", 1.0, size, 1))) == size


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize("mode", ["sns-sqs-choreography", "sns-sqs-orchestration"])
def test_the_wiring_is_the_same_under_names_of_its_own(mode: str) -> None:
    topology, _ = recorded({**URLS, "COORDINATION_MODE": mode}, "sns_sqs")
    real, floor = plan(topology), plan(apart(topology))
    assert [queue.name.replace("floor-", "") for queue in floor.queues] == [queue.name for queue in real.queues]
    assert not {queue.name for queue in floor.queues} & {queue.name for queue in real.queues}
    assert not floor.topics & real.topics
