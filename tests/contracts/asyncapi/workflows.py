"""The channels of Temporal: starts and signals of workflows, and activities. AsyncAPI has no binding for Temporal.

`x-temporal` on a channel says what a binding would: the task queue, the type and the id of the workflow, the signal.
"""

from typing import Final

from checkout.messages import COMMANDS_OF, EVENTS_OF, OWNER
from checkout.saga import CHECKOUT
from checkout.topology import SUBSCRIPTIONS
from sagakit.modes.temporal.choreography import ReactionsWorkflow
from sagakit.modes.temporal.orchestration import SagaWorkflow
from sagakit.modes.temporal.wire import QUEUE
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION
from tests.contracts.asyncapi.messages import SAGA_START, SIGNAL_START, TEMPORAL, Json
from tests.contracts.asyncapi.parts import Part, modes_of

STARTED: Final = "Saga"  # the last words of the names of the two starts
SIGNALLED: Final = "signalled"


def temporal() -> Part:
    """The workflows of both styles, and the activities of participants under orchestration."""
    part = Part()
    _choreography(part)
    _saga(part)
    _activities(part)
    return part


def _choreography(part: Part) -> None:
    for consumer, kinds in SUBSCRIPTIONS.items():
        key, names = f"temporal.choreography.{consumer}", [kind.__name__ for kind in kinds]
        what = f"The workflow of {consumer} for one order: it is signalled each event, and started where none runs."
        workflow = {
            "workflowType": ReactionsWorkflow.TYPE,
            "workflowId": f"{consumer}/{{order_id}}",
            "signal": ReactionsWorkflow.SIGNAL,
        }
        content = _content(consumer, what, workflow)
        part.channel(key, modes_of("temporal", CHOREOGRAPHY), content, names, TEMPORAL)
        _add_start(part, key, SIGNAL_START)
        part.receives(consumer, key, [*names, SIGNALLED])
        for owner in sorted({OWNER[kind] for kind in kinds}):
            part.sends(owner, key, [*(kind.__name__ for kind in kinds if OWNER[kind] == owner), SIGNALLED])


def _saga(part: Part) -> None:
    key, owner = "temporal.orchestration.saga", CHECKOUT.owner
    decisions = [kind.__name__ for kind in (CHECKOUT.confirmed, CHECKOUT.cancelled)]
    what = "The workflow of one order: started with it, signalled a decision that was taken outside the workflow."
    workflow = {"workflowType": SagaWorkflow.TYPE, "workflowId": "{order_id}", "signal": SagaWorkflow.SIGNAL}
    part.channel(key, modes_of("temporal", ORCHESTRATION), _content(owner, what, workflow), decisions, TEMPORAL)
    _add_start(part, key, SAGA_START)
    _add_start(part, key, SIGNAL_START)
    for add in (part.sends, part.receives):
        add(owner, key, [*decisions, STARTED, SIGNALLED])


def _activities(part: Part) -> None:
    modes, owner = modes_of("temporal", ORCHESTRATION), CHECKOUT.owner
    for step in CHECKOUT.steps:
        service = step.participant
        asked, answered = (f"temporal.orchestration.{service}.{kind}" for kind in ("activities", "results"))
        commands, events = ([kind.__name__ for kind in table[service]] for table in (COMMANDS_OF, EVENTS_OF))
        what = f"The activities of {service}; the type of each is the name of its command."
        part.channel(
            asked, modes, _content(service, what, {"activityType": "{name of the message}"}), commands, TEMPORAL
        )
        result = _content(service, f"The results of the activities of {service}.", {}) | {"address": None}
        part.channel(answered, modes, result, events, TEMPORAL)
        messages = [{"$ref": f"#/channels/{answered}/messages/{name}"} for name in sorted(events)]
        reply = {"channel": {"$ref": f"#/channels/{answered}"}, "messages": messages}
        part.sends(owner, asked, commands, reply=reply)
        part.receives(service, asked, commands, reply=reply)


def _content(service: str, what: str, more: Json) -> Json:
    queue = QUEUE.format(service)
    return {
        "address": queue,
        "description": what,
        "servers": [{"$ref": "#/servers/temporal"}],
        "x-temporal": {"taskQueue": queue, **more},
    }


def _add_start(part: Part, key: str, name: str) -> None:
    part.channels[key]["messages"][name.rpartition(".")[2]] = {"$ref": f"#/components/messages/{name}"}
