"""A file of the stack that is damaged, such as one that was cut off, is named with what to do about it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from quartet_stack import stack
from quartet_stack.commands import logs, quick
from quartet_stack.docker import containers
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout, layout
from quartet_stack.secrets_store import load_or_create
from quartet_stack.servers import standby
from quartet_stack.settings import stack_environment

AGAIN, DELETE = "make up", "make clean"
READERS: list[tuple[str, Callable[[Layout], object], str]] = [
    ("run/stack.json", lambda place: stack_environment(place.root), AGAIN),
    ("run/stack.json", stack._ports_in_use, AGAIN),
    ("run/stack.json", lambda place: logs.main({"STACK_DIR": str(place.root), "FOLLOW": "off"}), AGAIN),
    ("run/docker.json", containers._running_mode, AGAIN),
    ("data/secrets.json", lambda place: load_or_create(place, ("order",)), DELETE),
    ("data/secrets.json", lambda place: quick.token({"STACK_DIR": str(place.root)}), DELETE),
    ("data/standbys.json", lambda place: standby.mark(place, "order"), DELETE),
]


@pytest.mark.parametrize("content", [b"", b'{"environment": {"PORT_OFF', b"\xff\xfe{", b"[]"])
@pytest.mark.parametrize(("name", "read", "fix"), READERS)
def test_a_damaged_file_is_named_with_what_to_do(
    tmp_path: Path, name: str, read: Callable[[Layout], object], fix: str, content: bytes
) -> None:
    place = layout({"STACK_DIR": str(tmp_path)})
    place.logs.mkdir(parents=True)
    path = place.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(StackError) as refused:
        read(place)
    assert str(refused.value).startswith(f"{path} is damaged")
    assert fix in str(refused.value)
    assert path.read_bytes() == content, "it may be of use to whoever repairs it"
