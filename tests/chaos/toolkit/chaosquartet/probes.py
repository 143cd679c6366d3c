"""Probes for a steady-state hypothesis; each returns true or false, and logs why.

`settled` and `audit` look at the stack. The other checks of `make chaos` are about a whole run, of which `chaos run`
keeps no history: they exist so that our experiments are valid, and raise OnlyInMakeChaos.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from checkout_audit.audit import AuditOptions, examine
from checkout_audit.drain import drain
from checkout_audit.target import Target
from tests.chaos.checks import CHECKS

from . import running

__all__ = ["audit", "settled"]

RUNS: Final = tuple(name for name in CHECKS if name not in ("audit", "settled"))
"""The checks that need the history of a run."""

logger: Final = logging.getLogger("chaostoolkit")


class OnlyInMakeChaos(Exception):
    """This check needs `make chaos`; the message says what to do."""


def settled(seconds: float = 15.0) -> bool:
    """Whether within that many seconds every order has ended and settled, and no message is in flight."""
    target = Target.from_environment(running.stack().environment)
    left = asyncio.run(drain(target.databases, seconds))
    logger.info("settled: %s", f"not after {seconds:g} s: {left}" if left else "nothing is in flight")
    return not left


def audit(seconds: float = 60.0) -> bool:
    """Whether the audit is clean, once nothing is in flight or after that many seconds.

    A stack without orders passes: before the method there may be none.
    """
    stack = running.stack()
    question = AuditOptions(accounted=frozenset(stack.accounted))
    report = asyncio.run(examine(Target.from_environment(stack.environment), question, seconds))
    orders = sum(report.tally.orders.values())
    broken = ", ".join(map(str, sorted(report.violated)))
    logger.info("audit: %s over %d orders", f"invariants {broken} violated" if broken else "consistent", orders)
    return report.consistent and report.drained


def _of_a_run(check: str) -> Callable[[], bool]:
    def probe() -> bool:
        raise OnlyInMakeChaos(f"{check} is judged by the history of a run: use make chaos EXPERIMENT=, or take it out")

    probe.__name__ = probe.__qualname__ = check
    probe.__doc__ = f"The check {check} of `make chaos`. Raises OnlyInMakeChaos."
    return probe


globals().update({name: _of_a_run(name) for name in RUNS})
