"""Every fault by name. A module is imported only when one of its faults is chosen: names are checked before that."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.chaos.model import Fault

MODULES: Final[Mapping[str, str]] = {
    "kill": "processes",
    "pause": "processes",
    "broker-restart": "brokers",
    "broker-kill": "brokers",
    "db-restart": "databases",
    "rolling-restart": "rollout",
    "scale": "rollout",
    "switch": "rollout",
    "provider-unknown": "providers",
    "provider-late": "providers",
    "provider-flaky": "providers",
    "provider-down": "providers",
    "cut": "network",
    "latency": "network",
    "jitter": "network",
    "slow": "network",
    "reset": "network",
    "half-open": "network",
    "answers-lost": "network",
    "duplicated": "messages",
    "reordered": "messages",
    "delayed": "messages",
    "concurrent": "messages",
    "poisoned": "messages",
    "stranger": "messages",
    "pool-exhausted": "resources",
    "frozen-transaction": "resources",
    "slow-consumer": "resources",
    "rebalance-storm": "resources",
    "disk-full": "disk",
    "promote": "standby",
}
"""Name of the fault, as in FAULTS= -> the module of this package whose mapping `FAULTS` holds it."""


def load(name: str) -> Fault:
    """The fault of that name; KeyError for an unknown one."""
    module = import_module(f"tests.chaos.faults.{MODULES[name]}")
    fault: Fault = module.FAULTS[name]
    return fault
