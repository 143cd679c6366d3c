"""A load on the running stack while something else is measured: that of `make load`, ended when the measurement is."""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGUSR1
from typing import Final

from loadtests.bench.measure import samples
from loadtests.run import invocation, settings

WARMUP: Final = 10.0  # seconds
LONGEST: Final = 900  # seconds


@contextmanager
def load(stack: Mapping[str, str], rate: str) -> Iterator[None]:
    """So many orders a second, of all kinds, for as long as the context is open."""
    values = settings({"RATE": rate, "DURATION": str(LONGEST)})
    with tempfile.TemporaryDirectory() as folder:
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


def placed(stack: Mapping[str, str]) -> int:
    """How many orders the order service has accepted since it started."""
    return int(
        sum(
            sample.value
            for sample in samples(stack["ORDER_URL"])
            if sample.name == "saga_commands_total" and sample.labels.get("outcome") == "OrderPlaced"
        )
    )
