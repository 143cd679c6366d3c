"""The composition of every service: settings -> database, store, mode, provider, engine, web application."""

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fastapi import APIRouter
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sagakit import modes
from sagakit.app.attention import Attention, Concern
from sagakit.app.gauges import Gauges, watch_lag
from sagakit.app.peers import Peers, urls_of
from sagakit.app.readiness import DatabaseProbe, Readiness, revisions
from sagakit.app.server import serve
from sagakit.engine.durations import Durations
from sagakit.engine.engine import ServiceEngine
from sagakit.logs import configure_logging
from sagakit.modes.unreliable import UnreliableMode
from sagakit.ports import Mode, Probed
from sagakit.postgres.connection import engine_for
from sagakit.postgres.dead_letters import SqlDeadLetters
from sagakit.postgres.retention import FinalRows, Pruner
from sagakit.postgres.rows import Rows
from sagakit.postgres.standby import Standby
from sagakit.postgres.store import SqlStore, without_standby
from sagakit.provider import InstantProvider, Opened, Provider, ProviderCall, ProviderOutcome, as_it_is
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.tasks import Background
from sagakit.telemetry import Metrics
from sagakit.topology import Topology
from sagakit.web.app import create_app

Rules = Callable[[ProviderCall], ProviderOutcome]
"""What the providers of PROVIDERS=instant decide."""


@dataclass(frozen=True)
class ServiceContext:
    """What a service's routers and background work are built from."""

    settings: Settings
    database: AsyncEngine
    store: SqlStore
    dead_letters: SqlDeadLetters
    engine: ServiceEngine
    attention: Attention
    metrics: Metrics
    final_rows: FinalRows


@dataclass(frozen=True)
class ServiceDefinition:
    """What tells one service from another.

    Attributes:
        service: Its commands, events and reactions.
        metadata: The tables that its database must have.
        rows: How its states are loaded and saved.
        router: Its HTTP interface.
        domain: The modules whose digest `/health/ready` shows.
        concerns: Kinds of items of its own that need an operator.
        background: Tasks of its own, by name.
        seed: Fills a new database.
        opened: Opens what is sealed in a call, just before the provider gets it.
        final_rows: Which rows of its own table are final, so that RETENTION may delete what else is known about them.
        unsettled: For the owner of the saga: counts what is not settled, for `sagakit.app.gauges`.
    """

    service: Service
    metadata: MetaData
    rows: Callable[[Settings], Rows]
    final_rows: FinalRows
    router: Callable[[ServiceContext], APIRouter]
    domain: tuple[ModuleType, ...]
    concerns: tuple[Concern, ...] = ()
    background: Callable[[ServiceContext], Mapping[str, Callable[[], Any]]] = lambda context: {}
    seed: Callable[[AsyncConnection], Awaitable[None]] | None = None
    opened: Callable[[Settings], Opened] = lambda settings: as_it_is
    unsettled: str = ""


def folder_of(definition: ServiceDefinition) -> Path:
    """`services/<name>/migrations`."""
    return Path(inspect.getfile(definition.router)).parents[2] / "migrations"


def digest(modules: tuple[ModuleType, ...]) -> str:
    """A digest of the modules' source. It has to be the same in every mode for a comparison of modes to count."""
    source = "".join(inspect.getsource(module) for module in modules)
    return hashlib.sha256(source.encode()).hexdigest()[:16]


class PublishOnly:
    """The mode of a process with `ROLE=api`: it publishes, and consumes nothing."""

    def __init__(self, mode: Mode) -> None:
        self.outgoing, self.start, self.publish, self.close = mode.outgoing, mode.start, mode.publish, mode.close
        if isinstance(mode, Probed):
            self.probe = mode.probe

    async def run(self) -> None:
        """Return at once: processes of other roles consume."""


