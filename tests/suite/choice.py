"""The choice of tests for a run: FAST, MODE and NIGHTLY, read from the environment here only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sagakit.modes import MODES, resolve

YES: Final = ("1", "on", "true", "yes")
NO: Final = ("", "0", "off", "false", "no")
ALL: Final = tuple(MODES)


@dataclass(frozen=True, slots=True)
class Needs:
    """The needs of a test: a server of any kind, and the modes whose conformance or stack it tests (none: of no mode).

    `thorough`: no server, but many seconds of computing or waiting; `nightly`: too long for every run.
    """

    servers: bool = False
    modes: frozenset[str] = frozenset()
    nightly: bool = False
    thorough: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """`fast`: no servers, and nothing that takes many seconds; `modes`: of the tests with servers those of these modes;
    `nightly`: also what is long.
    """

    fast: bool = False
    modes: tuple[str, ...] = ALL
    nightly: bool = False

    def leaves_out(self, needs: Needs) -> str | None:
        """The reason why a test is not run, in the words of the report; None: it is run."""
        if needs.nightly and not self.nightly:
            return "are long (NIGHTLY=1 runs them)"
        if needs.servers and self.fast:
            return "need a server (FAST=1)"
        if needs.thorough and self.fast:
            return "take many seconds (FAST=1)"
        if needs.servers and self.modes != ALL and not needs.modes & set(self.modes):
            return "need a server and are not about MODE"
        return None

    def allows_servers(self) -> bool:
        """Whether servers may start; who starts one asserts it, so that an unmarked test fails with FAST=1."""
        return not self.fast

    def count(self, ordinary: int, nightly: int) -> int:
        """The number of schedules, orders or tries of a test."""
        return nightly if self.nightly else ordinary


def choice_of(environ: Mapping[str, str]) -> Choice:
    """Read the choice; ValueError, in one line, for an unknown value. MODE: modes or aliases, with commas."""
    names = {resolve(name.strip()) for name in environ.get("MODE", "").split(",") if name.strip()}
    modes = tuple(mode for mode in MODES if mode in names) if names else ALL
    return Choice(_flag(environ, "FAST"), modes, _flag(environ, "NIGHTLY"))


def _flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").lower()
    if value not in (*YES, *NO):
        valid = ", ".join(filter(None, YES + NO))
        raise ValueError(f"{name}={environ[name]!r} is neither on nor off; valid are: {valid}")
    return value in YES


def chosen() -> Choice:
    """The choice of this process; a worker inherits the environment."""
    return choice_of(os.environ)


if __name__ == "__main__":  # make and tests/run ask before anything is set up
    try:
        chosen()
    except ValueError as wrong:
        print(wrong)
        raise SystemExit(2) from None
