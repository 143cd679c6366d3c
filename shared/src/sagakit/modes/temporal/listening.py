"""What a workflow is sent, whatever it is: read, or written down and passed over as if it had not come.

Starts and signals of every name and shape are taken as they are: what the SDK is left to read fails the workflow's
task for ever, or vanishes.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from temporalio import workflow
from temporalio.common import RawValue

from sagakit.message import Event, UnknownMessage, Vocabulary
from sagakit.modes.temporal.activities import DEAD_LETTER, ask
from sagakit.modes.temporal.wire import MessagePayload, WorkflowInput, body_of, read

IDLE: Final = 60.0
UNREADABLE: Final = "unreadable"
KINDS: Final = ("Saga", "Reactions")
PATCH: Final = "dead-letters"


class Listener:
    """A workflow of the type `KIND`, told by the signal `SIGNAL`. `_fault`: why its start cannot be read."""

    KIND: ClassVar[str]
    SIGNAL: ClassVar[str]
    _start = WorkflowInput(None, 0.1, 5.0)
    _first: Event | None = None
    _subject: str | None = None
    _fault = ""

    @workflow.init
    def __init__(self, args: Sequence[RawValue]) -> None:
        try:
            if workflow.info().workflow_type != self.KIND:
                raise UnknownMessage("unknown workflow")
            self._wire, self._subject = self._opened(workflow.info().workflow_id)
            start = read(args, WorkflowInput)
            self._first = self._message(start.note) if start.note else None
            self._start = start
        except UnknownMessage as error:
            self._fault = f"start of {workflow.info().workflow_type}: {error}"

    def _opened(self, workflow_id: str) -> tuple[Vocabulary, str]:
        """The words it knows, and whom it is about; UnknownMessage if the id is none of ours."""
        raise NotImplementedError

    async def _hear(self, event: Event, note: MessagePayload) -> None:
        """Act upon a signal; UnknownMessage if nothing can be made of it."""

    @workflow.signal(dynamic=True)
    async def told(self, name: str, args: Sequence[RawValue]) -> None:
        """Any signal. One that cannot be read changes nothing but the list of dead letters."""
        try:
            if name != self.SIGNAL:
                raise UnknownMessage("unknown")
            note = read(args, MessagePayload)
            await self._hear(self._message(note), note)
        except UnknownMessage as error:
            await self._bury(args, f"signal {name}: {error}")

    def _message(self, note: MessagePayload) -> Any:
        if self._subject is None:
            raise UnknownMessage(self._fault)
        message: Any = self._wire.decode(note.type, note.data)
        if message.subject != self._subject:
            raise UnknownMessage(f"it is about {message.subject}")
        return message

    async def _bury(self, args: Sequence[RawValue], cause: str) -> None:
        kind = workflow.info().workflow_type
        if kind != self.KIND and kind in KINDS:
            raise LookupError(f"{kind} waits until its own mode is back")  # fails the task, which leaves no trace
        if workflow.patched(PATCH):  # an earlier version let some go without a word
            await ask(DEAD_LETTER, (body_of(args), cause, self._subject), self._start)
