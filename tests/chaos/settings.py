"""The settings of `make chaos`, read from the environment here only, and how the programs beside it read theirs.

Standard library only.

`make chaos` runs this module before anything is installed: a bad value ends with one line and exit status 2.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.shoppers import mix
from sagakit.modes import DEFAULT, MODES, resolve
from tests.chaos.faults import MODULES

ALL: Final = "all"
USUAL: Final = "kill,pause,broker-restart,db-restart"
FOLDER: Final = Path(__file__).resolve().parent
STACK_DIR: Final = FOLDER.parents[1] / ".stack" / "chaos"
REPORTS: Final = FOLDER.parents[1] / "reports"
PORT_OFFSET: Final = 16000

NATIVE: Final = "native"
DOCKER: Final = "docker"
READY_TIMEOUT: Final = "180"
"""Seconds until a stack in containers must be ready."""

RATE: Final = 5.0
"""Orders a second in a mode that is not in SLOW."""

SLOW: Final[Mapping[str, float]] = {"temporal-choreography": 2.5}
"""Mode -> orders a second, where RATE is more than can be drained between two faults.

While faults are in force nothing completes for about half of the time, so twice the rate has to be carried to keep up,
and more to drain what an outage has left within the bounds of the checks: a rate is at most DRAINABLE of what the
machine carries (`2 cores full at` in docs/scaling.md). A test compares the two.
"""

DRAINABLE: Final = 0.3

STACK: Final[Mapping[str, str]] = {
    "PROVIDERS": "sandbox",
    "FAULT_INJECTION": "on",
    "TEMPORAL_UI": "off",
    "LOG_LEVEL": "WARNING",
    "SAGA_DEADLINE": "30",
    "SQS_VISIBILITY": "5",
    "OUTBOX_LEASE": "5",
    "KAFKA_SESSION_TIMEOUT": "3",
}
"""A stack of its own. Visibility time-outs, leases and sessions last at most 5 s, so that a pause of 8 s is longer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run. `duration`: seconds of load at least; `mix`: the kinds of orders.

    `rate`: orders a second; None: what the mode can drain, see `rate_in`.

    `running`: the folder of a stack that runs already; None: the run brings up its own and deletes it afterwards.
    `modes` is empty where such a stack is taken in the mode that it runs in. `home`: the folder of a stack of its own,
    which runs natively or in containers (`stack`: NATIVE or DOCKER).
    """

    faults: tuple[str, ...]
    modes: tuple[str, ...]
    duration: float = 60.0
    rate: float | None = None
    seed: int = 1
    mix: str = ALL
    replicas: int = 1
    port_offset: int = PORT_OFFSET
    experiment: Path | None = None
    plant: str | None = None
    running: Path | None = None
    stack: str = NATIVE
    home: Path = STACK_DIR
    reports: Path = REPORTS

    def rate_in(self, mode: str) -> float:
        """Orders a second in that mode."""
        return SLOW.get(mode, RATE) if self.rate is None else self.rate

    def too_fast(self, mode: str, rate: float) -> str:
        """Why the checks of time may be false for that rate alone; empty if it is none too high for the mode."""
        if rate <= SLOW.get(mode, rate):
            return ""
        return f"{rate:g} orders/s is more than {mode} can drain between faults ({SLOW[mode]:g}, docs/reliability.md)"

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of a stack of the run's own."""
        where = {"STACK": self.stack, **({"READY_TIMEOUT": READY_TIMEOUT} if self.stack == DOCKER else {})}
        return {**STACK, **where, "REPLICAS": str(self.replicas)}

    def _faults(self) -> str:
        return ALL if set(self.faults) == set(MODULES) else ",".join(self.faults)

    def command(self, mode: str) -> str:
        """The command that repeats the run of one mode."""
        what = f"EXPERIMENT={named(self.experiment)}" if self.experiment else f"FAULTS={self._faults()}"
        more = f" MIX={self.mix}" if self.mix != ALL else ""
        more += f" REPLICAS={self.replicas}" if self.replicas > 1 else ""
        more += f" PLANT={self.plant}" if self.plant else ""
        more += f" STACK={DOCKER}" if self.stack == DOCKER else ""
        load = f"DURATION={self.duration:g} RATE={self.rate_in(mode):g} SEED={self.seed}"
        return f"make chaos {what} MODES={mode} {load}{more}"


