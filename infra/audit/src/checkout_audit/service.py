"""`python -m checkout_audit.service`: the auditor for operators, over HTTP: the verdict on one order, or on all.

Guarantee: it may only read. Its role in each database may change nothing, it holds no key, and it reads the providers'
ledger with the token of the operator who asks.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from checkout import limits
from checkout_audit.audit import PAUSE_BEFORE_RECHECK, AuditOptions, examine
from checkout_audit.errors import Unreachable
from checkout_audit.invariants import Scope
from checkout_audit.loading import Reader, connections
from checkout_audit.report import Report
from checkout_audit.tables import Subjects
from checkout_audit.target import Target
from sagakit.app.server import run, serve
from sagakit.logs import configure_logging
from sagakit.settings import Settings, SettingsError
from sagakit.telemetry import Metrics
from sagakit.web.app import PRINTABLE, Admin, JsonResponse, NotFound, Problem, create_app

DEFAULTS: Final = {"SERVICE": "auditor", "HTTP_PORT": "8006"}
WAIT: Final = 3.0
"""Seconds that an audit of all orders waits until nothing is in flight."""
OrderId = Annotated[str, Path(min_length=1, max_length=limits.ORDER_ID), PRINTABLE]
Since = Annotated[int | None, Query(ge=1, le=31_536_000)]


async def verdict(target: Target, order_id: str) -> Report | None:
    """The verdict on one order; None if no service knows it. What looks wrong at first is looked at once more.

    Raises:
        Unreachable: A database or the ledger cannot be read.
    """
    first = await _judged(target, order_id)
    if first is None or first.consistent:
        return first
    await asyncio.sleep(PAUSE_BEFORE_RECHECK)
    return await _judged(target, order_id)


async def _judged(target: Target, order_id: str) -> Report | None:
    ledger = await target.ledger(order_id)
    async with connections(target.databases) as at:
        snapshot = await Reader(at, ledger).slice(Subjects((order_id,)))
    if not any(records.inbox or records.journal for records in snapshot.services.values()):
        return None
    report = Report()
    report.add(snapshot, Scope.SLICE)
    return report


def audit_routes(target: Target) -> APIRouter:
    """The routes of the auditor."""
    router, alone = APIRouter(), asyncio.Lock()

    def of(request: Request) -> Target:
        """The stack, whose ledger is read as whoever asks."""
        return replace(target, token=request.headers["authorization"].partition(" ")[2].strip())

    async def one(request: Request, order_id: OrderId, caller: Admin) -> Response:
        """Which invariants the order violates, if any."""  # noqa: DOC501
        report = await _answered(verdict(of(request), order_id))
        if report is None:
            raise NotFound("No service knows such an order.")
        findings = [finding for finding in report.findings if finding.judged]
        return JsonResponse(
            {
                "order_id": order_id,
                "consistent": report.consistent,
                "judged": [finding.invariant.number for finding in findings],
                "violations": [
                    {"number": finding.invariant.number, "name": finding.invariant.name, **asdict(violation)}
                    for finding in findings
                    for violation in finding.violations
                ],
            }
        )

    async def everything(request: Request, caller: Admin, since: Since = None) -> Response:
        """The whole audit, or only of what changed in the last `since` seconds; one at a time."""
        moment = datetime.now(UTC) - timedelta(seconds=since) if since else None
        # In this process: forked ones would have its connections, and the locks that its threads hold at that moment
        options = AuditOptions(since=moment, processes=1)
        async with alone:
            report = await _answered(examine(of(request), options, WAIT))
        return JsonResponse(report.document())

    router.add_api_route("/verdicts/{order_id}", one, methods=["GET"])
    router.add_api_route("/audit", everything, methods=["GET"])
    return router


async def _answered(work: Any) -> Any:
    try:
        return await work
    except Unreachable as error:
        raise Problem(503, "unavailable", str(error)) from error


def build(settings: Settings, target: Target) -> FastAPI:
    """Build the application; a database is opened for each request."""

    async def readiness() -> Mapping[str, Any]:
        return {}

    return create_app("Auditor", settings, readiness, routers=[audit_routes(target)], metrics=Metrics())


async def main() -> int:
    """Serve until a signal ends it; return the exit status."""
    environ = {**DEFAULTS, **{name: value for name, value in os.environ.items() if value}}
    settings = Settings.from_env(environ)
    configure_logging(settings.service, settings.coordination_mode, settings.log_level)
    app = build(settings, Target.from_environment(environ))

    async def nothing() -> None:
        """Nothing has to be opened or closed."""

    return await serve(app, settings, nothing, nothing)


if __name__ == "__main__":
    try:
        run(main())
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
