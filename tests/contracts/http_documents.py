"""`python -m tests.contracts.http_documents` writes `docs/api/<service>.openapi.json` and the promises they make.

The document of each service is made from its application, which opens nothing for that. A promise is a line such as
`order POST /orders 202 .settled`: an operation, a status, a field of an answer, a value of an enumeration, or a field
that a request may leave out. Clients rely on them: the command refuses to drop one that CHANGELOG.md does not name.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from provider_sandbox.ledger import Ledger
from provider_sandbox.main import build
from quartet_stack.layout import REPOSITORY
from quartet_stack.settings import SERVICES
from sagakit.settings import Settings
from sagakit.web.app import create_app
from sagakit.web.problems import PROBLEM_JSON
from tests.contracts.promises import CHANGELOG, REFUSAL, unnamed
from tests.keys import PAYMENT_KEY, PUBLIC_KEY, SHIPPING_KEY
from tests.postgres import definition
from tests.service_process import assembled

FOLDER: Final = REPOSITORY / "docs" / "api"
PROMISES: Final = Path(__file__).parent / "golden" / "http.txt"
SANDBOX: Final = "sandbox"
NAMES: Final = (*SERVICES, SANDBOX)


def document(name: str, *, fault_injection: bool = True) -> dict[str, Any]:
    """The OpenAPI document of a service or the sandbox, as it answers `/openapi.json`."""
    keys = {"provider_key_payment": PAYMENT_KEY, "provider_key_shipping": SHIPPING_KEY}
    settings = Settings(
        token_public_keys=PUBLIC_KEY,
        service=name,
        coordination_mode="kafka",
        fault_injection=fault_injection,
        database_url="postgresql+asyncpg://nobody@127.0.0.1:1/none",
        **(keys if name == SANDBOX else {}),
    )
    if name == SANDBOX:
        app, _ = build(settings, Ledger(Path("none")))
    else:
        context = assembled(settings)
        app = create_app(name, settings, _never, metrics=context.metrics)
        app.include_router(definition(name).router(context))
    made: dict[str, Any] = json.loads(json.dumps(app.openapi()))
    return made


async def _never() -> Mapping[str, Any]:
    raise AssertionError("nothing is served")


def text_of(whole: Mapping[str, Any]) -> str:
    """The document as its file has it."""
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def promises(name: str, whole: Mapping[str, Any]) -> Iterator[str]:
    """What clients may rely on, a line each."""
    for path, operations in whole["paths"].items():
        for verb, operation in operations.items():
            start = f"{name} {verb.upper()} {path}"
            yield f"{start} {operation['operationId']}"
            for parameter in operation.get("parameters", ()):
                where = f"{start} {parameter['in']} {parameter['name']}"
                yield where if parameter.get("required") else f"{where} optional"
                yield from _values(where, parameter["schema"])
            for media in operation.get("requestBody", {}).get("content", {}).values():
                yield from _fields(f"{start} body", "", media["schema"], whole, ())
            for status, response in operation["responses"].items():
                yield f"{start} {status}"
                if (reference := response.get("$ref")) is not None:
                    response = whole["components"]["responses"][reference.rpartition("/")[2]]
                for media, content in response.get("content", {}).items():
                    yield f"{start} {status} {media}"
                    if media == PROBLEM_JSON:
                        yield from _codes(f"{start} {status}", content["schema"], whole)
                        continue
                    yield from _fields(f"{start} {status}", "", content["schema"], whole, ())


def _fields(
    start: str, at: str, schema: Mapping[str, Any], whole: Mapping[str, Any], inside: tuple[str, ...]
) -> Iterator[str]:
    if (reference := schema.get("$ref")) is not None:
        if reference not in inside:
            name = reference.rpartition("/")[2]
            yield from _fields(start, at, whole["components"]["schemas"][name], whole, (*inside, reference))
        return
    yield from _values(f"{start} {at}", schema)
    for choice in schema.get("anyOf", ()):
        yield from _fields(start, at, choice, whole, inside)
    for part in (schema.get("items"), schema.get("additionalProperties"), *schema.get("prefixItems", ())):
        if isinstance(part, dict):
            yield from _fields(start, f"{at}[]", part, whole, inside)
    for field, inner in schema.get("properties", {}).items():
        is_required = field in schema.get("required", ())
        optional = " optional" if " body" in start and not is_required else ""
        certain = " always" if " body" not in start and is_required else ""
        yield f"{start} {at}.{field}{optional}{certain}"
        yield from _fields(start, f"{at}.{field}", inner, whole, inside)


def _codes(start: str, schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[str]:
    problem = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield from _values(f"{start} .code", problem["properties"]["code"])


def _values(start: str, schema: Mapping[str, Any]) -> Iterator[str]:
    for value in schema.get("enum", ()):
        yield f"{start} = {value}"


def broken(before: set[str], now: set[str], changelog: str) -> list[str]:
    """The promises of `before` that `now` lacks and the changelog does not name, and request fields newly required."""
    operations = {" ".join(line.split(" ")[:3]) for line in before}
    lost = before - now
    demanded = {
        line
        for line in now - before
        if (" body ." in line or " header " in line or " query " in line)
        and not line.endswith(" optional")
        and " = " not in line
        and " ".join(line.split(" ")[:3]) in operations
    }
    return unnamed(lost | demanded, changelog)


def main() -> int:
    """Write the documents and the promises, unless one is broken; the exit status."""
    documents = {name: document(name) for name in NAMES}
    now = {line for name, whole in documents.items() for line in promises(name, whole)}
    before = set(PROMISES.read_text().splitlines()) if PROMISES.exists() else set()
    if wrong := broken(before, now, CHANGELOG.read_text()):
        print(REFUSAL, *wrong, sep="\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for name, whole in documents.items():
        (FOLDER / f"{name}.openapi.json").write_text(text_of(whole))
    PROMISES.write_text("".join(f"{line}\n" for line in sorted(now)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
