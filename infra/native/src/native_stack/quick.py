"""Commands that have to be quick, with the standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping

from native_stack import docker, settings, tokens
from native_stack.errors import StackError, usage
from native_stack.layout import layout


def check(environ: Mapping[str, str]) -> None:
    """Raise on the first setting that cannot be."""
    docker.choose(settings.resolve(environ)["STACK"])


MEANT_FOR = {"services": "JWT_SECRET", "provider": "PROVIDER_JWT_SECRET"}


def token(environ: Mapping[str, str]) -> None:
    """Print a token for `CUSTOMER` (default alice) in `ROLE` (default customer), and nothing else.

    `FOR=provider`: one for the provider sandbox, which does not know what signs those for the services.
    """
    role = environ.get("ROLE") or "customer"
    if role not in tokens.ROLES:
        raise usage(f"ROLE={role} is not known; valid: {', '.join(tokens.ROLES)}")
    default_name = "operator" if role == "admin" else "alice"
    meant = environ.get("FOR") or "services"
    if meant not in MEANT_FOR:
        raise usage(f"FOR={meant} is not known; valid: {', '.join(MEANT_FOR)}")
    print(tokens.make_token(_secret(environ, MEANT_FOR[meant]), environ.get("CUSTOMER") or default_name, role))


def _secret(environ: Mapping[str, str], variable: str) -> str:
    if environ.get(variable):
        return environ[variable]
    place = layout(environ)
    try:
        if place.record.exists():
            return str(json.loads(place.record.read_text())["environment"][variable])
        return str(json.loads(place.secrets.read_text())[settings.TOKEN_SECRETS[variable]])
    except FileNotFoundError:
        raise StackError(f"no stack was brought up in {place.root}; start one with: make up") from None
    except PermissionError:
        raise StackError(f"the secrets in {place.root} belong to another user, who started that stack") from None
