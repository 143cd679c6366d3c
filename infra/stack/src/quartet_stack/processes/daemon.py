"""The process of supervisord: whether it runs, even if it does not answer."""

from __future__ import annotations

import psutil

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.processes.polling import until
from quartet_stack.processes.programs import STOP_SECONDS

CONFIGURATION = "supervisord.conf"
SILENT_SECONDS = STOP_SECONDS  # a supervisord that is ending may not answer for so long


def refuse_silent(layout: Layout) -> None:
    """Return if no supervisord of this stack runs, or once the one that is ending has ended.

    Raises:
        StackError: It runs and does not answer, and so may its programs.
    """
    pid = _recorded(layout)
    if pid and not until(lambda: _recorded(layout) != pid, SILENT_SECONDS):
        raise StackError(
            f"supervisord (process {pid}) does not answer, and its programs may still run; let it go on with "
            f"kill -CONT {pid}, or end it and them with kill -KILL {pid}; then try again"
        )


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _recorded(layout: Layout) -> int:
    """The process id in supervisord's own file, if that is a running supervisord of this stack; else 0."""
    try:
        pid = int((layout.run / "supervisord.pid").read_text())
        ours = str(layout.run / CONFIGURATION) in psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return 0
    return pid if ours and runs(pid) else 0
