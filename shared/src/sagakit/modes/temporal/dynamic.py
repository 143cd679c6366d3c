"""A dynamic workflow: its input and its signals are read here; what cannot be read becomes a dead letter.

Types, signals and arguments of every name and shape are taken as raw values, since what the SDK itself cannot read
fails the workflow task for ever, or vanishes.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from temporalio import workflow
from temporalio.common import RawValue

from sagakit.message import Event, UnknownMessage, Vocabulary
from sagakit.modes.temporal.activities import DEAD_LETTER, run_activity
from sagakit.modes.temporal.wire import MessagePayload, WorkflowInput, body_of, read

IDLE: Final = 60.0  # seconds
UNREADABLE: Final = "unreadable"
TYPES: Final = ("Saga", "Reactions")
PATCH: Final = "dead-letters"


class DynamicWorkflow:
    """A workflow of the type TYPE that understands the signal SIGNAL.

    `_event` is the event in its input, if there is one; `_input_error` says why its input cannot be read.
    """

    TYPE: ClassVar[str]
    SIGNAL: ClassVar[str]
    _input = WorkflowInput(None, 0.1, 5.0)
    _event: Event | None = None
    _subject: str | None = None
    _input_error = ""

    @workflow.init
    def __init__(self, args: Sequence[RawValue]) -> None:
        try:
            if workflow.info().workflow_type != self.TYPE:
                raise UnknownMessage("unknown workflow")
            self._wire, self._subject = self._identify(workflow.info().workflow_id)
            input_ = read(args, WorkflowInput)
            self._event = self._message(input_.payload) if input_.payload else None
            self._input = input_
        except UnknownMessage as error:
            self._input_error = f"start of {workflow.info().workflow_type}: {error}"

    def _identify(self, workflow_id: str) -> tuple[Vocabulary, str]:
        """The vocabulary and the subject of the workflow with that id; UnknownMessage if the id is none of ours."""
        raise NotImplementedError

    async def _on_event(self, event: Event, payload: MessagePayload) -> None:
        """Handle the event of a signal; UnknownMessage if it cannot be handled."""

    @workflow.signal(dynamic=True)
    async def on_signal(self, name: str, args: Sequence[RawValue]) -> None:
        """Handle any signal. One that cannot be read becomes a dead letter and changes nothing else."""  # noqa: DOC501
        try:
            if name != self.SIGNAL:
                raise UnknownMessage("unknown")
            payload = read(args, MessagePayload)
            await self._on_event(self._message(payload), payload)
        except UnknownMessage as error:
            await self._dead_letter(args, f"signal {name}: {error}")

    def _message(self, payload: MessagePayload) -> Any:
        if self._subject is None:
            raise UnknownMessage(self._input_error)
        message: Any = self._wire.decode(payload.type, payload.data)
        if message.subject != self._subject:
            raise UnknownMessage(f"it is about {message.subject}")
        return message

    async def _dead_letter(self, args: Sequence[RawValue], cause: str) -> None:
        type_ = workflow.info().workflow_type
        if type_ != self.TYPE and type_ in TYPES:
            raise LookupError(f"{type_} waits until its own mode is back")  # fails the task, which leaves no trace
        if workflow.patched(PATCH):  # earlier versions wrote some of these down nowhere
            await run_activity(DEAD_LETTER, (body_of(args), cause, self._subject), self._input)
