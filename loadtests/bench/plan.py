"""The settings of a bench, checked before anything is started."""

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from loadtests.bench.parts import BACKLOG, COLD_START, FLOOR, PARTS, PEER, STEADY, part
from loadtests.bench.peers.names import FLOORS, PEERS
from loadtests.bench.turns import Turn
from quartet_stack import settings as stack
from quartet_stack.settings import CHOICES, PORTS
from sagakit.modes import MODES, resolve

STACK_DIR: Final = ".stack/bench"
PORT_OFFSET: Final = "20000"
"""All ports stay below 32768, where the ephemeral ports begin."""


DEFAULTS: Final[Mapping[str, str]] = {
    "RUNS": "3",
    "RATE": "5",
    "DURATION": "20",
    "WARMUP": "5",
    "SETTLE": "2",
    "IDLE": "5",
    "SEED": "1",
    "PROVIDERS": "instant",
    "STEAL_MAX": "2",
    "FOREIGN_MAX": "10",
    "PARTS": STEADY,
    "PEERS": "none",
    "STEP": "6",
    "OBJECTIVE": "1000",
    "BACKLOG": "10000",
}
PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "QUICK": {"DURATION": "10", "WARMUP": "3", "SETTLE": "1", "IDLE": "2", "STEP": "4"},
    "FULL": {"RUNS": "5", "RATE": "2,5,8", "DURATION": "18", "IDLE": "3", "PARTS": "all", "PEERS": "all"},
}
"""What QUICK=1 and FULL=1 change in DEFAULTS; a setting that is given counts more."""
LEAST_RUNS: Final = 5
"""Rounds of FULL=1 at least."""


START: Final = 10.0
"""Seconds that the stack takes to start in another mode, about."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """A bench to run: `runs` of each mode at each of `rates` (orders/s); times in seconds, limits in percent.

    After `warmup` and `idle`, orders arrive for `settle` and then for `duration`, the steady window. A run in which
    more than `steal_max` or `foreign_max` of the machine's CPU went to its host or to other programs is repeated.
    `parts` are measured of each mode, and one rate of each of `peers`. A rate holds if its p99 is at most `objective`
    (ms) over `step` seconds; a backlog has `backlog` orders.
    """

    modes: tuple[str, ...]
    runs: int
    rates: tuple[float, ...]
    duration: int
    warmup: int
    settle: int
    idle: float
    providers: str
    seed: int
    steal_max: float
    foreign_max: float
    parts: tuple[str, ...] = (STEADY,)
    peers: tuple[str, ...] = ()
    step: float = 6.0
    objective: float = 1000.0
    backlog: int = 10_000

    @property
    def middle(self) -> float:
        """The rate of all parts that have one rate only."""
        return self.rates[len(self.rates) // 2]

    def turns(self) -> list[Turn]:
        """Order the runs: each round visits every mode and peer once, in an order that the seed draws.

        So a machine that becomes slower slows all modes, and no mode always follows the same other one. A visit has
        all parts of the mode, so that the stack changes its mode once for all of them.
        """
        return [turn for number in range(1, self.runs + 1) for turn in self._round(number)]

    def seconds(self, turn: Turn) -> float:
        """How long a run takes, about, without the start of the stack."""
        load = 0 if turn.part in (COLD_START, BACKLOG) else self.settle + self.duration
        return load + part(turn.part).seconds

    def estimate(self, turns: Sequence[Turn]) -> float:
        """How many seconds these runs take together, about."""
        visits = len({(turn.number, turn.mode) for turn in turns})
        return visits * (START + self.warmup + self.idle) + sum(map(self.seconds, turns))

    def _round(self, number: int) -> Iterator[Turn]:
        dice = random.Random(f"{self.seed}/{number}")
        visited = [*self.modes, *self.peers]
        dice.shuffle(visited)
        for mode in visited:
            if mode in self.peers:
                yield Turn(number, mode, self.middle, FLOOR if mode in FLOORS else PEER)
            else:
                yield from self._visit(number, mode, dice)

    def _visit(self, number: int, mode: str, dice: random.Random) -> Iterator[Turn]:
        for name in self.parts:
            if number <= PARTS[name].rounds and (PARTS[name].everywhere or mode in self._one_of_each()):
                rates = list(self.rates) if name == STEADY else [self.middle]
                dice.shuffle(rates)
                yield from (Turn(number, mode, rate, name) for rate in rates)

    def _one_of_each(self) -> set[str]:
        """The first mode of each transport."""
        return set({MODES[mode].substrate: mode for mode in reversed(self.modes)}.values())


def plan(environ: Mapping[str, str]) -> BenchPlan:
    """Read the plan from the environment, with defaults for what is not set.

    Raises:
        ValueError: A setting is wrong; one line names it.
        StackError: The same for a setting of the stack.
    """
    preset = _preset(environ)
    values = {**DEFAULTS, **PRESETS.get(preset, {})}
    values |= {name: given for name in values if (given := environ.get(name, "").strip())}
    chosen = BenchPlan(
        modes=_modes(environ.get("MODES", "")),
        runs=int(_number(values, "RUNS", least=1, whole=True)),
        rates=_rates(values["RATE"]),
        duration=int(_number(values, "DURATION", least=1, whole=True)),
        warmup=int(_number(values, "WARMUP", whole=True)),
        settle=int(_number(values, "SETTLE", whole=True)),
        idle=_number(values, "IDLE"),
        providers=values["PROVIDERS"],
        seed=int(_number(values, "SEED", whole=True)),
        steal_max=_number(values, "STEAL_MAX"),
        foreign_max=_number(values, "FOREIGN_MAX"),
        parts=_chosen(values, "PARTS", PARTS),
        peers=_chosen(values, "PEERS", PEERS),
        step=_number(values, "STEP", least=1),
        objective=_number(values, "OBJECTIVE", least=1),
        backlog=int(_number(values, "BACKLOG", least=1, whole=True)),
    )
    if preset == "FULL" and chosen.runs < LEAST_RUNS:
        raise ValueError(f"RUNS={chosen.runs} is not valid with FULL=1: expected {LEAST_RUNS} or more")
    if chosen.providers not in CHOICES["PROVIDERS"]:
        raise ValueError(f"PROVIDERS={chosen.providers} is not known; valid: {', '.join(CHOICES['PROVIDERS'])}")
    stack.resolve({**environ, **stack_settings(chosen, environ)})
    return chosen


def command(environ: Mapping[str, str], also: Sequence[str] = ()) -> str:
    """The command that makes a bench with these settings again; `also`: other variables to name where they are set."""
    names = (*PRESETS, "MODES", *DEFAULTS, *also)
    return " ".join(["make bench", *(f"{name}={environ[name]}" for name in names if environ.get(name, "").strip())])


def stack_settings(chosen: BenchPlan, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of the bench's own stack: one process for each service, and ports of its own."""
    return {
        **dict.fromkeys((*PORTS, "TEMPORAL_STORE"), ""),
        "COORDINATION_MODE": chosen.modes[0],
        "STACK_DIR": environ.get("BENCH_STACK_DIR") or STACK_DIR,
        "PORT_OFFSET": environ.get("BENCH_PORT_OFFSET") or PORT_OFFSET,
        "PROVIDERS": chosen.providers,
        "STACK": "native",
        "REPLICAS": "1",
        "FAULT_INJECTION": "off",
    }


