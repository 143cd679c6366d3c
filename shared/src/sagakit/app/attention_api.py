"""`/attention` over HTTP, for operators."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import Response

from sagakit.app.attention import Attention, CallAnswered, NoSuchEnding, Place
from sagakit.app.documents import (
    ANSWERED,
    NOT_RESOLVABLE,
    AttentionItem,
    AttentionPage,
    Dismissed,
    Resolved,
    Retried,
)
from sagakit.web.app import (
    DEFAULT_LIMIT,
    PRINTABLE,
    VISIBLE,
    Admin,
    Conflict,
    Cursor,
    Invalid,
    JsonResponse,
    Limit,
    NotFound,
    Problem,
    decode_cursor,
    decode_instant,
    encode_cursor,
    iso,
    page,
)
from sagakit.web.documents import FORBIDDEN, described

DismissedOnly = Annotated[bool, Query(description="what was dismissed, the latest first, instead of what is open")]


def routes(attention: Attention) -> APIRouter:
    """The list, `retry`, `dismiss` and `resolve`; ids may contain slashes."""
    handlers = _Handlers(attention)
    router = APIRouter()
    for verb, path, handler, name, answer, problems in (
        ("GET", "", handlers.listing, "list_attention", AttentionPage, ()),
        ("POST", "/{item_id:path}/retry", handlers.retry, "retry_attention", Retried, ()),
        ("POST", "/{item_id:path}/dismiss", handlers.dismiss, "dismiss_attention", Dismissed, ()),
        (
            "POST",
            "/{item_id:path}/resolve",
            handlers.resolve,
            "resolve_attention",
            Resolved,
            (NOT_RESOLVABLE, ANSWERED),
        ),
    ):
        about = described(name, {200: answer}, FORBIDDEN, *problems, tag="operations")
        router.add_api_route(f"/attention{path}", handler, methods=[verb], **about)
    return router


class DismissalIn(BaseModel):
    """Why an item needs no attention any longer."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), VISIBLE]


class ResolutionIn(DismissalIn):
    """The outcome of a call to a provider that gets no answer, and how you know it."""

    outcome: Annotated[str, StringConstraints(min_length=1, max_length=32), PRINTABLE]


@dataclass(frozen=True, slots=True)
class _Handlers:
    """The docstrings are shown to clients, in the API's own documentation."""

    attention: Attention

    async def listing(
        self, caller: Admin, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT, dismissed: DismissedOnly = False
    ) -> Response:
        """What needs a human, newest first; with `dismissed=true` what was dismissed.

        Dead letters, calls without an answer, messages that cannot be published, orders that do not settle, and tasks
        of this process that fail.
        """
        key = decode_cursor(cursor, str, str, str)
        after = Place(decode_instant(key[0]), key[1], key[2]) if key else None
        rows = await self.attention.page(after, limit + 1, dismissed=dismissed)
        last = rows[limit - 1] if len(rows) > limit else None
        time = "at" if dismissed else "since"
        following = encode_cursor(getattr(last, time).isoformat(), last.kind, last.id) if last else None
        return JsonResponse(page([_item(row, dismissed) for row in rows[:limit]], following))

    async def retry(self, item_id: str, caller: Admin) -> Response:
        """Try again now, and say what came of it: `retried` is false when it failed again, and `detail` says why.

        Always 200 when there was something to try; 404 if there is nothing of that id. Repeating it is harmless.
        """  # noqa: DOC501
        pushed = await self.attention.push(item_id, caller.subject) if item_id.isprintable() else None
        if pushed is None:
            raise NotFound("Nothing of that id needs attention.")
        if pushed.done:
            return JsonResponse({"id": item_id, "retried": True, "outcome": pushed.detail})
        return JsonResponse({"id": item_id, "retried": False, "outcome": "failed", "detail": pushed.detail})

    async def dismiss(self, item_id: str, dismissal: DismissalIn, caller: Admin) -> Response:
        """Dismiss an item with a reason, until it changes or comes again. Repeating it changes nothing.

        The reason and who gave it are kept, in the database and in the log.
        """  # noqa: DOC501
        reason, by = dismissal.reason, caller.subject
        row = await self.attention.dismiss(item_id, reason, by) if item_id.isprintable() else None
        if row is None:
            raise NotFound("Nothing of that id needs attention.")
        return JsonResponse({"dismissed": True, **_item(row, dismissed=True)})

    async def resolve(self, item_id: str, resolution: ResolutionIn, caller: Admin) -> Response:
        """End a call to a provider that gets no answer: `outcome` counts as the provider's. Repeating it is harmless.

        Only an outcome that can be made good is accepted: an authorization as `declined`, a booking as `refused`. The
        provider is still called under the same key; if it has done it after all, it is undone there.
        """  # noqa: DOC501
        outcome, reason, by = resolution.outcome, resolution.reason, caller.subject
        try:
            row = await self.attention.resolve(item_id, outcome, reason, by) if item_id.isprintable() else None
        except NoSuchEnding as error:
            raise _not_resolvable(error) from None
        except CallAnswered:
            raise Conflict("answered", "The call has been answered in the meantime.") from None
        if row is None:
            raise NotFound("No call of that id is without an answer.")
        return JsonResponse({"resolved": True, "outcome": outcome, **_item(row, dismissed=True)})


def _not_resolvable(error: NoSuchEnding) -> Problem:
    if error.valid:
        return Invalid("outcome", f"must be one of: {', '.join(error.valid)}")
    detail = f"Only the provider can end a {error.operation}; retry it, or dismiss it with a reason."
    return Conflict("not_resolvable", detail)


def _item(row: Any, dismissed: bool) -> AttentionItem:
    item: AttentionItem = {"id": row.id, "kind": row.kind, "since": iso(row.since), "detail": row.detail}
    if dismissed:
        item |= {"reason": row.reason, "dismissed_by": row.dismissed_by, "dismissed_at": iso(row.at)}
    return item
