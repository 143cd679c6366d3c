"""A load on the running stack while something else is measured: that of `make load`, ended when the measurement is."""

import json
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGUSR1
from typing import Final

from loadtests.bench.measure import samples
from loadtests.history import OPS
from loadtests.run import invocation, settings
from loadtests.shoppers import mix, pick

WARMUP: Final = 10.0  # seconds
LONGEST: Final = 900  # seconds


@contextmanager
def load(stack: Mapping[str, str], rate: str, period: float | None = None) -> Iterator[None]:
    """So many orders a second, of all kinds, for as long as the context is open.

    With a period the same orders arrive again in each period of so many seconds: two windows of that length then
    differ by what is done in them, and not by how many orders happened to arrive.
    """
    values = settings({"RATE": rate, "DURATION": str(LONGEST)})
    with tempfile.TemporaryDirectory() as folder:
        if period:
            values["TRACE"] = str(_repeated(Path(folder) / "arrivals.jsonl", float(rate), period))
        command, environment = invocation(values, stack, Path(folder))
        locust = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            time.sleep(WARMUP)
            if locust.poll() is not None:
                assert locust.stderr is not None
                raise SystemExit(f"Locust ended at once: {locust.stderr.read().decode()}")
            yield
        finally:
            locust.send_signal(SIGUSR1)
            locust.communicate(timeout=90)


def _repeated(file: Path, rate: float, period: float) -> Path:
    """Write a history in which the same orders, at random moments, arrive in each period."""
    dice, kinds, due, arrivals = random.Random(1), mix("all"), 0.0, []
    while (due := due + dice.expovariate(rate)) < period:
        arrivals.append((due, pick(kinds, dice).name))
    with file.open("w") as lines:
        for number in range(int(LONGEST / period) + 1):
            for due, kind in arrivals:
                order = {"type": "invoke", "op": OPS[0], "key": f"{number}/{due}", "kind": kind}
                lines.write(json.dumps({**order, "mono": number * period + due}) + "\n")
    return file


def placed(stack: Mapping[str, str]) -> int:
    """How many orders the order service has accepted since it started."""
    return int(
        sum(
            sample.value
            for sample in samples(stack["ORDER_URL"])
            if sample.name == "saga_commands_total" and sample.labels.get("outcome") == "OrderPlaced"
        )
    )
