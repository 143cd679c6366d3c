"""Processes that are paused: they stand still before anything is asked whether they answer."""

import asyncio
import signal
import sys

import psutil

from tests.chaos.faults.processes import _stopped


async def test_a_paused_process_and_one_that_has_ended_stand_still() -> None:
    words = (sys.executable, "-c", "print(flush=True)\nwhile True: pass")
    busy = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert busy.stdout is not None
    await busy.stdout.readline()
    process = psutil.Process(busy.pid)
    waiting = asyncio.create_task(_stopped([process]))
    try:
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done, "it still runs"
        process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(10):
            await waiting
        assert process.status() == psutil.STATUS_STOPPED
    finally:
        busy.kill()
        await busy.wait()
    async with asyncio.timeout(10):
        await _stopped([process])
