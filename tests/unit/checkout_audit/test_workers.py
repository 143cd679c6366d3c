"""The processes that judge side by side."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.waits import ENDS

FORKS = """
import multiprocessing, os, time
from checkout_audit.workers import end_with_parent

def work():
    end_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(600)

multiprocessing.get_context("fork").Process(target=work).start()
time.sleep(600)
"""


def test_a_process_of_an_audit_that_is_killed_ends_too() -> None:
    with subprocess.Popen([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert running(child)
        parent.kill()
    deadline = time.monotonic() + ENDS
    while running(child) and time.monotonic() < deadline:
        time.sleep(0.01)  # nobody is told when a process ends that is not a child
    if left := running(child):
        os.kill(child, 9)
    assert not left


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
