"""The document of a service's HTTP interface: FastAPI's, completed with what FastAPI cannot know.

Guarantee: each operation lists the codes of all problems that its handler, its parameters and the middleware can
answer. What a connection can be refused with before an operation is chosen is in the document's description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from sagakit.web import documents
from sagakit.web.documents import EXAMPLE_KEY, KEY_HEADER, PROBLEMS, Code
from sagakit.web.problems import PROBLEM_JSON, details

DESCRIPTION: Final = """\
Errors are problem details (RFC 9457) with a stable `type` and `code`; each operation lists its codes.

Before an operation is chosen, a connection may be answered with 400 (not HTTP/1.1), 405 (a method that the path lacks),
408 or 503 (too slow, too many connections), 431 (a header too large) or 505, with problem details too. HEAD is
answered like GET, without the body. Every answer has an `X-Request-Id`.
"""
_HEADERS: Final = {
    401: ("WWW-Authenticate", "The challenge of RFC 6750"),
    429: ("Retry-After", "Seconds to wait"),
    503: ("Retry-After", "Seconds to wait"),
}
EVENT_STREAM: Final = "text/event-stream"
_AUTOMATIC: Final = ("HTTPValidationError", "ValidationError")  # FastAPI's own, which nothing answers here
_KEY_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": 255}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    whole = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    components = whole.setdefault("components", {})
    schemas, shared = components.setdefault("schemas", {}), components.setdefault("responses", {})
    for name in _AUTOMATIC:
        schemas.pop(name, None)
    for operation in _operations(whole):
        declared = operation.pop(PROBLEMS, {"codes": [], "examples": {}})
        for parameter in operation.get("parameters", ()):
            _complete(parameter, declared["examples"])
        responses = operation["responses"]
        if "HTTPValidationError" in str(responses.get("422")):
            del responses["422"]
        for response in responses.values():
            _clean(response.get("content", {}))
        declared_codes = (Code(**fields) for fields in declared["codes"])  # encoded by FastAPI
        codes = {code.name: code for code in (*_derived(operation), *declared_codes)}
        _add_problems(operation, sorted(codes.values(), key=lambda code: (code.status, code.name)), schemas, shared)
        operation["responses"] = dict(sorted(responses.items()))
    components |= {"schemas": dict(sorted(schemas.items())), "responses": dict(sorted(shared.items()))}
    return whole


def _operations(whole: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in whole["paths"].values():
        yield from operations.values()


def _clean(content: dict[str, Any]) -> None:
    """Drop what FastAPI says of a body without a model; the model of a stream is that of its events' data."""
    of_json = content.get("application/json", {"schema": {}})
    if of_json == {"schema": {}}:
        content.pop("application/json", None)
    elif EVENT_STREAM in content:
        content[EVENT_STREAM]["x-event-data"] = content.pop("application/json")["schema"]


def _complete(parameter: dict[str, Any], examples: Mapping[str, str]) -> None:
    """State what is required, and what an absent parameter cannot be: null."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
    for kind in kinds:
        schema |= kind
    if parameter["name"] == KEY_HEADER:
        parameter["required"], parameter["example"] = True, EXAMPLE_KEY
        parameter["schema"] = schema | _KEY_SCHEMA
    if parameter["name"] in examples:
        parameter["example"] = examples[parameter["name"]]


def _derived(operation: Mapping[str, Any]) -> Iterator[Code]:
    """The codes that follow from the operation's parameters, body and security."""
    yield documents.INTERNAL
    parameters = operation.get("parameters", ())
    if operation.get("security"):
        yield documents.UNAUTHENTICATED
    if "requestBody" in operation:
        yield documents.BAD_REQUEST
        yield documents.MALFORMED_JSON
        yield documents.BODY_TOO_LARGE
        yield documents.UNSUPPORTED_MEDIA_TYPE
        yield documents.VALIDATION
    if any(parameter["name"] == KEY_HEADER for parameter in parameters):
        yield documents.KEY_MISSING
        yield documents.KEY_INVALID
    if any(parameter["in"] in ("path", "query") for parameter in parameters):
        yield documents.NOT_FOUND  # also the answer to a NUL in the path or the query
    if any(parameter["in"] == "query" or "maxLength" in parameter["schema"] for parameter in parameters):
        yield documents.VALIDATION


def _add_problems(
    operation: dict[str, Any], codes: Sequence[Code], schemas: dict[str, Any], shared: dict[str, Any]
) -> None:
    for status, group in groupby(codes, key=lambda code: code.status):
        same = list(group)
        names = "_or_".join(code.name for code in same) if len(same) < 3 else f"{operation['operationId']}_{status}"
        name = "".join(part.capitalize() for part in names.split("_")) + "Problem"
        schemas[name] = _schema(status, same)
        response = _problem_response(status, same, name)
        shared[name] = response
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/{name}"}


def _problem_response(status: int, codes: Sequence[Code], name: str) -> dict[str, Any]:
    first = codes[0]
    example = details(status, first.name, first.meaning)
    response: dict[str, Any] = {
        "description": "; ".join(f"`{code.name}`: {code.meaning}" for code in codes),
        "content": {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": example}},
    }
    if status in _HEADERS:
        header, text = _HEADERS[status]
        response["headers"] = {header: {"description": text, "required": True, "schema": {"type": "string"}}}
    return response


def _schema(status: int, codes: Sequence[Code]) -> dict[str, Any]:
    members = {name: schema for code in codes for name, schema in code.members.items()}
    text: dict[str, Any] = {"type": "string"}
    error = {"type": "object", "required": ["field", "message"], "properties": {"field": text, "message": text}}
    return {
        "type": "object",
        "description": "Problem details (RFC 9457)",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer", "const": status},
            "code": {"type": "string", "enum": [code.name for code in codes]},
            "detail": text,
            "request_id": text,
            **({"errors": {"type": "array", "items": error}} if status == 422 else {}),
            **members,
        },
    }
