"""What the document of an HTTP interface (`/openapi.json`) says about an operation: its name, answers and problems.

Models of answers are `TypedDict`s: the same types that handlers return, so that a type checker compares the two.
Nothing here runs when a request is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

PROBLEMS: Final = "x-problems"
"""The key under which an operation keeps its codes until `sagakit.web.openapi` turns them into responses."""


Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A time as answers show it: RFC 3339, in UTC."""


@dataclass(frozen=True)
class Code:
    """A `code` of problem details.

    Attributes:
        name: The code itself.
        status: The status of the answer.
        meaning: What it means, in a sentence for clients.
        members: JSON schemas of the members that such a problem may have besides the usual ones, by name.
    """

    name: str
    status: int
    meaning: str
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


BAD_REQUEST: Final = Code("bad_request", 400, "The body cannot be read, such as text that is not UTF-8.")
MALFORMED_JSON: Final = Code("malformed_json", 400, "The body is not valid JSON.")
KEY_MISSING: Final = Code("idempotency_key_missing", 400, "The header Idempotency-Key is missing or empty.")
UNAUTHENTICATED: Final = Code("unauthenticated", 401, "There is no valid token.")
FORBIDDEN: Final = Code("forbidden", 403, "The token is valid, but its role may not do this.")
NOT_FOUND: Final = Code("not_found", 404, "There is nothing here, or nothing that the caller may see.")
BODY_TOO_LARGE: Final = Code("body_too_large", 413, "The body has more than 65536 bytes.")
UNSUPPORTED_MEDIA_TYPE: Final = Code(
    "unsupported_media_type", 415, "The body is not declared as application/json, or has a Content-Encoding."
)
VALIDATION: Final = Code("validation", 422, "A field or parameter is not valid; `errors` names each.")
KEY_INVALID: Final = Code(
    "idempotency_key_invalid", 422, "Idempotency-Key is given twice, has over 255 characters or one not printable."
)
KEY_REUSED: Final = Code("idempotency_key_reused", 422, "The Idempotency-Key was used with another body before.")
TOO_MANY_STREAMS: Final = Code("too_many_streams", 429, "The caller has as many event streams open as allowed.")
INTERNAL: Final = Code("internal", 500, "The service failed, which is a defect; quote `request_id`.")
UNAVAILABLE: Final = Code("unavailable", 503, "The service cannot reach its store; repeat the same request.")

KEY_HEADER: Final = "Idempotency-Key"
EXAMPLE_KEY: Final = "example-1"


def described(
    operation_id: str,
    answers: Mapping[int, Any],
    *problems: Code,
    tag: str,
    examples: Mapping[str, str] | None = None,
    uses_store: bool = True,
) -> dict[str, Any]:
    """The arguments of `add_api_route` that describe an operation.

    `answers` holds the model of the body per status (or a whole response object, or a sentence where there is no body),
    `problems` the codes of its own besides those that follow from its parameters, `examples` a value per path
    parameter; an operation that `uses_store` may answer 503.
    """
    codes = [*problems, *([UNAVAILABLE] if uses_store else [])]
    return {
        "operation_id": operation_id,
        "summary": operation_id.replace("_", " ").capitalize(),
        "tags": [tag],
        "responses": {status: _response(answer) for status, answer in answers.items()},
        "openapi_extra": {PROBLEMS: {"codes": codes, "examples": dict(examples or {})}},
    }


def _response(answer: Any) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"description": answer}
    if isinstance(answer, dict):
        return answer
    return {"model": answer, "description": (answer.__doc__ or "").partition("\n")[0]}


class _Process(TypedDict):
    service: str
    mode: str
    pid: int


class Live(_Process):
    """The process runs."""

    status: Literal["live"]


class _Health(_Process):
    role: NotRequired[str]
    domain: NotRequired[str]
    database: NotRequired[bool]
    coordination: NotRequired[bool]
    away: NotRequired[dict[str, str]]
    ailing: NotRequired[dict[str, str]]
    fault_injection: NotRequired[bool]


class Ready(_Health):
    """The service takes work; `away` names the dependencies that are missing, without which it is degraded."""

    status: Literal["ready", "degraded"]
    ready: Literal[True]


class NotReady(_Health):
    """The service takes no work; `reason` says why."""

    status: Literal["not ready"]
    ready: Literal[False]
    reason: str


METRICS: Final[dict[str, Any]] = {
    "description": "All metrics of this process",
    "content": {
        "text/plain": {"schema": {"type": "string"}},
        "application/openmetrics-text": {"schema": {"type": "string"}},
    },
}
