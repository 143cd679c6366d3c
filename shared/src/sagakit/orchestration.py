"""`advance`: what an orchestrator does next. Pure; walked by the Temporal workflow and by the broker orchestrator.

It keeps no state: what has been decided stands in the row of the saga's owner, and the event itself says which
step it ends. So a repeated event gives the same commands again, and a late one cannot turn anything back.
"""

from sagakit.message import Command, Event
from sagakit.saga import Saga


def advance(saga: Saga, event: Event) -> tuple[Command, ...]:
    """The commands that `event` leads to, for whichever service; none if it leads nowhere."""
    kind, subject = type(event), event.subject
    if kind is saga.started:
        return (saga.steps[0].do(subject, saga.snapshot(event)),)
    if kind is saga.confirmed:
        return tuple(step.settle(subject) for step in saga.steps)
    if kind is saga.cancelled:
        return tuple(step.undo(subject) for step in saga.steps)
    for position, step in enumerate(saga.steps):
        if kind is step.ok:
            following = saga.steps[position + 1 :]
            if not following:
                return (saga.confirm(subject),)
            return (following[0].do(subject, saga.snapshot(event)),)
        if kind is step.refused:
            return (saga.cancel(subject, step.refusal),)
        if kind in (step.settled, step.undone):
            return (step.record(subject),)
    return ()
