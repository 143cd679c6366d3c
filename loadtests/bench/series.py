"""All runs of a bench, in turn: what is finished in its folder already is not run again.

The folder has raw.json, which holds all but the runs as soon as the first run has been made, and for each turn a folder
with `run.json`, all attempts at it. A bench that was interrupted goes on with the first run that has no such file.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from loadtests.bench.disturbance import reason
from loadtests.bench.record import Discarded, Record, Run
from loadtests.bench.storage import read, read_attempts, write
from loadtests.bench.turns import Turn

RAW: Final = "raw.json"
RUN: Final = "run.json"


@dataclass(frozen=True, slots=True)
class Series:
    """The folder of a bench, and the runs in it."""

    folder: Path

    def target(self, turn: Turn) -> Path:
        """The folder of a run."""
        return self.folder / turn.name

    def record(self, begun: Record) -> Record:
        """Put together what is finished, begin with `begun` where nothing is.

        Raises:
            BadRecord: The folder holds something else than a bench.
            ValueError: It holds a bench with another plan, of another commit or another machine.
        """
        if not (self.folder / RAW).exists():
            return begun
        kept = read(self.folder / RAW)
        for name, before, now in (
            ("commit", kept.commit, begun.commit),
            ("machine", kept.machine.name, begun.machine.name),
            ("plan", kept.plan, begun.plan),
        ):
            if before != now:
                raise ValueError(
                    f"{self.folder} holds a bench with another {name}: {before}, now it is {now}; "
                    "choose another REPORT, or make them equal"
                )
        return self._assembled(kept)

    def left(self, record: Record) -> list[Turn]:
        """The runs that are still to be made."""
        return [turn for turn in record.turns if not (self.target(turn) / RUN).exists()]

    def keep(self, record: Record, turn: Turn, made: tuple[Run, ...]) -> Record:
        """Write all attempts at a run; returns the record with it, which is written as well."""
        if not (self.folder / RAW).exists():
            write(record, self.folder / RAW)  # first: runs without a plan could not be gone on with
        self.target(turn).mkdir(parents=True, exist_ok=True)
        write(made, self.target(turn) / RUN)
        record = self._assembled(record)
        write(record, self.folder / RAW)
        return record

    def _assembled(self, record: Record) -> Record:
        """The record with all finished runs: the last attempt at each counts, the others are discarded."""
        paths = [self.target(turn) / RUN for turn in record.plan.turns()]
        made = [read_attempts(path) for path in paths if path.exists()]
        return replace(
            record,
            runs=tuple(of_turn[-1] for of_turn in made),
            discarded=tuple(Discarded(run, reason(run, record.plan)) for of_turn in made for run in of_turn[:-1]),
        )
