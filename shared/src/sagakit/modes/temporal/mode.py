"""The Mode over Temporal: publishes by starting workflows, and works on the service's own task queue."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.worker import Worker

from sagakit import envelope
from sagakit.message import Event, Message, UnknownMessage
from sagakit.modes.failures import redeliver
from sagakit.modes.styles import Style, style_of
from sagakit.modes.temporal.activities import HEARTBEAT, activities
from sagakit.modes.temporal.choreography import ChoreographyRole
from sagakit.modes.temporal.connection import connect, ensure_namespace
from sagakit.modes.temporal.orchestration import OrchestratorRole
from sagakit.modes.temporal.wire import QUEUE, ParticipantRole, StartWorkflow, note_of
from sagakit.ports import Inlet, Mode, OutboxRow, Redeliver
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.tasks import Comeback, work_until
from sagakit.topology import CHOREOGRAPHY, Topology

log = logging.getLogger(__name__)

CALL_TIMEOUT: Final = timedelta(seconds=3)
CALLS_AT_A_TIME: Final = 64
HAD_MAX: Final = 10_000
TASK_TIMEOUT: Final = timedelta(seconds=5)
STICKY_TIMEOUT: Final = timedelta(seconds=2)
GRACE: Final = timedelta(seconds=2)
STOP: Final = 8.0  # for all of it: below DRAIN_TIMEOUT
ACTIVITIES_AT_A_TIME: Final = 200
AFTER_ANY: Final = WorkflowIDReusePolicy.ALLOW_DUPLICATE
AFTER_FAILED: Final = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY


class TemporalMode:
    """Publishing is starting a workflow under a derived id: once or twice is the same."""

    def __init__(self, settings: Settings, service: Service, part: ParticipantRole, style: Style) -> None:
        self._settings, self._service, self._part, self._style = settings, service, part, style
        self._calls = asyncio.Semaphore(CALLS_AT_A_TIME)
        self._had: set[bytes] = set()
        self._comeback = Comeback()
        self._client: Client | None = None
        self._inlet: Inlet | None = None

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        """`again`: the event was recorded before, and is repeated in case it was lost."""
        return self._part.outgoing(event, again)

    async def start(self, inlet: Inlet) -> Redeliver:
        """Wait for the server, as long as it takes."""
        self._inlet = inlet
        self._client = await connect(self._settings)
        return partial(redeliver, inlet, self._style)

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Start or tell the workflows of all rows. All are tried; raises if the server may lack any.

        Rows that the server has are remembered until all have it, so that an overloaded server gains ground.
        """
        if len(self._had) > HAD_MAX:
            self._had.clear()
        missing = [row for row in rows if row.body not in self._had]
        results = await asyncio.gather(*map(self._publish, missing), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise ConnectionError(f"{len(failures)} of {len(rows)} rows not published") from failures[0]
        self._had.difference_update(row.body for row in rows)

    async def run(self) -> None:
        """Work until cancelled; then finish what is in hand, or give it back to the server after a moment.

        After an outage a new worker takes over: the polls of the old one pause for up to 12 s, and nothing shortens it.
        """
        assert self._client is not None
        assert self._inlet is not None
        own = bool(self._part.workflows)  # then it runs activities for these only
        while True:
            self._comeback.event.clear()
            await ensure_namespace(self._client)
            worker = Worker(
                self._client,
                task_queue=QUEUE.format(self._service.name),
                workflows=self._part.workflows,
                activities=activities(self._inlet, self._settings.delivery_attempts, own),
                no_remote_activities=own,
                max_concurrent_activities=ACTIVITIES_AT_A_TIME,
                max_concurrent_local_activities=ACTIVITIES_AT_A_TIME,
                max_concurrent_workflow_task_polls=10,
                nonsticky_to_sticky_poll_ratio=0.5,  # by default a single poll asks for tasks that no worker has begun
                sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
                max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT),  # else 0.8 s of its time-out are left
                graceful_shutdown_timeout=GRACE,
            )
            await work_until(self._comeback.event, worker.run(), worker.shutdown, STOP)

    async def close(self) -> None:
        """Let go of the server; the SDK's threads need a moment more, or they abort a process that ends at once."""
        self._client = None
        await asyncio.sleep(0.1)

    async def probe(self) -> None:
        """Raises unless the server answers, within CALL_TIMEOUT."""
        if self._client is None:
            raise ConnectionError("not connected yet")
        await self._comeback.watch(self._client.service_client.check_health(timeout=CALL_TIMEOUT))

    async def _publish(self, row: OutboxRow) -> None:
        try:
            parcel = envelope.decode(row.body, self._service.wire)
        except UnknownMessage as error:
            log.warning("row %s dropped, to be derived again: %s", row.id, error)
        else:
            age = (datetime.now(UTC) - parcel.time).total_seconds() if parcel.time else 0.0
            note = note_of(self._service.wire, parcel.message, parcel.cause, parcel.traceparent)
            for call in self._part.calls(row.channel, parcel, note, age):
                await self._call(call)
        self._had.add(row.body)

    async def _call(self, call: StartWorkflow) -> None:
        assert self._client is not None
        signal, notes = (call.signal[0], [call.signal[1]]) if call.signal else (None, [])
        try:
            async with self._calls:
                await self._client.start_workflow(
                    call.workflow,
                    call.start,
                    id=call.id,
                    task_queue=QUEUE.format(call.service),
                    task_timeout=TASK_TIMEOUT,
                    id_reuse_policy=AFTER_ANY if signal else AFTER_FAILED,
                    start_signal=signal,
                    start_signal_args=notes,
                    rpc_timeout=CALL_TIMEOUT,
                )
        except WorkflowAlreadyStartedError:
            return


def build(style: str, settings: Settings, service: Service, saga: Saga, topology: Topology) -> Mode:
    """The mode of `service`; nothing is connected yet."""
    part: ParticipantRole
    if style == CHOREOGRAPHY:
        part = ChoreographyRole(settings, service, saga, topology)
    else:
        part = OrchestratorRole(settings, service, saga) if service.name == saga.owner else ParticipantRole()
    return TemporalMode(settings, service, part, style_of(style, service, saga))
