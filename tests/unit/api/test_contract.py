"""Every answer is documented: schemathesis tries each operation with all its checks, as nobody, customer and operator.

`schemathesis.toml` has the settings, and the statuses that are expected besides the usual ones, with reasons.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from quartet_stack.layout import REPOSITORY
from tests.contracts.http_documents import NAMES, SANDBOX, document
from tests.keys import PAYMENT_KEY, SHIPPING_KEY
from tests.unit.api.listening import a_service, listening, the_sandbox
from tests.unit.api.served import ADMIN, headers

CALLERS: Mapping[str, Mapping[str, str]] = {
    "nobody": {},
    "customer": headers(),
    "operator": ADMIN,
    "payment": {"Authorization": f"Bearer {PAYMENT_KEY}"},
    "shipping": {"Authorization": f"Bearer {SHIPPING_KEY}"},
}
# Hypothesis takes it for the strategies' own use when the service, in its thread, draws a random number
pytestmark = pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
)
OF_THE_WIRE = frozenset({"content-length", "expect", "host", "transfer-encoding", "upgrade"})
"""Headers of HTTP itself: what is wrong with them is refused before any operation (test_wire_requests.py)."""
BY_SERVICE = [(name, caller) for name in NAMES for caller in ("nobody", "customer", "operator")]
BY_KEY = [(SANDBOX, "payment"), (SANDBOX, "shipping")]


@pytest.fixture(scope="module")
def addresses(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The address of a service that listens while the module's tests run."""
    with ExitStack() as stack:
        known: dict[str, str] = {}

        def address(name: str) -> str:
            if name not in known:
                folder: Path = tmp_path_factory.mktemp(name)
                url = "" if name == SANDBOX else postgres_server.database(name)
                opened = (lambda: the_sandbox(folder)) if name == SANDBOX else (lambda: a_service(name, url))
                known[name] = stack.enter_context(listening(opened))
            return known[name]

        yield address


def strict(whole: Any) -> Any:
    """The document with models of answers that allow no other fields, and nothing at all where there is no model."""
    for content in _contents(whole):
        if not content:
            content["application/json"] = {}
        for media in content.values():
            media["schema"] = media.get("schema") or {"not": {}}
    schemas = whole["components"]["schemas"]
    requested = {name for name in schemas if any(f"/{name}'" in body for body in _bodies(whole))}
    for name, schema in schemas.items():
        if "properties" in schema and name not in requested and not name.endswith("Problem"):
            schema["additionalProperties"] = False
    return whole


def _contents(whole: Any) -> Iterator[Any]:
    """The content of each answer but 204, which has no body: media types with their schemas."""
    yield from (response["content"] for response in whole["components"].get("responses", {}).values())
    for operations in whole["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if "$ref" not in response and status != "204":
                    yield response.setdefault("content", {})


def _bodies(whole: Any) -> Iterator[str]:
    """The bodies of requests, with the schemas that they refer to, as text."""
    for operations in whole["paths"].values():
        for operation in operations.values():
            text = str(operation.get("requestBody", ""))
            for _ in range(3):
                text += "".join(
                    str(schema) for name, schema in whole["components"]["schemas"].items() if f"/{name}'" in text
                )
            yield text


def failures(
    address: str,
    caller: Mapping[str, str],
    change: Callable[[Any], Any] = strict,
    operation: str | None = None,
) -> list[str]:
    """What schemathesis has against the interface at the address."""
    config = SchemathesisConfig.from_path(REPOSITORY / "schemathesis.toml")
    whole = httpx.get(f"{address}/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(change(whole), config=config)
    if operation is not None:
        schema = schema.include(operation_id=operation)
    schema.config.update(headers=dict(caller), base_url=address)

    @schema.hook("map_headers")
    def of_the_operation(_context: Any, given: Mapping[str, str] | None) -> dict[str, str]:
        return {name: value for name, value in (given or {}).items() if name.lower() not in OF_THE_WIRE}

    found: dict[str, str] = {}
    tried = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            info = getattr(event, "info", event)
            found[str(type(info))] = f"{getattr(info, '_error', info)!r}"
        if isinstance(event, events.ScenarioFinished):
            tried += len(event.recorder.cases)
            for checks in event.recorder.checks.values():
                for check in checks:
                    if check.failure_info is not None:
                        failure = check.failure_info.failure
                        title = f"{event.phase.name} {failure.operation} {failure.title}"
                        text = f"{title}\n{failure.message}\n{check.failure_info.code_sample}"
                        found.setdefault(title, text)
    assert tried > 5
    return list(found.values())


@pytest.mark.parametrize(("name", "caller"), [*BY_SERVICE, *BY_KEY])
def test_every_answer_is_documented(addresses: Callable[[str], str], name: str, caller: str) -> None:
    wrong = failures(addresses(name), CALLERS[caller])
    assert not wrong, "\n\n".join(wrong)


def _without_200(whole: Any) -> Any:
    del whole["paths"]["/orders/{order_id}"]["get"]["responses"]["200"]
    return whole


def _without_model(whole: Any) -> Any:
    """What the document says of a route that has no response model."""
    whole["paths"]["/orders/{order_id}"]["get"]["responses"]["200"]["content"] = {}
    return strict(whole)


def _without_field(whole: Any) -> Any:
    del whole["components"]["schemas"]["Order"]["properties"]["settled"]
    whole["components"]["schemas"]["Order"]["required"].remove("settled")
    return strict(whole)


def _with_another_field(whole: Any) -> Any:
    whole["components"]["schemas"]["Order"]["required"].append("gift")
    return whole


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (_without_200, "Undocumented status code"),
        (_without_model, "Response violates schema"),
        (_without_field, "Response violates schema"),
        (_with_another_field, "Response violates schema"),
    ],
)
def test_an_undocumented_status_and_field_are_found(
    addresses: Callable[[str], str], change: Callable[[Any], Any], title: str
) -> None:
    wrong = failures(addresses("order"), CALLERS["customer"], change, "get_order")
    assert any(title in failure for failure in wrong), wrong


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_with_a_body_has_a_model(name: str) -> None:
    whole = document(name)
    missing = []
    for path, operations in whole["paths"].items():
        for verb, operation in operations.items():
            for status, response in operation["responses"].items():
                if "$ref" in response:
                    response = whole["components"]["responses"][response["$ref"].rpartition("/")[2]]
                contents = response.get("content", {})
                if (not contents and status not in ("204", "304")) or any(
                    not content["schema"] for content in contents.values()
                ):
                    missing.append(f"{verb} {path} {status}")
    assert missing == []
