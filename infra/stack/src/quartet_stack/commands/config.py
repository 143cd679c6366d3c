"""`make config`: the effective settings, and where each value comes from."""

from __future__ import annotations

from collections.abc import Mapping

from quartet_stack import services
from quartet_stack.docker import choice
from quartet_stack.errors import StackError
from quartet_stack.secrets_store import read
from quartet_stack.settings import SERVICES, is_secret, resolve
from sagakit.tokens import new_signing_key

MASK = "********"


def main(environ: Mapping[str, str]) -> None:
    """Print the settings, then what the services get because of them; secrets are masked."""
    settings = resolve(environ)
    rows = [(name, setting.value, setting.source) for name, setting in settings.values.items()]
    rows += [(name, value, "environment, for the services") for name, value in sorted(settings.passed_on.items())]
    secrets = read(settings.layout) or {**dict.fromkeys(SERVICES, MASK), "tokens": new_signing_key()}  # all masked
    listed = {name for name, _, _ in rows}
    computed = services.recorded_environment(settings, secrets)
    rows += [(name, value, "computed") for name, value in computed.items() if name not in listed]
    rows.append(("(stack that make up starts)", _explain(settings["STACK"]), "computed"))
    table = [("SETTING", "VALUE", "FROM"), *((name, _masked(name, value), source) for name, value, source in rows)]
    widths = [max(len(row[column]) for row in table[:-1]) for column in (0, 1)]
    for name, value, source in table:
        print(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}")


def _masked(name: str, value: str) -> str:
    return MASK if is_secret(name) and value else value


def _explain(option: str) -> str:
    try:
        return choice.choose(option).explanation
    except StackError as error:
        return str(error)
