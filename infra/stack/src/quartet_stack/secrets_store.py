"""The random secrets of a stack, generated at its first `up` and stored with its data."""

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
from quartet_stack.saved import KEEP_DATA, parsed
from quartet_stack.tokens import checked

SEALED_FOR = ("payment", "shipping")
PROVIDER_CALLERS = ("payment", "shipping")
OBSOLETE = ("jwt",)  # of older versions: a secret of all services that both signed and verified tokens


def seal_keys(secrets: Mapping[str, str], service: str) -> dict[str, str]:
    """The keys for sealed data, as variables: the order service, which seals, gets all, others their own."""
    names = SEALED_FOR if service == "order" else tuple(name for name in SEALED_FOR if name == service)
    return {f"SEAL_KEY_{name.upper()}": secrets[f"seal_{name}"] for name in names}


def provider_keys(secrets: Mapping[str, str], program: str) -> dict[str, str]:
    """The keys for calls to providers, as variables: a caller gets its own, the sandbox, which checks them, all."""
    names = PROVIDER_CALLERS if program == "provider" else tuple(name for name in PROVIDER_CALLERS if name == program)
    return {f"PROVIDER_KEY_{name.upper()}": secrets[f"provider_{name}"] for name in names}


def load_or_create(layout: Layout, services: Iterable[str]) -> dict[str, str]:
    """Read the secrets, and generate those that are missing.

    Only the owner can read the file. Existing values never change: data and secrets belong together.

    Returns:
        Name -> value. Passwords: `postgres` (the superuser), `replication` (standbys), `auditor` (may read), `temporal`
        (its server, in a database of its own), and one of each service.
        `kafka_cluster` is an id. Keys: `tokens` signs access tokens of people, and no process of the stack gets it;
        `seal_payment`, `seal_shipping`; `provider_payment`, `provider_shipping`. A key may be several keys, separated
        by commas: the first is used, all are accepted; to rotate, put a new one in front.
    """
    path = layout.secrets
    existing = read(layout)
    generated = {name: secrets.token_urlsafe(24) for name in services}
    generated |= {
        "tokens": _key(),
        "postgres": secrets.token_urlsafe(24),
        "auditor": secrets.token_urlsafe(24),
        "replication": secrets.token_urlsafe(24),
        "temporal": secrets.token_urlsafe(24),
        "kafka_cluster": _cluster_id(),
        **{f"seal_{name}": _key() for name in SEALED_FOR},
        **{f"provider_{name}": secrets.token_urlsafe(32) for name in PROVIDER_CALLERS},
    }
    if generated.keys() <= existing.keys() and not any(name in existing for name in OBSOLETE):
        return existing
    complete = {name: value for name, value in (generated | existing).items() if name not in OBSOLETE}
    write_private(path.parent, path.name, json.dumps(complete, indent=1))
    return complete


def given_secrets(signing_key: str) -> dict[str, str]:
    """The secrets that the environment sets instead of generated ones; `UsageError` if the key is not valid."""
    return {"tokens": checked(signing_key)} if signing_key else {}


def read(layout: Layout) -> dict[str, str]:
    """The stored secrets; empty if there are none, or the caller may not read them.

    Raises:
        StackError: The file is damaged, is a link or has a second name: root would pass on the contents of another one.
    """
    try:
        descriptor = os.open(layout.secrets, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, PermissionError):
        return {}
    except OSError as error:
        raise StackError(f"{layout.secrets} cannot be read: {error.strerror}") from None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise StackError(f"{layout.secrets} is a link, or another name of a file; remove it")
        return parsed(file.read(), layout.secrets, KEEP_DATA)


def write_private(
    folder: os.PathLike[str], name: str, text: str, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Replace a file with a complete new one, which other users cannot read at any moment.

    Args:
        folder: Created if it does not exist.
        name: Of the file. A link with this name is replaced.
        text: The contents.
        mode: The permissions.
        owner: The user id and group id that the file gets; by default the caller's.
    """
    os.makedirs(folder, exist_ok=True)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    draft = f".{name}.{secrets.token_hex(4)}.new"  # an unpredictable name: nobody can have put a link there
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, mode, dir_fd=directory)
        with open(descriptor, "w") as file:
            file.write(text)
            if owner:
                os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
        os.replace(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