def read(environ: Mapping[str, str]) -> Settings:
    """The settings; ValueError with one line that names the variable and what is valid."""
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    if "EXPERIMENT" in given and "FAULTS" in given:
        raise ValueError("EXPERIMENT and FAULTS exclude each other: an experiment names its faults itself")
    running = _running(given.get("STACK_DIR"))
    if "PLANT" in given and given.get("STACK") == DOCKER:
        raise ValueError("PLANT and STACK=docker exclude each other: the images would keep the planted bug")
    modes = given.get("MODES") or ("" if running else given.get("COORDINATION_MODE", DEFAULT))
    return Settings(
        faults=_faults(given.get("FAULTS", USUAL)),
        modes=modes_of(modes),
        duration=number(given, "DURATION", 60.0, 3600),
        rate=number(given, "RATE", RATE, 1000) if "RATE" in given else None,
        seed=whole(given, "SEED", 1, 0, 2**32),
        mix=_mix(given.get("MIX", ALL)),
        replicas=whole(given, "REPLICAS", 1, 1, 4),
        port_offset=whole(given, "PORT_OFFSET", PORT_OFFSET, 0, 50000),
        experiment=_experiment(given.get("EXPERIMENT")),
        plant=_plant(given.get("PLANT")),
        running=running,
        stack=_stack(given.get("STACK", NATIVE)),
        reports=Path(given["REPORTS"]).resolve() if "REPORTS" in given else REPORTS,
    )


def named(experiment: Path) -> str:
    """The value of EXPERIMENT= for a file: the name of one of ours, or else its path."""
    return experiment.stem if experiment.parent == FOLDER / "experiments" else str(experiment)


def plants() -> tuple[str, ...]:
    """The known bugs that PLANT= can put into a copy of the tree."""
    return tuple(sorted(path.stem for path in (FOLDER / "plants").glob("*.patch")))


def experiments() -> tuple[str, ...]:
    """The experiments that come with the repository, by name."""
    return tuple(sorted(path.stem for path in (FOLDER / "experiments").glob("*.yaml")))


def _faults(text: str) -> tuple[str, ...]:
    return tuple(MODULES) if text == ALL else chosen("FAULTS", names_in(text), MODULES, ALL)


def modes_of(text: str) -> tuple[str, ...]:
    """The canonical names of the modes in the text, each once; ValueError names MODES and what is valid."""
    if text == ALL:
        return tuple(MODES)
    try:
        return tuple(dict.fromkeys(resolve(name) for name in names_in(text)))
    except ValueError as error:
        raise ValueError(f"MODES: {str(error).replace('COORDINATION_MODE=', '')}; or all") from None


def names_in(text: str) -> list[str]:
    """The names in the text, which are separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def chosen(variable: str, names: Sequence[str], valid: Mapping[str, object], *more: str) -> tuple[str, ...]:
    """The names, each once; ValueError if one is not valid, or there is none. `more`: what else may be written."""
    for name in names:
        if name not in valid:
            raise ValueError(f"{variable}={name} is unknown; valid are: {', '.join((*more, *valid))}")
    if not names:
        raise ValueError(f"{variable} names nothing; valid are: {', '.join((*more, *valid))}")
    return tuple(dict.fromkeys(names))


def _mix(text: str) -> str:
    mix(text)
    return text


def number(given: Mapping[str, str], name: str, default: float, most: float) -> float:
    """The variable as a number above 0, at most `most`; ValueError with one line that names it."""
    raw = given.get(name) or str(default)
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not 0 < value <= most:
        raise ValueError(f"{name}={raw} must be a number greater than 0, at most {most:g}")
    return value


def whole(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """The variable as a whole number from `least` to `most`; ValueError with one line that names it."""
    raw = given.get(name) or str(default)
    if not raw.isdecimal() or not least <= int(raw) <= most:
        raise ValueError(f"{name}={raw} must be a whole number from {least} to {most}")
    return int(raw)


def _experiment(text: str | None) -> Path | None:
    """A file, or the name of one of ours."""
    if text is None:
        return None
    ours = FOLDER / "experiments" / f"{text}.yaml"
    path = ours if text in experiments() else Path(text)
    if not path.is_file():
        raise ValueError(f"EXPERIMENT={text} is no file; ours are: {', '.join(experiments()) or 'none'}")
    return path


def _stack(text: str) -> str:
    """`auto` is native here: nothing has to be built before the run."""
    if text not in ("auto", NATIVE, DOCKER):
        raise ValueError(f"STACK={text} is unknown; valid are: {NATIVE}, {DOCKER}")
    return DOCKER if text == DOCKER else NATIVE


def _plant(text: str | None) -> str | None:
    if text is not None and text not in plants():
        raise ValueError(f"PLANT={text} is unknown; valid are: {', '.join(plants()) or 'none'}")
    return text


def _running(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text).resolve()
    if not (path / "run" / "stack.json").is_file():
        raise ValueError(
            f"STACK_DIR={text} holds no stack that was brought up; leave it out, or: STACK_DIR={text} make up"
        )
    return path


if __name__ == "__main__":  # make asks before anything is set up
    try:
        read(os.environ)
    except ValueError as wrong:
        print(wrong)
        raise SystemExit(2) from None
