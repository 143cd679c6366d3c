"""Prometheus and promtool: installed ones, else those of Debian's package, extracted and not installed."""

from __future__ import annotations

import shutil
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.servers.components import PINS, Component, Report, run

PACKAGE = PINS / "prometheus" / "package"
PROGRAMS = ("prometheus", "promtool")


def programs(layout: Layout, report: Report) -> tuple[Path, Path]:
    """The paths of `prometheus` and `promtool`.

    Raises:
        StackError: They are neither installed nor to be had.
    """
    installed = [shutil.which(name) for name in PROGRAMS]
    if all(installed):
        return Path(str(installed[0])), Path(str(installed[1]))
    folder = COMPONENT.ensure(layout, report) / "usr" / "bin"
    return folder / PROGRAMS[0], folder / PROGRAMS[1]


def _install(target: Path, report: Report) -> None:
    """Download the package of this system's release, whose signature apt checks, and extract it.

    Raises:
        StackError: It is not to be had here.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]
    if missing:
        raise StackError(f"Prometheus: there is no {missing[0]} to fetch it with; install prometheus and promtool")
    name, target = PACKAGE.read_text().strip(), target.absolute()
    target.mkdir(parents=True)
    command = ["apt-get", "download", name]
    try:
        run(command, "Prometheus", report, directory=target)
    except StackError:
        run(["apt-get", "update"], "Prometheus", report)  # a new machine has no list of packages yet
        run(command, "Prometheus", report, directory=target)
    (package,) = target.glob("*.deb")
    run(["dpkg-deb", "--extract", package.name, "."], "Prometheus", report, directory=target)
    package.unlink()


COMPONENT = Component("prometheus", PACKAGE, _install)
