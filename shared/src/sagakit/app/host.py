"""The composition shared by all services: settings -> engine, store, mode, providers, participant, web application."""

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fastapi import APIRouter, FastAPI
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sagakit import modes
from sagakit.app.attention import Attention, Concern
from sagakit.app.peers import Peers, urls_of
from sagakit.app.readiness import DatabaseProbe, Readiness, revisions
from sagakit.app.server import serve
from sagakit.engine.engine import ServiceEngine
from sagakit.logs import configure_logging
from sagakit.modes.unreliable import UnreliableMode
from sagakit.ports import Mode, Probed
from sagakit.postgres.connection import engine_for
from sagakit.postgres.dead_letters import SqlDeadLetters
from sagakit.postgres.rows import Rows
from sagakit.postgres.standby import Standby
from sagakit.postgres.store import SqlStore
from sagakit.provider import InstantProvider, Opened, Provider, ProviderCall, ProviderOutcome, as_it_is
from sagakit.saga import Saga
from sagakit.service import Service, no_call
from sagakit.settings import Settings
from sagakit.tasks import Background
from sagakit.telemetry import Metrics
from sagakit.topology import Topology
from sagakit.web.app import create_app


@dataclass(frozen=True)
class ServiceContext:
    """What a service's routers and background work are built from."""

    settings: Settings
    engine: AsyncEngine
    store: SqlStore
    dead_letters: SqlDeadLetters
    participant: ServiceEngine
    attention: Attention
    metrics: Metrics


@dataclass(frozen=True)
class ServiceDefinition:
    """All that tells one service from another; `domain` are the modules whose digest `/health/ready` shows.

    `opened` opens what is sealed in a call to a provider, on its way there.
    """

    service: Service
    metadata: MetaData
    rows: Callable[[Settings], Rows]
    router: Callable[[ServiceContext], APIRouter]
    domain: tuple[ModuleType, ...]
    concerns: tuple[Concern, ...] = ()
    background: Callable[[ServiceContext], Mapping[str, Callable[[], Any]]] = lambda host: {}
    seed: Callable[[AsyncConnection], Awaitable[None]] | None = None
    opened: Callable[[Settings], Opened] = lambda settings: as_it_is


def folder_of(definition: ServiceDefinition) -> Path:
    """`services/<name>/migrations`."""
    return Path(inspect.getfile(definition.router)).parents[2] / "migrations"


def digest(modules: tuple[ModuleType, ...]) -> str:
    """A digest of the modules' source: the same in every mode, or the comparison is void."""
    source = "".join(inspect.getsource(module) for module in modules)
    return hashlib.sha256(source.encode()).hexdigest()[:16]


class PublishOnly:
    """A mode as `ROLE=api` has it: what the door decides is published, and nothing is received."""

    def __init__(self, mode: Mode) -> None:
        self.outgoing, self.start, self.publish, self.close = mode.outgoing, mode.start, mode.publish, mode.close
        if isinstance(mode, Probed):
            self.probe = mode.probe

    async def run(self) -> None:
        """Others consume."""


def _provider(
    definition: ServiceDefinition, settings: Settings, rules: Callable[[ProviderCall], ProviderOutcome]
) -> Provider:
    """An HTTP client only for those who call: to import one is a tenth of what a start costs."""
    opened = definition.opened(settings)
    if settings.providers == "instant" or definition.service.call is no_call:
        return InstantProvider(rules, opened)
    from sagakit.provider_http import HttpProvider

    return HttpProvider.from_settings(settings, opened)


async def run_service(
    definition: ServiceDefinition,
    settings: Settings,
    saga: Saga,
    topology: Callable[[str], Topology],
    rules: Callable[[ProviderCall], ProviderOutcome],
) -> int:
    """Run the service until it is told to stop; the exit status.

    `ROLE=api` serves without consuming, `ROLE=worker` consumes and serves health and metrics alone; either has the
    door, the relay, the caller of providers and the sweeper, which any number of processes may run at once.
    """
    name = modes.resolve(settings.coordination_mode)
    settings, spec = settings.model_copy(update={"coordination_mode": name}), modes.MODES[name]
    configure_logging(definition.service.name, name, settings.log_level)
    metrics = Metrics()
    standby = Standby(settings.standby_timeout) if settings.standby_timeout else None
    if standby:  # who waits in line waits for the same commit
        settings = settings.model_copy(update={"door_timeout": min(settings.door_timeout, standby.seconds)})
    engine = engine_for(settings.database_url, settings.db_pool, standby=standby)
    store = SqlStore(
        engine,
        definition.service.vocabulary,
        definition.rows(settings),
        lease=settings.outbox_lease,
        pause=settings.retry_max,
        writable=standby.check if standby else lambda: None,
    )
    mode: Mode = modes.load(name, settings, definition.service, saga, topology(spec.style))
    if settings.role == "api":
        mode = PublishOnly(mode)
    if settings.fault_injection:
        mode = UnreliableMode(mode)
    provider = _provider(definition, settings, rules)
    letters = SqlDeadLetters(engine)
    participant = ServiceEngine(definition.service, store, mode, provider, letters, settings, metrics)
    attention = Attention(engine, participant, definition.concerns)
    this = ServiceContext(settings, engine, store, letters, participant, attention, metrics)
    database, peers = (
        DatabaseProbe(engine, definition.metadata, revisions(folder_of(definition)), standby=standby is not None),
        Peers(name, urls_of(settings)),
    )
    about = {
        "service": definition.service.name,
        "role": settings.role,
        "mode": name,
        "domain": digest(definition.domain),
    }
    readiness = Readiness(participant, database, peers, spec.substrate, about)
    for dependency, outside in ((spec.substrate, mode), ("provider", provider)):
        if isinstance(outside, Probed):
            participant.dependencies.watch(dependency, outside.probe)
    app: FastAPI = create_app(definition.service.name, settings, readiness, metrics=metrics)
    if settings.role != "worker":
        app.include_router(definition.router(this))
    background = Background(metrics)

    async def startup() -> None:
        await participant.start()
        participant.background.start("attention", attention.run)
        participant.background.start("peers", peers.run)
        for work, run in definition.background(this).items():
            participant.background.start(work, run)

    async def shutdown() -> None:
        await participant.stop()
        await provider.close()
        await database.close()
        await engine.dispose()
        if standby:
            await standby.close()

    return await serve(app, settings, startup, shutdown, background=background)
