"""Random secrets of a stack, made at its first `up` and kept beside its data."""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
import uuid
from collections.abc import Iterable, Mapping

from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.tokens import checked

SEALED_FOR = ("payment", "shipping")
PROVIDER_CALLERS = ("payment", "shipping")
NO_LONGER = ("jwt",)  # signed and verified tokens, and every service had it


def seal_keys(secrets: Mapping[str, str], service: str) -> dict[str, str]:
    """The variables with keys that a service gets: the order service, which seals, all; a participant its own."""
    names = SEALED_FOR if service == "order" else tuple(name for name in SEALED_FOR if name == service)
    return {f"SEAL_KEY_{name.upper()}": secrets[f"seal_{name}"] for name in names}


def provider_keys(secrets: Mapping[str, str], program: str) -> dict[str, str]:
    """The variables with keys for calls to providers: a caller gets its own; the sandbox, which compares them, each."""
    names = PROVIDER_CALLERS if program == "provider" else tuple(name for name in PROVIDER_CALLERS if name == program)
    return {f"PROVIDER_KEY_{name.upper()}": secrets[f"provider_{name}"] for name in names}


def load_or_create(layout: Layout, services: Iterable[str]) -> dict[str, str]:
    """Names to values: `postgres` (the superuser), `replication` (standbys), `kafka_cluster`, one password per service;
    and keys: `tokens`, which signs those of people and which no process of the stack gets, `seal_payment` and
    `seal_shipping`, `provider_payment` and `provider_shipping`. A key may be several, separated by commas, of which the
    first is used and all are known: to rotate, put a new one in front.

    The file can be read by its owner alone. Values once made stay, so data and secrets live and die together.
    """
    path = layout.secrets
    found = read(layout)
    wanted = {name: secrets.token_urlsafe(24) for name in services}
    wanted |= {
        "tokens": _key(),
        "postgres": secrets.token_urlsafe(24),
        "replication": secrets.token_urlsafe(24),
        "kafka_cluster": _cluster_id(),
        **{f"seal_{name}": _key() for name in SEALED_FOR},
        **{f"provider_{name}": secrets.token_urlsafe(32) for name in PROVIDER_CALLERS},
    }
    if wanted.keys() <= found.keys() and not any(name in found for name in NO_LONGER):
        return found
    found = {name: value for name, value in (wanted | found).items() if name not in NO_LONGER}
    write_private(path.parent, path.name, json.dumps(found, indent=1))
    return found


def given_secrets(signing_key: str) -> dict[str, str]:
    """What the environment gives instead of a secret that was made; `StackError` with status 2 if it is no key."""
    return {"tokens": checked(signing_key)} if signing_key else {}


def read(layout: Layout) -> dict[str, str]:
    """The secrets made before; empty when there are none, or the caller may not read them.

    `StackError` when a link is in their place: root would hand on what it points to.
    """
    try:
        held = os.open(layout.secrets, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, PermissionError):
        return {}
    except OSError as error:
        raise StackError(f"{layout.secrets} cannot be read: {error.strerror}") from None
    with open(held) as file:
        status = os.fstat(held)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise StackError(f"{layout.secrets} is no file of its own; take it away")
        found: dict[str, str] = json.load(file)
    return found


def write_private(
    folder: os.PathLike[str], name: str, text: str, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Write a file as a whole, never readable by others, not even for a moment; `owner` is whose user and group it
    becomes."""
    os.makedirs(folder, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    draft = f".{name}.{secrets.token_hex(4)}.new"  # a name that nobody can have put a link under
    try:
        made = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, mode, dir_fd=held)
        with open(made, "w") as file:
            file.write(text)
            if owner:
                os.fchown(made, *owner)
                os.fchmod(made, mode)
        os.replace(draft, name, src_dir_fd=held, dst_dir_fd=held)
    finally:
        os.close(held)


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
