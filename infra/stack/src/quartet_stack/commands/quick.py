"""Commands that import little, to answer quickly: `make token`, `make keys`, and the check of the settings."""

from __future__ import annotations

from collections.abc import Mapping

from quartet_stack import saved, settings, tokens
from quartet_stack.docker import choice
from quartet_stack.errors import StackError, UsageError
from quartet_stack.layout import layout
from quartet_stack.settings import stack_environment
from sagakit.tokens import new_signing_key, public_half


def check(environ: Mapping[str, str]) -> None:
    """Raise `UsageError` on the first invalid setting. Works before anything is installed."""
    choice.choose(settings.resolve(environ)["STACK"])


def token(environ: Mapping[str, str]) -> None:
    """Print a token for `CUSTOMER` (default alice) in `ROLE` (default customer), and nothing else.

    Raises:
        UsageError: `ROLE` is not known.
    """
    role = environ.get("ROLE") or "customer"
    if role not in tokens.ROLES:
        raise UsageError(f"ROLE={role} is not known; valid: {', '.join(tokens.ROLES)}")
    default_name = "operator" if role == "admin" else "alice"
    print(tokens.make_token(_signing_key(environ), environ.get("CUSTOMER") or default_name, role))


def keys(environ: Mapping[str, str]) -> None:
    """Print a new pair of keys for tokens, for deployments where `make up` does not generate one."""
    signing_key = new_signing_key()
    print(f"{tokens.SIGNING_KEY}={signing_key}\nTOKEN_PUBLIC_KEYS={public_half(signing_key)}")


def _signing_key(environ: Mapping[str, str]) -> str:
    if given := environ.get(tokens.SIGNING_KEY):
        return tokens.checked(given)
    place = layout(environ)
    try:
        if place.record.exists():
            return stack_environment(place.root)[tokens.SIGNING_KEY]
        return str(saved.parsed(place.secrets.read_bytes(), place.secrets, saved.KEEP_DATA)["tokens"])
    except FileNotFoundError:
        raise StackError(f"there is no stack in {place.root} yet; start one with: make up") from None
    except PermissionError:
        raise StackError(
            f"the secrets in {place.root} belong to the user who started that stack; run this as that user"
        ) from None
