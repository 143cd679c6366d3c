"""Commands that have to be quick: they load little."""

from __future__ import annotations

import json
from collections.abc import Mapping

from quartet_stack import settings, tokens
from quartet_stack.docker import containers as docker
from quartet_stack.errors import StackError, usage
from quartet_stack.layout import layout
from quartet_stack.settings import stack_environment
from sagakit.tokens import new_signing_key, public_half


def check(environ: Mapping[str, str]) -> None:
    """Raise on the first setting that cannot be."""
    docker.choose(settings.resolve(environ)["STACK"])


def token(environ: Mapping[str, str]) -> None:
    """Print a token for `CUSTOMER` (default alice) in `ROLE` (default customer), and nothing else."""
    role = environ.get("ROLE") or "customer"
    if role not in tokens.ROLES:
        raise usage(f"ROLE={role} is not known; valid: {', '.join(tokens.ROLES)}")
    default_name = "operator" if role == "admin" else "alice"
    print(tokens.make_token(_signing_key(environ), environ.get("CUSTOMER") or default_name, role))


def keys(environ: Mapping[str, str]) -> None:
    """Print a new pair of keys for tokens, for where no `make up` makes one."""
    made = new_signing_key()
    print(f"{tokens.SIGNING_KEY}={made}\nTOKEN_PUBLIC_KEYS={public_half(made)}")


def _signing_key(environ: Mapping[str, str]) -> str:
    if given := environ.get(tokens.SIGNING_KEY):
        return tokens.checked(given)
    place = layout(environ)
    try:
        if place.record.exists():
            return stack_environment(place.root)[tokens.SIGNING_KEY]
        return str(json.loads(place.secrets.read_text())["tokens"])
    except FileNotFoundError:
        raise StackError(f"no stack was brought up in {place.root}; start one with: make up") from None
    except PermissionError:
        raise StackError(f"the secrets in {place.root} belong to another user, who started that stack") from None
