"""Sign-in by a one-time code: an operator leaves sealed tokens, and the first caller who shows their code gets them.

Guarantee: a code works once, until it expires. The service cannot issue a token, and between the two requests it cannot
read the tokens either: it keeps a digest of the code, and text that only the code opens.
"""

import json
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response
from typing_extensions import TypedDict

from sagakit.postgres.connection import connected
from sagakit.sealing import CannotOpen
from sagakit.sign_in import CODE_LENGTH, digest_of, unseal
from sagakit.web.app import WHOLE, Admin, JsonResponse, Problem
from sagakit.web.documents import FORBIDDEN, Code, described

FORGET: Final = text("DELETE FROM sign_in_code WHERE expires_at <= clock_timestamp()")
KEEP: Final = text(
    "INSERT INTO sign_in_code (digest, sealed, expires_at) "
    "VALUES (:digest, :sealed, clock_timestamp() + make_interval(secs => :seconds)) ON CONFLICT (digest) DO NOTHING"
)
TAKE: Final = text(
    "DELETE FROM sign_in_code WHERE digest = :digest RETURNING sealed, expires_at > clock_timestamp() AS in_time"
)
EXAMPLE_CODE: Final = "one-time-code-of-an-example-0000"
EXAMPLE_OFFER: Final[dict[str, JsonValue]] = {
    "digest": "57d65197ea6e87315950b23eeb60a1a03a3627afe959805988617d84676b4047",
    "sealed": (
        "sealed:gAAAAABrCBhtQHPpcT6a1JZccnlOLLY-UQGZedBeljBDkCNZi1WQZlVGGWDEFC2dvox_NlMwasTPEFNucLdEbuUuuscaT3T37tw_"
        "nAXTsq5voIRWQwEqIf-0sR2VnNrJuRqdmVlU8deR8ruhVQh_bHidG9MOOiXV2A=="
    ),
}
"""Two texts that are no tokens, sealed with EXAMPLE_CODE."""
CODE_UNKNOWN: Final = Code("sign_in_code_unknown", 404, "The code is unknown, was used, or has expired.")


class CodeOffer(BaseModel):
    """What is kept for a code: its digest, what it opens, and for how many seconds."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, json_schema_extra={"examples": [EXAMPLE_OFFER]})

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    sealed: Annotated[str, Field(pattern="^sealed:[A-Za-z0-9_=-]{1,8192}$")]
    seconds: Annotated[int, Field(ge=1, le=3600), WHOLE] = 900


class CodeIn(BaseModel):
    """The code that somebody shows."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, json_schema_extra={"examples": [{"code": EXAMPLE_CODE}]}
    )

    code: Annotated[str, Field(pattern=f"^[A-Za-z0-9_-]{{{CODE_LENGTH}}}$")]


class SignedIn(TypedDict):
    """The access tokens that were left for a code, by persona."""

    tokens: dict[str, str]


def sign_in_routes(database: AsyncEngine) -> APIRouter:
    """The request that leaves tokens, and the one that exchanges a code for them."""
    single = database.execution_options(isolation_level="AUTOCOMMIT")

    async def offer(body: CodeOffer, caller: Admin) -> Response:
        """Keep sealed tokens for the one who will show the code with this digest."""
        async with connected(single) as connection:
            await connection.execute(FORGET)
            await connection.execute(KEEP, body.model_dump())
        return Response(status_code=204)

    async def exchange(body: CodeIn) -> Response:
        """Exchange a one-time code for the tokens that were left for it."""  # noqa: DOC501
        async with connected(single) as connection:
            row = (await connection.execute(TAKE, {"digest": digest_of(body.code)})).one_or_none()
        if row is None or not row.in_time:
            raise Problem(404, "sign_in_code_unknown", "This code is unknown, was used, or has expired.")
        try:
            return JsonResponse({"tokens": json.loads(unseal(body.code, row.sealed))})
        except (CannotOpen, ValueError):
            raise Problem(404, "sign_in_code_unknown", "What was kept for this code is not what it opens.") from None

    router = APIRouter()
    about = described("offer_sign_in", {204: "The tokens are kept"}, FORBIDDEN, tag="sign-in")
    router.add_api_route("/sign-in/codes", offer, methods=["POST"], status_code=204, **about)
    about = described("sign_in", {200: SignedIn}, CODE_UNKNOWN, tag="sign-in")
    router.add_api_route("/sign-in", exchange, methods=["POST"], **about)
    return router
