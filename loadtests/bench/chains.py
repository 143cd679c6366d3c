"""`python -m loadtests.bench.chains FILE`: run the payment service, and write how a message came to its handler.

It is the service as the stack runs it, in the environment that the caller gives it. FILE gets, as JSON, the functions
of ours on the call stack at each of MOMENTS, up to the first decision about AuthorizePayment. What is called at these
moments is replaced by functions that look at the stack first.
"""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from checkout.messages import AuthorizePayment
from payment_service.reactions import REACTIONS
from quartet_stack.layout import REPOSITORY
from sagakit.engine.batch import _Batch
from sagakit.engine.engine import ServiceEngine
from sagakit.engine.lane import Lane
from sagakit.modes import styles
from sagakit.modes.kafka import progress as kafka
from sagakit.modes.pubsub import transport as pubsub
from sagakit.modes.sns_sqs import transport as sns_sqs
from sagakit.modes.temporal import activities, choreography, dynamic
from sagakit.work import Execute

SERVICE: Final = "payment"
COMMAND: Final = AuthorizePayment
MOMENTS: Final = ("message", "reaction", "command", "activity", "task", "asked", "door", "decision")
"""When a message is taken from what the client library received; when the reaction to an event is called; when the
style has the command; when a workflow asks for an activity; when the activity reads its task; when it asks the service;
when the command is handed to the door; when its handler is called. Not every mode has all of them."""
OURS: Final = (str(REPOSITORY / "shared" / "src"), str(REPOSITORY / "services"))
LOOP: Final = "sagakit/app/server.py"
"""It runs the event loop: what called it has nothing to do with the message."""

Hop = tuple[str, str]
"""A file of the tree, and a function in it."""


def stack(frame: FrameType | None) -> list[Hop]:
    """The functions of ours on the call stack of a frame, up to the event loop, the outermost first.

    A comprehension is a part of its function, as it is in newer versions of Python.
    """
    found: list[Hop] = []
    while frame is not None and not frame.f_code.co_filename.endswith(LOOP):
        if frame.f_code.co_filename.startswith(OURS) and not frame.f_code.co_name.endswith("comp>"):
            found.append(hop(frame.f_code))
        frame = frame.f_back
    return found[::-1]


def hop(code: Any) -> Hop:
    """The place of a function's code."""
    return str(Path(code.co_filename).relative_to(REPOSITORY)), code.co_qualname


class Chains:
    """Collects the call stack at each moment, of which the last one counts; writes them at the first decision."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: dict[str, list[Hop]] = {}

    def look(self, moment: str, frame: FrameType | None, called: Any) -> None:
        """Keep the call stack at a moment, and what is called there if it is a function of ours."""
        code = getattr(called, "__code__", None)
        then = [hop(code)] if code is not None and code.co_filename.startswith(OURS) else []
        self._seen[moment] = [*stack(frame), *then]

    def write(self) -> None:
        """Write what was seen up to the first decision."""
        if not self._file.exists():
            draft = self._file.with_suffix(".new")
            draft.write_text(json.dumps({name: self._seen[name] for name in MOMENTS if name in self._seen}))
            draft.replace(self._file)

    def before(self, owner: Any, name: str, moment: str, wanted: Callable[..., bool] = lambda *_, **__: True) -> None:
        """Look at the stack whenever this attribute is called with arguments that are wanted."""
        called = owner[name] if isinstance(owner, dict) else getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            if wanted(*arguments, **named):
                self.look(moment, sys._getframe(1), called)
            return called(*arguments, **named)

        if isinstance(owner, dict):
            owner[name] = watched
        else:
            setattr(owner, name, watched)

    def watch(self) -> None:
        """Replace what is called at each moment."""
        for transport in (kafka, pubsub, sns_sqs):
            self.before(transport, "Delivery", "message")
        self.before(dynamic, "read", "message")
        for event, reaction in list(REACTIONS.items()):
            if COMMAND.__name__ in getattr(reaction, "__code__", stack.__code__).co_names:
                self.before(REACTIONS, event, "reaction")  # type: ignore[arg-type]
        self.before(styles, "Execute", "command")
        self.before(choreography, "run_activity", "activity")
        self.before(activities, "read", "task")
        self.before(ServiceEngine, "conclude", "asked")
        self.before(Lane, "put", "door", lambda lane, waiting: _asks(waiting.item))
        decide = _Batch._decide

        def decided(batch: _Batch, item: Execute) -> Any:
            if _asks(item):
                self.look("decision", sys._getframe(1), batch.service.commands[COMMAND].decide)
                self.write()
            return decide(batch, item)

        _Batch._decide = decided  # type: ignore[assignment, method-assign]


def _asks(item: Any) -> bool:
    return isinstance(item, Execute) and isinstance(item.command, COMMAND)


if __name__ == "__main__":
    Chains(Path(sys.argv[1])).watch()
    sys.argv[1:] = []
    runpy.run_module(f"{SERVICE}_service", run_name="__main__", alter_sys=True)
