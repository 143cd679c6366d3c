"""The outside world as a service sees it: calls under a key, and definitive answers.

Guarantee: whoever implements `Provider` gives the same answer to the same key for ever, and tells "no" (an outcome:
`declined`, or `refused`, a call that will never be processed) from "nobody knows" (`OutcomeUnknown`: call again, same
key) and from "you must not ask this" (`ProviderRejected`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from sagakit.wording import Stated

ENDED_BY_OPERATOR: Final = "ended_by_operator"
"""The code of an outcome that an operator gave, where the provider gave none."""


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """What is asked of a provider. `key` is derived, `{subject}/{operation}`; `payload` is a JSON object."""

    key: str
    provider: str
    operation: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProviderOutcome:
    """The definitive answer: `code` says why it is not ok, `reference` is the provider's name for it."""

    outcome: Literal["ok", "declined", "refused"]
    code: str = ""
    reference: str = ""


class OutcomeUnknown(Stated):
    """The call may or may not have had its effect; only calling the same key again can tell."""


class ProviderRejected(Stated):
    """The provider refused to process the call, without effect: a defect or a wrong setting of ours."""


class Provider(Protocol):
    """A party in the outside world."""

    async def call(self, call: ProviderCall) -> ProviderOutcome:
        """The outcome of the call; raises `OutcomeUnknown` or `ProviderRejected`."""

    def decide_now(self, call: ProviderCall) -> ProviderOutcome | None:
        """The outcome without any I/O, or None where that is impossible."""

    async def close(self) -> None:
        """Give back connections."""


Opened = Callable[[ProviderCall], ProviderCall]
"""Makes of a call as it is stored one as the provider is to get it: what is sealed in it is opened, in memory alone."""


def as_it_is(call: ProviderCall) -> ProviderCall:
    """For a service whose calls hold nothing sealed."""
    return call


class InstantProvider:
    """Decides by a pure function of the call, opened: no network, no state, no failure."""

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