def _preset(environ: Mapping[str, str]) -> str:
    """The preset that is chosen, or an empty text.

    Raises:
        ValueError: Both are chosen, or a value is neither 0 nor 1.
    """
    for name in PRESETS:
        if environ.get(name, "") not in ("", "0", "1"):
            raise ValueError(f"{name}={environ[name]} is not valid: expected 1 or 0")
    chosen = [name for name in PRESETS if environ.get(name) == "1"]
    if len(chosen) > 1:
        raise ValueError("QUICK=1 and FULL=1 exclude each other: give one of them")
    return "".join(chosen)


def _modes(raw: str) -> tuple[str, ...]:
    names = [name.strip() for name in raw.split(",") if name.strip()]
    try:
        return tuple(dict.fromkeys(map(resolve, names))) or tuple(MODES)
    except ValueError as error:
        raise ValueError(str(error).replace("COORDINATION_MODE", "MODES", 1)) from None


def _chosen(values: Mapping[str, str], name: str, known: Collection[str]) -> tuple[str, ...]:
    """The names in a setting, or all or none of those that are known, in their order.

    Raises:
        ValueError: A name is not known.
    """
    names = [one.strip() for one in values[name].split(",")]
    if names in (["all"], ["none"]):
        return tuple(known) if names == ["all"] else ()
    if wrong := [one for one in names if one not in known]:
        raise ValueError(f"{name}={wrong[0]} is not known; valid: all, none, {', '.join(known)}")
    return tuple(one for one in known if one in names)


def _rates(raw: str) -> tuple[float, ...]:
    rates = [_number({"RATE": one.strip()}, "RATE", least=0.1) for one in raw.split(",")]
    return tuple(sorted(set(rates)))


def _number(values: Mapping[str, str], name: str, least: float = 0, whole: bool = False) -> float:
    raw = values[name]
    try:
        value = float(int(raw) if whole else raw)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value < least:
        raise ValueError(f"{name}={raw} is not valid: expected a {'whole ' * whole}number, {least:g} or more")
    return value
