"""What a request is told when it was not understood: the exception handlers of an application.

Guarantee: a problem says which field or header is wrong and what would be valid, and repeats nothing that the client
sent but names of fields. Who may not use a route learns that first, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sagakit.web.auth import refusal
from sagakit.web.bodies import field_name
from sagakit.web.problems import Invalid, Problem
from sagakit.web.routes import routes_at

_MAX_ERRORS: Final = 20
_CODES: Final = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "validation",
    429: "too_many_requests",
    431: "header_too_large",
    503: "unavailable",
}
_DETAILS: Final = {400: "The body cannot be read.", 404: "There is nothing at this path."}
_ABOUT_REQUESTS: Final = frozenset({400, 413, 415, 422})
# Kinds of pydantic's errors whose message is made of our own bounds and words; others may quote what they refuse
_OWN_WORDS: Final = (
    "missing",
    "extra_forbidden",
    "string_",
    "int_",
    "float_",
    "bool_",
    "list_type",
    "dict_type",
    "model_",
    "too_",
    "greater_than",
    "less_than",
    "finite_number",
    "literal_error",
    "value_error",
)


class KeyTwice(HTTPException):
    """A body in which a key stands twice in an object; `field` is its dotted path."""

    def __init__(self, field: str) -> None:
        super().__init__(422)
        self.field = field


async def on_problem(request: Request, error: Exception) -> Response:
    """Exception handler of `Problem`."""
    assert isinstance(error, Problem)
    return await _answer(request, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler of the framework's own errors: unknown path, wrong method, unreadable body."""
    assert isinstance(error, HTTPException)
    status, headers = error.status_code, dict(error.headers or {})
    detail = _DETAILS.get(status, error.detail)
    if status == 405:
        headers["Allow"] = ", ".join(_methods(request))
        detail = f"Allowed here: {headers['Allow']}."
    if isinstance(error, KeyTwice):
        return await _answer(request, Invalid(error.field, "stands twice in its object"))
    return await _answer(request, Problem(status, _CODES.get(status, "http_error"), detail, headers=headers))


async def on_invalid(request: Request, error: Exception) -> Response:
    """Exception handler of validation errors: 400 for malformed JSON, 415 for another format, else 422."""
    assert isinstance(error, RequestValidationError)
    return await _answer(request, _problem_of(request, error))


async def _answer(request: Request, problem: Problem) -> Response:
    """Who may not use the route is told that first, and learns nothing of what else is wrong with a request."""
    refused = await refusal(request) if problem.status in _ABOUT_REQUESTS else None
    return (refused or problem).response()


def _problem_of(request: Request, error: RequestValidationError) -> Problem:
    raised = error.errors()
    if any(one["type"] == "json_invalid" for one in raised):
        return Problem(400, "malformed_json", "The body is not valid JSON.")
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if has_body and any(one["loc"] == ("body",) for one in raised) and not is_json(request.headers):
        return Problem(415, "unsupported_media_type", "Send the body as application/json.")
    errors = [{"field": _dotted(one["loc"]), "message": _sentence(one)} for one in raised[:_MAX_ERRORS]]
    more = f" (and {len(raised) - 1} more)" if len(raised) > 1 else ""
    detail = f"{errors[0]['field']}: {errors[0]['message']}{more}"
    return Problem(422, "validation", detail, errors=errors)


def _methods(request: Request) -> list[str]:
    """What may be done at the path of the request, over all its routes; HEAD wherever GET is."""
    found: set[str] = set()
    for _, route in routes_at(request.scope):
        found |= route.methods or set()
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def is_json(headers: Headers) -> bool:
    """Whether a request with these headers says that its body is JSON."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _dotted(loc: Sequence[int | str]) -> str:
    inner = loc[1:] if loc and loc[0] in ("body", "query", "path", "header", "cookie") else loc
    return ".".join(field_name(str(part)) for part in inner) or "body"


def _sentence(one: Mapping[str, Any]) -> str:
    if not one["type"].startswith(_OWN_WORDS):
        return "Input is not valid"
    return str(one["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
