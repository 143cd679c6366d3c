"""Errors as problem details (RFC 9457): one shape for every failure.

Guarantee: `type` and `code` are stable, `detail` names the field or header and what would be valid, and no
answer repeats what the client sent: it could be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response

from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.telemetry import request_id

PROBLEM_JSON: Final = "application/problem+json"


class JsonResponse(Response):
    """A response encoded by msgspec, which also encodes dataclasses, UUIDs and datetimes."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode the content as JSON; text becomes a JSON string."""
        return msgspec.json.encode(content)


def details(status: int, code: str, detail: str, **members: Any) -> dict[str, Any]:
    """The object that describes a problem (RFC 9457), with these members besides."""
    return {
        "type": f"urn:quartet:problem:{code.replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **members,
    }


class Problem(Exception):
    """An error that is answered with problem details; `extra` becomes further members of the object."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code, self.detail = status, code, detail
        self.headers, self.extra = dict(headers or {}), extra

    def response(self) -> Response:
        """The problem as an HTTP response, which names the request."""
        request = {"request_id": current} if (current := request_id.get()) else {}
        body = details(self.status, self.code, self.detail, **request, **self.extra)
        return JsonResponse(body, self.status, headers=self.headers, media_type=PROBLEM_JSON)


class Invalid(Problem):
    """422: one field, parameter or header is not valid."""

    def __init__(self, field: str, message: str, code: str = "validation") -> None:
        super().__init__(422, code, f"{field}: {message}", errors=[{"field": field, "message": message}])


class NotFound(Problem):
    """404; also the answer about what belongs to somebody else."""

    def __init__(self, detail: str = "There is nothing here for you.") -> None:
        super().__init__(404, "not_found", detail)


class Conflict(Problem):
    """409; `code` names the rule that stands in the way."""

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(409, code, detail, **extra)


class Unavailable(Problem):
    """503: the client may repeat the same request after `retry_after` seconds."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(503, "unavailable", detail, headers={"Retry-After": str(retry_after)})


def is_outage(error: BaseException) -> bool:
    """Whether the error says that a store or a neighbour cannot be reached right now, rather than a bug.

    `sagakit.postgres.connection.translated` has turned the database's errors into those of the ports by then.
    """
    return isinstance(error, StoreUnavailable | ConnectionError | TimeoutError)


def from_exception(error: Exception) -> Problem:
    """The problem that answers an unhandled `error`."""
    if isinstance(error, RowsLocked):
        return Unavailable("Another change to the same rows is under way. Repeat the same request.")
    if is_outage(error):
        return Unavailable("The service cannot reach its store. Repeat the same request.")
    return Problem(500, "internal", "The service failed; this is a defect. Quote the request id.")
