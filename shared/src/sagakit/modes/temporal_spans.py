"""Spans of Temporal's activities and workflows, made by an interceptor of the worker.

The handling of a command is a child of its activity, and an activity a child of what the workflow goes by, so the trace
is that of the other modes with these spans in between. A replay makes no spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from temporalio import activity, workflow
from temporalio.common import RawValue
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from sagakit import telemetry
from sagakit.tracing import tracing


def interceptors() -> Sequence[Interceptor]:
    """What a worker needs: nothing while no spans are made."""
    return [_Spans()] if tracing.on else []


class _Spans(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """As the SDK asks for it."""
        return _Activities(next)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """As the SDK asks for it."""
        return _Workflows


class _Activities(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info, carried = activity.info(), _carried(input.args).get("traceparent")
        about = {"temporal.workflow.id": info.workflow_id, "temporal.attempt": info.attempt}
        with tracing.doing(f"activity {info.activity_type}", carried, about) as traceparent:
            token = telemetry.traceparent.set(traceparent)  # not in the argument: attempts are counted by its bytes
            try:
                return await super().execute_activity(input)
            finally:
                telemetry.traceparent.reset(token)


class _Workflows(WorkflowInboundInterceptor):
    _traceparent: str | None = None

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        self._learn(_carried(input.args).get("note"))
        info = workflow.info()
        try:
            return await super().execute_workflow(input)
        finally:
            if not workflow.unsafe.is_replaying():
                about = {"temporal.workflow.id": info.workflow_id, "temporal.run.id": info.run_id}
                began = int(info.start_time.timestamp() * 1e9)
                tracing.done(f"workflow {info.workflow_type}", self._traceparent, about, began)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        self._learn(_carried(input.args[1:]))  # the first one is its name
        await super().handle_signal(input)

    def _learn(self, payload: Any) -> None:
        """Take the trace context of the first message that has one."""
        if self._traceparent is None and isinstance(payload, dict):
            self._traceparent = payload.get("traceparent")


def _carried(args: Any) -> dict[str, Any]:
    """The fields of the one argument of a dynamic activity, workflow or signal; none if it cannot be read."""
    raw = args[0][0] if args and isinstance(args[0], list | tuple) and args[0] else args[0] if args else None
    if not isinstance(raw, RawValue):
        return {}
    try:
        fields = msgspec.json.decode(raw.payload.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
