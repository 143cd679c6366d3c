"""The settings of a bench, checked before anything is started."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final

from quartet_stack import settings as stack
from quartet_stack.settings import CHOICES, PORTS
from sagakit.modes import MODES, resolve

STACK_DIR: Final = ".stack/bench"
PORT_OFFSET: Final = "20000"
"""All ports stay below 32768, where the ephemeral ports begin."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """A bench to run: `rate` in orders/s, `duration`, `warmup` and `idle` in seconds, `runs` of each mode."""

    modes: tuple[str, ...]
    runs: int
    rate: float
    duration: int
    warmup: int
    idle: float
    providers: str
    seed: int

    def turns(self) -> Iterator[tuple[int, str]]:
        """Order the runs: run 1 of every mode, then run 2 of every mode, so that a slower machine slows all modes."""
        return ((number, mode) for number in range(1, self.runs + 1) for mode in self.modes)


def plan(environ: Mapping[str, str]) -> BenchPlan:
    """Read the plan from the environment, with defaults for what is not set.

    Raises:
        ValueError: A setting is wrong; one line names it.
        StackError: The same for a setting of the stack.
    """
    chosen = BenchPlan(
        modes=_modes(environ.get("MODES", "")),
        runs=int(_number(environ, "RUNS", 3, least=1, whole=True)),
        rate=_number(environ, "RATE", 5, least=0.1),
        duration=int(_number(environ, "DURATION", 20, least=1, whole=True)),
        warmup=int(_number(environ, "WARMUP", 5, whole=True)),
        idle=_number(environ, "IDLE", 5),
        providers=environ.get("PROVIDERS") or "instant",
        seed=int(_number(environ, "SEED", 1, whole=True)),
    )
    if chosen.providers not in CHOICES["PROVIDERS"]:
        raise ValueError(f"PROVIDERS={chosen.providers} is not known; valid: {', '.join(CHOICES['PROVIDERS'])}")
    stack.resolve({**environ, **stack_settings(chosen, environ)})
    return chosen


def stack_settings(chosen: BenchPlan, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of the bench's own stack: one process for each service, and ports of its own."""
    return {
        **dict.fromkeys(PORTS, ""),
        "COORDINATION_MODE": chosen.modes[0],
        "STACK_DIR": environ.get("BENCH_STACK_DIR") or STACK_DIR,
        "PORT_OFFSET": environ.get("BENCH_PORT_OFFSET") or PORT_OFFSET,
        "PROVIDERS": chosen.providers,
        "STACK": "native",
        "REPLICAS": "1",
        "FAULT_INJECTION": "off",
    }


def _modes(raw: str) -> tuple[str, ...]:
    names = [name.strip() for name in raw.split(",") if name.strip()]
    try:
        return tuple(dict.fromkeys(map(resolve, names))) or tuple(MODES)
    except ValueError as error:
        raise ValueError(str(error).replace("COORDINATION_MODE", "MODES", 1)) from None


def _number(environ: Mapping[str, str], name: str, default: float, least: float = 0, whole: bool = False) -> float:
    raw = environ.get(name, "").strip() or str(default)
    try:
        value = float(int(raw) if whole else raw)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value < least:
        raise ValueError(f"{name}={raw} is not valid: expected a {'whole ' * whole}number, {least:g} or more")
    return value
