"""The composition root of the sandbox.

Guarantee: the ledger is open before the first call is taken, and closed after the last was answered.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from provider_sandbox.api import HOLD, calls, fault_control, oracle
from provider_sandbox.callers import Keys
from provider_sandbox.faults import Faults
from provider_sandbox.ledger import Ledger
from provider_sandbox.provider import SandboxProvider
from sagakit.app.server import serve
from sagakit.logs import configure_logging
from sagakit.settings import Settings
from sagakit.telemetry import Metrics
from sagakit.web.app import create_app

DEFAULTS: Final = {
    "SERVICE": "provider-sandbox",
    "HTTP_PORT": "8005",
    "SANDBOX_DATABASE": "provider-sandbox.db",
}


def build(
    settings: Settings, ledger: Ledger, *, slow: float = 3.0, hold: float = HOLD
) -> tuple[FastAPI, SandboxProvider]:
    """Build the application. The caller opens and closes the ledger. Raises SettingsError without the callers' keys."""
    metrics, faults = Metrics(), Faults()
    provider = SandboxProvider(ledger, slow=slow)

    async def readiness() -> Mapping[str, Any]:
        await ledger.run(lambda db: db.execute("SELECT 1").fetchone())
        return {"fault_injection": settings.fault_injection}

    routers = [calls(provider, faults, metrics, Keys.from_settings(settings), hold), oracle(ledger)]
    if settings.fault_injection:
        routers.append(fault_control(faults))
    app = create_app("Provider sandbox", settings, readiness, routers=routers, metrics=metrics)
    return app, provider


async def main() -> int:
    """Run the sandbox until a signal ends it; return the exit status."""
    environ = {**DEFAULTS, **{name: value for name, value in os.environ.items() if value}}
    settings = Settings.from_env(environ)
    configure_logging(settings.service, settings.coordination_mode, settings.log_level)
    ledger = Ledger(Path(environ["SANDBOX_DATABASE"]))
    app, provider = build(settings, ledger)

    async def shutdown() -> None:
        await provider.close()
        await ledger.close()

    return await serve(app, settings, ledger.open, shutdown)
