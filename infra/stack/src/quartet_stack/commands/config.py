"""`make config`: the effective settings, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping

from quartet_stack import services
from quartet_stack.docker import containers as docker
from quartet_stack.errors import StackError
from quartet_stack.secrets_store import read
from quartet_stack.settings import SERVICES, is_secret, resolve

MASK = "********"


def main(environ: Mapping[str, str]) -> None:
    """Print settings first, then what follows from them for the services; secrets are masked."""
    settings = resolve(environ)
    rows = [(name, setting.value, setting.source) for name, setting in settings.values.items()]
    rows += [(name, value, "environment, passed on") for name, value in sorted(settings.passed_on.items())]
    secrets = read(settings.layout) or dict.fromkeys((*SERVICES, "tokens"), "made by make up")
    known = {name for name, _, _ in rows}
    computed = services.recorded_environment(settings, secrets)
    rows += [(name, value, "computed") for name, value in computed.items() if name not in known]
    rows.append(("(stack taken)", _stack(settings["STACK"]), "computed"))
    table = [("SETTING", "VALUE", "FROM"), *((name, _shown(name, value), source) for name, value, source in rows)]
    widths = [max(len(row[column]) for row in table[:-1]) for column in (0, 1)]
    for name, value, source in table:
        print(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}")


def _shown(name: str, value: str) -> str:
    return MASK if is_secret(name) and value else value


def _stack(wanted: str) -> str:
    try:
        return docker.choose(wanted).said
    except StackError as error:
        return str(error)
