"""A client that openapi-python-client makes from the committed document does what a client has to do."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.http_documents import FOLDER
from tests.postgres import Server
from tests.unit.api.listening import a_service, listening
from tests.unit.api.served import headers, order_body

PACKAGE = "quartet_order_client"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The generated package, importable under the returned name."""
    scripts = Path(sys.executable).parent
    subprocess.run(
        [
            str(scripts / "openapi-python-client"),
            *("generate", "--meta", "none", "--fail-on-warning"),
            *("--path", str(FOLDER / "order.openapi.json"), "--output-path", str(tmp_path / PACKAGE)),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"},
        timeout=60,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield PACKAGE
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def events(client: Any, order_id: str) -> Iterator[dict[str, Any]]:
    """Follow an order over the generated client's own HTTP client: each transition, until the stream ends."""
    with client.get_httpx_client().stream("GET", f"/orders/{order_id}/events", timeout=30) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_the_generated_client_orders_reads_is_refused_and_follows(package: str, postgres: Server) -> None:
    models, orders = import_module(f"{package}.models"), f"{package}.api.orders"
    place, get, cancel = (import_module(f"{orders}.{name}") for name in ("place_order", "get_order", "cancel_order"))
    url = postgres.database("order")
    with listening(lambda: a_service("order", url)) as address:
        token = headers()["Authorization"].removeprefix("Bearer ")
        with import_module(package).AuthenticatedClient(base_url=address, token=token) as client:
            body = models.OrderIn.from_dict(order_body())
            placed = place.sync_detailed(client=client, body=body, idempotency_key="c1")
            assert placed.status_code == 202
            assert placed.headers["location"] == f"/orders/{placed.parsed.order_id}"
            read = get.sync(placed.parsed.order_id, client=client)
            assert isinstance(read, models.Order)
            assert (read.status, read.total.amount) == (models.OrderStatus.PENDING, 2400)
            assert read.created_at.tzinfo is not None

            unknown = models.OrderIn.from_dict(order_body(sku="no-such-sku"))
            refused = place.sync(client=client, body=unknown, idempotency_key="c2")
            assert isinstance(refused, models.PlaceOrder422Problem)
            assert refused.code == models.PlaceOrder422ProblemCode.VALIDATION
            assert refused.errors[0].field == "lines.0.sku"
            assert isinstance(get.sync("none", client=client), models.NotFoundProblem)

            following = events(client, read.order_id)
            assert next(following)["event"] == "OrderPlaced"
            cancelled = cancel.sync(read.order_id, client=client)
            assert cancelled.cancellation_reason == "CUSTOMER_REQUESTED"
            assert next(following)["event"] == "OrderCancelled"
            following.close()
