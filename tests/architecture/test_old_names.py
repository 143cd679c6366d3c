"""Names that were given up stay away: old_names.toml lists them with what took their place."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OLD = tomllib.loads(Path(__file__).with_name("old_names.toml").read_text())
SOURCES = ("shared/src", *(f"services/{name}/src" for name in ("order", "payment", "inventory", "shipping")))
PACKAGES = ("loadtests", "tests")


@dataclass(frozen=True)
class Module:
    """A Python file: what it defines (methods and fields as `Class.name`), imports, and holds as texts."""

    name: str
    path: Path
    defined: frozenset[str]
    imported: frozenset[str]
    texts: frozenset[str]


@cache
def modules(root: Path) -> dict[str, Module]:
    """All modules of the tree, by name."""
    sources = [root / source for source in SOURCES] + sorted(root.glob("infra/*/src"))
    files = [(source, path) for source in sources for path in sorted(source.rglob("*.py"))]
    files += [(root, path) for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return {module.name: module for module in (read(source, path) for source, path in files)}


def read(source: Path, path: Path) -> Module:
    name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    return Module(
        name,
        path,
        frozenset(defined(tree.body)),
        frozenset(name for node in nodes for name in imported(node)),
        frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)),
    )


def defined(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef():
                yield prefix + node.name
                yield from defined(node.body, f"{node.name}.")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield prefix + node.name
            case ast.Assign():
                yield from (prefix + target.id for target in node.targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name()):
                yield prefix + node.target.id


def imported(node: ast.AST) -> Iterator[str]:
    """The full names that a statement imports; `from a import b` may mean the module or the name `a.b`."""
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom(level=0, module=str(module)):
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(tree: Mapping[str, Module], old: Mapping[str, Any] = OLD) -> list[str]:
    """Where an old name lives: one line each."""
    gone = [line for before, after in old["modules"].items() for line in old_module(tree, before, after)]
    for place, names in old["names"].items():
        gone += [line for before, after in names.items() for line in old_name(tree, place, before, after)]
    return gone


def old_module(tree: Mapping[str, Module], before: str, after: str) -> Iterator[str]:
    """Modules that are the old one or in it, import it, or name it in a text, as dynamic imports do."""
    for module in tree.values():
        if is_in(before, module.name):
            yield f"{module.path}: {before} is {after} now"
        if any(is_in(before, name) for name in module.imported):
            yield f"{module.path} imports {before}, which is {after} now"
        if any(is_in(before, text.partition(":")[0]) for text in module.texts if " " not in text):
            yield f"{module.path} names {before}, which is {after} now"


def old_name(tree: Mapping[str, Module], place: str, before: str, after: str) -> Iterator[str]:
    """Where `before` is defined in the module `place`, or imported from it."""
    if place in tree and before in tree[place].defined:
        yield f"{tree[place].path} defines {before}, which is {after} now"
    for module in tree.values():
        if f"{place}.{before}" in module.imported:
            yield f"{module.path} imports {before} of {place}, which is {after} now"


def is_in(package: str, name: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_no_old_name_is_defined_or_imported() -> None:
    assert violations(modules(ROOT)) == []


def test_each_place_on_the_list_exists() -> None:
    """Otherwise nothing is found there, whatever is defined."""
    tree = modules(ROOT)
    places = {*map(str, OLD["modules"].values()), *OLD["names"]}
    assert sorted(places - tree.keys()) == []


def test_each_new_name_on_the_list_is_defined() -> None:
    """Unless it has been renamed again: then the list has to follow."""
    tree = modules(ROOT)
    missing = []
    for place, names in OLD["names"].items():
        for name in names.values():
            module, _, elsewhere = name.rpartition(".")
            there, bare = (module, elsewhere) if module in tree else (place, name)
            if bare not in tree[there].defined:
                missing.append(f"{there}.{bare}")
    assert missing == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("shared/src/sagakit/door.py", ""),
        ("services/order/src/order_service/api.py", "import sagakit.door"),
        ("services/order/src/order_service/api.py", "from sagakit.door import apply_batch"),
        ("services/order/src/order_service/api.py", "from sagakit import door"),
        ("infra/stack/src/native_stack/api.py", ""),
        ("infra/stack/src/quartet_stack/__main__.py", "COMMAND = 'native_stack.commands:up'"),
        ("shared/src/sagakit/engine/batch.py", "def open_batch() -> None: ..."),
        ("shared/src/sagakit/ports.py", "class Store:\n    async def take(self) -> None: ..."),
        ("shared/src/sagakit/postgres/rows.py", "class Part: ..."),
        ("services/order/src/order_service/nudge_rate.py", "USE = 0.5"),
        ("tests/modes/test_kafka.py", "from sagakit.web.auth import Caller"),
    ],
)
def test_a_planted_old_name_is_found(tmp_path: Path, file: str, text: str) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(text)
    (line,) = violations(modules(tmp_path))
    assert str(planted) in line


def test_other_uses_of_an_old_word_are_left_alone(tmp_path: Path) -> None:
    planted = tmp_path / "loadtests/bench/capacity.py"
    planted.parent.mkdir(parents=True)
    planted.write_text('"""The old sagakit.door."""\nUSE = 0.6\n\n\ndef take() -> str:\n    return "sagakit"\n')
    assert violations(modules(tmp_path)) == []