async def run_service(
    definition: ServiceDefinition, settings: Settings, saga: Saga, topology: Callable[[str], Topology], rules: Rules
) -> int:
    """Run the service until it is told to stop; the exit status.

    `ROLE=api` serves without consuming, `ROLE=worker` consumes and serves health and metrics alone. Both have the
    dispatcher, the relay, the provider caller and the background tasks, which any number of processes may run at once.
    """
    settings, service = _resolved(settings), definition.service
    configure_logging(service.name, settings.coordination_mode, settings.log_level)
    metrics = Metrics()
    standby = Standby(settings.standby_timeout) if settings.standby_timeout else None
    database = engine_for(settings.database_url, settings.db_pool, standby=standby)
    store = SqlStore(
        database,
        service.vocabulary,
        definition.rows(settings),
        lease=settings.outbox_lease,
        pause=settings.retry_max,
        check_writable=standby.check if standby else without_standby,
    )
    dead_letters = SqlDeadLetters(database)
    mode, provider = _mode(service, settings, saga, topology), _provider(definition, settings, rules)
    engine = ServiceEngine(service, store, mode, provider, dead_letters, settings, metrics)
    attention = Attention(database, engine, definition.concerns)
    gauges = _measured(definition, settings, mode, engine, database)
    context = ServiceContext(settings, database, store, dead_letters, engine, attention, metrics, definition.final_rows)
    known = revisions(folder_of(definition))
    probe = DatabaseProbe(database, definition.metadata, known, standby=standby is not None)
    peers = Peers(settings.coordination_mode, urls_of(settings))
    substrate = modes.MODES[settings.coordination_mode].substrate
    readiness = Readiness(engine, probe, peers, substrate, _about(definition, settings))
    app = create_app(service.name, settings, readiness, metrics=metrics)
    if settings.role != "worker":
        app.include_router(definition.router(context))

    async def startup() -> None:
        for name, dependency in ((substrate, mode), ("provider", provider)):
            if isinstance(dependency, Probed):
                engine.dependencies.watch(name, dependency.probe)
        await engine.start()
        ours = {"attention": attention.run, "gauges": gauges.run, "peers": peers.run, **_pruner(context)}
        for name, work in {**ours, **definition.background(context)}.items():
            engine.background.start(name, work)

    spans = _spans(settings, substrate)

    async def shutdown() -> None:
        for close in (engine.stop, provider.close, probe.close, database.dispose):
            await close()
        if standby:
            await standby.close()
        if spans is not None:
            await asyncio.to_thread(spans.shutdown)

    return await serve(app, settings, startup, shutdown, background=Background(metrics))


def _resolved(settings: Settings) -> Settings:
    """The settings with the mode's full name; where commits wait for a standby, requests wait no longer than they."""
    settings = settings.model_copy(update={"coordination_mode": modes.resolve(settings.coordination_mode)})
    if not settings.standby_timeout:
        return settings
    return settings.model_copy(update={"door_timeout": min(settings.door_timeout, settings.standby_timeout)})


def _about(definition: ServiceDefinition, settings: Settings) -> Mapping[str, str]:
    return {
        "service": definition.service.name,
        "role": settings.role,
        "mode": settings.coordination_mode,
        "domain": digest(definition.domain),
    }


def _pruner(context: ServiceContext) -> Mapping[str, Callable[[], Any]]:
    seconds = context.settings.retention
    return {} if seconds is None else {"pruner": Pruner(context.database, context.final_rows, seconds).run}


def _spans(settings: Settings, system: str) -> Any:
    """What makes spans, if it is asked for: to import the SDK takes time and memory."""
    if not settings.makes_spans:
        return None
    from sagakit.app.spans import export_spans

    return export_spans(settings, system)


def _measured(
    definition: ServiceDefinition, settings: Settings, mode: Mode, engine: ServiceEngine, database: AsyncEngine
) -> Gauges:
    """Have the process measured; the gauges are to be counted in the background."""
    metrics, name = engine.metrics, settings.coordination_mode
    metrics.process_info.labels(definition.service.name, name, modes.MODES[name].style, settings.role).set(1)
    watch_lag(metrics.delivery_lag, mode)
    if definition.service.progress is not None:
        engine.on_commit.append(Durations(definition.service, metrics.saga_seconds).committed)
    return Gauges(database, metrics, definition.unsettled)


def _mode(service: Service, settings: Settings, saga: Saga, topology: Callable[[str], Topology]) -> Mode:
    name = settings.coordination_mode
    mode: Mode = modes.load(name, settings, service, saga, topology(modes.MODES[name].style))
    if settings.role == "api":
        mode = PublishOnly(mode)
    return UnreliableMode(mode) if settings.fault_injection else mode


def _provider(definition: ServiceDefinition, settings: Settings, rules: Rules) -> Provider:
    """An HTTP client only for a service that calls: its import alone takes a tenth of the time to start."""
    opened = definition.opened(settings)
    if settings.providers == "instant" or definition.service.provider is None:
        return InstantProvider(rules, opened)
    from sagakit.provider_http import HttpProvider

    return HttpProvider.from_settings(settings, opened)
