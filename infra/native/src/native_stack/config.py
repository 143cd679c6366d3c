"""`make config`: the effective settings, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from native_stack import docker, services
from native_stack.errors import StackError
from native_stack.secrets_store import read
from native_stack.settings import SERVICES, is_secret, resolve

MASK = "********"


def main(environ: Mapping[str, str]) -> None:
    """Print settings first, then what follows from them for the services; secrets are masked."""
    settings = resolve(environ)
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, no_wrap=True)
    for name, setting in settings.values.items():
        table.add_row(name, setting.value, setting.source)
    for name, value in sorted(settings.passed_on.items()):
        table.add_row(name, MASK if is_secret(name) else value, "environment, passed on")
    known = {*settings.values, *settings.passed_on}
    secrets = read(settings.layout) or dict.fromkeys((*SERVICES, "jwt"), "made by make up")
    for name, value in services.recorded_environment(settings, secrets).items():
        if name not in known:
            table.add_row(name, MASK if is_secret(name) else value, "computed")
    try:
        table.add_row("stack", docker.choose(settings["STACK"]).said, "computed")
    except StackError as error:
        table.add_row("stack", str(error), "computed")
    console.print(table)
