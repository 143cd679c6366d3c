"""How long sagas take, from their start to each event of their owner, as a histogram.

A process observes the sagas that were placed here, as far as it also records what follows. Of several replicas each
observes a part: which one records an event does not depend on how long the saga took. While spans are made, trace ids
are exemplars.
"""

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Histogram

from sagakit.ports import Changes
from sagakit.service import Service
from sagakit.tracing import tracing

MOST: Final = 50_000  # sagas under way; the oldest are forgotten


class Durations:
    """`committed` is called after every commit of this process."""

    def __init__(
        self, service: Service, histogram: Histogram, clock: Callable[[], float] = time.monotonic, most: int = MOST
    ) -> None:
        """`histogram` has the labels `event` and `outcome`: the decision, or the reason why it was cancelled."""
        self._phases, self._private = service.phases, frozenset(kind.__name__ for kind in service.private)
        self._histogram, self._clock, self._most = histogram, clock, most
        self._started: dict[str, tuple[float, str]] = {}
        self._children: dict[tuple[str, str], Histogram] = {}  # to find one by its labels takes a lock

    def committed(self, changes: Changes) -> None:
        """Observe the events of a commit; the first one of a saga starts its clock, the last one ends it."""
        for entry in changes.journal:
            event, name = entry.event, type(entry.event).__name__
            phase = self._phases.get(name)
            if phase == "start":
                self._started[event.subject] = (self._clock(), "")
                if len(self._started) > self._most:
                    del self._started[next(iter(self._started))]
            elif (started := self._started.get(event.subject)) is not None:
                since, outcome = started
                if phase == "decide":
                    outcome = getattr(event, "reason", None) or "CONFIRMED"
                    self._started[event.subject] = (since, outcome)
                elif name not in self._private:
                    del self._started[event.subject]
                labels = name, outcome
                if (child := self._children.get(labels)) is None:
                    child = self._children[labels] = self._histogram.labels(*labels)
                # without tracing nobody could look the trace up
                exemplar = {"trace_id": entry.traceparent[3:35]} if tracing.on and entry.traceparent else None
                child.observe(self._clock() - since, exemplar)
