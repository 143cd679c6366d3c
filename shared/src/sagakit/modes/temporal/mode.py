"""The Mode over Temporal: publishes by starting or signalling workflows, and works on the service's own task queue."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.worker import Worker

from sagakit.envelope import decode
from sagakit.message import Event, Message, UnknownMessage
from sagakit.modes.failures import accept_all, redeliver
from sagakit.modes.styles import style_of
from sagakit.modes.temporal.activities import HEARTBEAT, activities
from sagakit.modes.temporal.choreography import ChoreographyRole
from sagakit.modes.temporal.connection import connect, ensure_namespace
from sagakit.modes.temporal.orchestration import OrchestratorRole
from sagakit.modes.temporal.wire import QUEUE, ParticipantRole, StartWorkflow, payload_of
from sagakit.modes.temporal_spans import interceptors
from sagakit.ports import Inlet, OutboxRow, Redeliver
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.tasks import Comeback, work_until
from sagakit.topology import CHOREOGRAPHY, Topology

log = logging.getLogger(__name__)

CALL_TIMEOUT: Final = timedelta(seconds=3)
CALLS_AT_A_TIME: Final = 64
PUBLISHED_MAX: Final = 10_000
TASK_TIMEOUT: Final = timedelta(seconds=5)
STICKY_TIMEOUT: Final = timedelta(seconds=2)
GRACE: Final = timedelta(seconds=2)
STOP: Final = 8.0  # seconds for the worker to stop: below DRAIN_TIMEOUT
ACTIVITIES_AT_A_TIME: Final = 200
WORKFLOW_THREADS: Final = 2  # workflow tasks compute and never wait: more threads (the SDK has 500) only contend
AFTER_ANY: Final = WorkflowIDReusePolicy.ALLOW_DUPLICATE
AFTER_FAILED: Final = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY


class TemporalMode:
    """Either style over Temporal. To publish is to start a workflow under a derived id, so repeats are harmless."""

    def __init__(self, style: str, settings: Settings, service: Service, saga: Saga, topology: Topology) -> None:
        self._settings, self._service, self._style = settings, service, style_of(style, service, saga)
        self._role = ParticipantRole()
        if style == CHOREOGRAPHY:
            self._role = ChoreographyRole(settings, service, saga, topology)
        elif service.name == saga.owner:
            self._role = OrchestratorRole(settings, service, saga)
        self._calls = asyncio.Semaphore(CALLS_AT_A_TIME)
        self._published: set[bytes] = set()  # bodies of rows that the server has, until it has all rows of a publish
        self._comeback = Comeback()
        self._workflow_threads = ThreadPoolExecutor(WORKFLOW_THREADS, "temporal-workflow")  # of all workers
        self._client: Client | None = None
        self._inlet: Inlet | None = None

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        """As Mode.outgoing."""
        return self._role.outgoing(event, again)

    async def start(self, inlet: Inlet) -> Redeliver:
        """Wait for the server, as long as it takes."""
        self._inlet = inlet
        self._client = await connect(self._settings)
        return partial(redeliver, inlet, partial(accept_all, self._service, self._style))

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Start or signal the workflows of all rows. All rows are tried.

        Rows that the server has are remembered until it has all, so that an overloaded server makes progress.

        Raises:
            ConnectionError: The server may lack some of the rows.
        """
        if len(self._published) > PUBLISHED_MAX:
            self._published.clear()
        missing = [row for row in rows if row.body not in self._published]
        results = await asyncio.gather(*map(self._publish, missing), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise ConnectionError(f"{len(failures)} of {len(rows)} rows not published") from failures[0]
        self._published.difference_update(row.body for row in rows)

    async def run(self) -> None:
        """Work until cancelled; finish what is in hand, or give it back after GRACE. A new worker follows an outage."""
        assert self._client is not None
        assert self._inlet is not None
        local = bool(self._role.workflows)  # a service with workflows runs activities for these only
        while True:
            self._comeback.event.clear()
            await ensure_namespace(self._client)
            worker = Worker(
                self._client,
                task_queue=QUEUE.format(self._service.name),
                workflows=self._role.workflows,
                workflow_task_executor=self._workflow_threads,
                activities=activities(self._inlet, self._settings.delivery_attempts, local),
                no_remote_activities=local,
                max_concurrent_activities=ACTIVITIES_AT_A_TIME,
                max_concurrent_local_activities=ACTIVITIES_AT_A_TIME,
                max_concurrent_workflow_task_polls=10,
                nonsticky_to_sticky_poll_ratio=0.5,  # by default a single poll asks for tasks that no worker has begun
                sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
                max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT),  # else 0.8 s of its timeout are left
                graceful_shutdown_timeout=GRACE,
                interceptors=interceptors(),
            )
            await work_until(self._comeback.event, worker.run(), worker.shutdown, STOP)

    async def close(self) -> None:
        """Disconnect. The SDK's threads need a moment more, or they abort a process that ends at once."""
        self._client = None
        self._workflow_threads.shutdown(wait=False)
        await asyncio.sleep(0.1)

    async def probe(self) -> None:
        """Return if the server answers within CALL_TIMEOUT.

        Raises:
            ConnectionError: The client is not connected yet; or an error of the SDK.
        """
        if self._client is None:
            raise ConnectionError("not connected yet")
        await self._comeback.watch(self._client.service_client.check_health(timeout=CALL_TIMEOUT))

    async def _publish(self, row: OutboxRow) -> None:
        try:
            envelope = decode(row.body, self._service.wire)
        except UnknownMessage as error:
            log.warning("row %s dropped, to be derived again: %s", row.id, error)
        else:
            age = (datetime.now(UTC) - envelope.time).total_seconds() if envelope.time else 0.0
            payload = payload_of(self._service.wire, envelope.message, envelope.cause, envelope.traceparent)
            for start in self._role.starts(row.channel, envelope, payload, age):
                await self._start(start)
        self._published.add(row.body)

    async def _start(self, start: StartWorkflow) -> None:
        assert self._client is not None
        signal, signal_args = (start.signal[0], [start.signal[1]]) if start.signal else (None, [])
        with suppress(WorkflowAlreadyStartedError):
            async with self._calls:
                await self._client.start_workflow(
                    start.workflow,
                    start.input,
                    id=start.id,
                    task_queue=QUEUE.format(start.service),
                    task_timeout=TASK_TIMEOUT,
                    id_reuse_policy=AFTER_ANY if signal else AFTER_FAILED,
                    start_signal=signal,
                    start_signal_args=signal_args,
                    request_eager_start=not signal and start.service == self._service.name,
                    rpc_timeout=CALL_TIMEOUT,
                )
