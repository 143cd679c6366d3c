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


def token(environ: Mapping[str, str]) -> None:
    """Print a token for `CUSTOMER` (default alice) in `ROLE` (default customer), and nothing else."""
    role = environ.get("ROLE") or "customer"
    if role not in tokens.ROLES:
        raise usage(f"ROLE={role} is not known; valid: {', '.join(tokens.ROLES)}")
    default_name = "operator" if role == "admin" else "alice"
    print(tokens.make_token(_secret(environ), environ.get("CUSTOMER") or default_name, role))


def _secret(environ: Mapping[str, str]) -> str:
    if environ.get("JWT_SECRET"):
        return environ["JWT_SECRET"]
    place = layout(environ)
    try:
        if place.record.exists():
            return str(json.loads(place.record.read_text())["environment"]["JWT_SECRET"])
        return str(json.loads(place.secrets.read_text())["jwt"])
    except FileNotFoundError:
        raise StackError(f"no stack was brought up in {place.root}; start one with: make up") from None
    except PermissionError:
        raise StackError(f"the secrets in {place.root} belong to another user, who started that stack") from None
