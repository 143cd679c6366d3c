"""The CPU time of the threads of a process, and how long they were ready and waited for a core, as the kernel says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil


@dataclass(frozen=True, slots=True)
class Thread:
    """Milliseconds that a thread has worked, and has waited for a core, since it began."""

    name: str
    cpu: float
    waited: float


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads of a process at one moment, by their ids; `cpu`: milliseconds of them all and of those that ended."""

    main: int
    cpu: float
    by_id: Mapping[int, Thread]

    @classmethod
    def read(cls, pid: int, proc: Path = Path("/proc")) -> Self:
        """Read them now.

        Raises:
            ProcessLookupError: There is no such process.
        """
        found = {}
        for folder in (proc / str(pid) / "task").glob("*"):
            try:
                cpu, waited, _ = (folder / "schedstat").read_text().split()
                name = (folder / "comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
            found[int(folder.name)] = Thread(name, int(cpu) / 1e6, int(waited) / 1e6)
        try:
            used = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            raise ProcessLookupError(f"process {pid} has ended") from None
        return cls(pid, (used.user + used.system) * 1000, found)

    def since(self, before: Self) -> Self:
        """What was used since then; a thread that is new since has done all of its work since."""
        nothing = Thread("", 0.0, 0.0)
        spent = {}
        for number, thread in self.by_id.items():
            then = before.by_id.get(number, nothing)
            spent[number] = Thread(thread.name, thread.cpu - then.cpu, thread.waited - then.waited)
        return type(self)(self.main, self.cpu - before.cpu, spent)

    def python(self) -> Mapping[int, Thread]:
        """Those that run Python: they have the name of the main thread, which their creator gave them."""
        name = self.by_id[self.main].name
        return {number: thread for number, thread in self.by_id.items() if thread.name == name}
