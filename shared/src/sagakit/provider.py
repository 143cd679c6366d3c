"""The outside world as a service sees it: calls under a key, and definitive answers.

Guarantee: a `Provider` always gives the same answer to the same key. It distinguishes a definitive "no" (an outcome:
`declined`, or `refused` for a call that will never be processed) from an unknown outcome (`OutcomeUnknown`: call again
under the same key) and from a call that it must not be sent (`ProviderRejected`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from sagakit.wording import Stated

ENDED_BY_OPERATOR: Final = "ended_by_operator"
"""The code of an outcome that was given by an operator, because the provider gave none."""


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """A request to a provider. `key` is derived, `{subject}/{operation}`; `payload` is a JSON object.

    `traceparent` is the trace context of the command that asked for it.
    """

    key: str
    provider: str
    operation: str
    payload: Mapping[str, Any]
    traceparent: str | None = None

    @property
    def subject(self) -> str:
        """The id of what the call is about."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class ProviderOutcome:
    """The definitive answer: `code` says why it is not ok, `reference` is the provider's own id of it."""

    outcome: Literal["ok", "declined", "refused"]
    code: str = ""
    reference: str = ""


class OutcomeUnknown(Stated):
    """The call may or may not have had its effect; only calling the same key again can tell."""


class ProviderRejected(Stated):
    """The provider refused to process the call, which had no effect: a defect or a wrong setting on this side."""


class Provider(Protocol):
    """A party in the outside world."""

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        """The outcome of the call; raises OutcomeUnknown or ProviderRejected."""

    def decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        """The outcome without any I/O; None if the provider has to be called."""

    async def close(self) -> None:
        """Close connections."""


Opened = Callable[[ProviderCall], ProviderCall]
"""Turns a stored call into the one that the provider gets: sealed fields are opened, in memory only."""


def as_it_is(call: ProviderCall) -> ProviderCall:
    """The call unchanged: for a service whose calls have no sealed fields."""
    return call


class InstantProvider:
    """Decides by a pure function of the opened call: no network, no state, no failure."""

    def __init__(self, rules: Callable[[ProviderCall], ProviderOutcome], opened: Opened = as_it_is) -> None:
        self._rules, self._opened = rules, opened

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        """The outcome, at once."""
        return self._rules(self._opened(call))

    def decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        """The outcome, never None."""
        return self._rules(self._opened(call))

    async def close(self) -> None:
        """Nothing to give back."""
