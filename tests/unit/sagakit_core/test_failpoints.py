"""A failpoint that pauses stops the whole process, and a helper continues it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

PAUSED = """
import asyncio, threading, time
from sagakit.faults import Failpoint, failpoints

ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.01)

async def main():
    threading.Thread(target=tick, daemon=True).start()
    failpoints.set([Failpoint("before-commit", "pause", hit=2, seconds=0.6)])
    await failpoints.pass_by("before-commit")
    print("passed once", flush=True)
    await failpoints.pass_by("before-commit")
    time.sleep(0.05)
    print(max(later - earlier for earlier, later in zip(ticks, ticks[1:])), failpoints.fired, flush=True)

asyncio.run(main())
"""


@pytest.mark.timeout(60)
def test_a_pause_stops_all_threads_of_the_process_and_ends_by_itself() -> None:
    with subprocess.Popen([sys.executable, "-c", PAUSED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "passed once\n"
        while state(process.pid) != "T":
            assert process.poll() is None, "it was not stopped"
            time.sleep(0.005)
        longest, _, fired = process.stdout.readline().partition(" ")
    assert process.returncode == 0
    assert float(longest) >= 0.5, "a thread went on"
    assert fired == "{'before-commit': 1}\n"


def state(pid: int) -> str:
    """The state of a process, such as T if it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
