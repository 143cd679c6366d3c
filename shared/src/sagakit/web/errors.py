"""The exception handlers of an application: how a request that is not valid is answered.

Guarantee: a problem says which field or header is wrong and what would be valid, and repeats nothing that the client
sent except names of fields. A caller who may not use the route gets 401 or 403 first, and learns nothing else.
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
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "validation",
    431: "header_too_large",
    503: "unavailable",
}
_DETAILS: Final = {400: "The body cannot be read.", 404: "There is nothing at this path."}
_ABOUT_REQUESTS: Final = frozenset({400, 413, 415, 422})
# Types of pydantic's errors whose messages quote no input
_QUOTE_NOTHING: Final = (
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


class DuplicateKey(HTTPException):
    """422: a key is duplicated in an object of the body; `field` is its dotted path."""

    def __init__(self, field: str) -> None:
        super().__init__(422)
        self.field = field


async def on_problem(request: Request, error: Exception) -> Response:
    """Handle a `Problem`."""
    assert isinstance(error, Problem)
    return await _answer(request, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Handle the framework's own errors: unknown path, wrong method, unreadable body."""
    assert isinstance(error, HTTPException)
    status, headers = error.status_code, dict(error.headers or {})
    detail = _DETAILS.get(status, error.detail)
    if status == 405:
        headers["Allow"] = ", ".join(_methods(request))
        detail = f"Allowed here: {headers['Allow']}."
    if isinstance(error, DuplicateKey):
        return await _answer(request, Invalid(error.field, "stands twice in its object"))
    return await _answer(request, Problem(status, _CODES.get(status, "http_error"), detail, headers=headers))


async def on_invalid(request: Request, error: Exception) -> Response:
    """Handle validation errors: 400 for malformed JSON, 415 for another media type, else 422."""
    assert isinstance(error, RequestValidationError)
    return await _answer(request, _problem_of(request, error))


async def _answer(request: Request, problem: Problem) -> Response:
    """Answer with the problem, or with 401 or 403 if the caller may not use the route."""
    refused = await refusal(request) if problem.status in _ABOUT_REQUESTS else None
    return (refused or problem).response()


def _problem_of(request: Request, error: RequestValidationError) -> Problem:
    failures = error.errors()
    if any(each["type"] == "json_invalid" for each in failures):
        return Problem(400, "malformed_json", "The body is not valid JSON.")
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if has_body and any(each["loc"] == ("body",) for each in failures) and not is_json(request.headers):
        return Problem(415, "unsupported_media_type", "Send the body as application/json.")
    errors = [{"field": _dotted(each["loc"]), "message": _sentence(each)} for each in failures[:_MAX_ERRORS]]
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    detail = f"{errors[0]['field']}: {errors[0]['message']}{more}"
    return Problem(422, "validation", detail, errors=errors)


def _methods(request: Request) -> list[str]:
    """The methods that the routes at the request's path allow; HEAD wherever GET is."""
    methods: set[str] = set()
    for _, route in routes_at(request.scope):
        methods |= route.methods or set()
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def is_json(headers: Headers) -> bool:
    """Whether the headers declare a JSON body."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _dotted(loc: Sequence[int | str]) -> str:
    inner = loc[1:] if loc and loc[0] in ("body", "query", "path", "header", "cookie") else loc
    return ".".join(field_name(str(part)) for part in inner) or "body"


def _sentence(error: Mapping[str, Any]) -> str:
    if not error["type"].startswith(_QUOTE_NOTHING):
        return "Input is not valid"
    return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
