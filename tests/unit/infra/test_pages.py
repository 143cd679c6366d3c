"""No page names a file, a link, a module, a make target, a variable or an identifier that does not exist."""

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from quartet_stack.layout import REPOSITORY
from quartet_stack.settings import PORTS, TEMPORAL_STORE_PORTS, TOXIC_PORTS
from tests.chaos.faults import MODULES

FOLDERS = ("docs", "infra", "loadtests", "services", "shared", "tests")
PACKAGES = ("shared/src", "services/*/src", "infra/*/src", "tests/chaos/toolkit")
EXAMPLES = {
    name
    for names in (
        "services/loyalty/ loyalty.py points_settled",  # the guide that adds a participant
        "experiment.yaml mine.yaml history.edn kills.jsonl raw.json",
        "report.md report.html journal.json history.jsonl report.json",
        "stack.json stack.lock secrets.json compose.env",  # as those of the line before, files that commands write
        "EventName MessageName Forward Remind",  # in the place of a name; names of before, in a decision
        "no_new_privs DynamicUser pg_rewind pg_auto_failover transaction_timeout remote_apply Idempotency",
        "GOOGLE_APPLICATION_CREDENTIALS BaseSettings max_body_size",  # other people's
        "watch.py send.py",  # the programs on a page, which readers save
        "payment.token order.kafka shipping.provider",  # a field, and two routes
    )
    for name in names.split()
}
"""What pages name and the tree does not have."""
WRITTEN = ("reports/", "data/", "run/", "load/", "logs/", ".stack/", ".env")
"""Where commands write."""


def _files() -> list[Path]:
    inside = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*") if path.is_file()]
    beside = [path for path in REPOSITORY.iterdir() if path.is_file()]
    ci = [path for folder in (".ci", ".github", ".devcontainer") for path in (REPOSITORY / folder).rglob("*")]
    unwanted = ("__pycache__", ".egg-info", ".pyc")
    return [path for path in inside + beside + ci if path.is_file() and not any(part in str(path) for part in unwanted)]


FILES = _files()
PATHS = {
    str(path.relative_to(REPOSITORY)) for file in FILES for path in (file, *file.parents) if REPOSITORY in path.parents
}
PAGES = sorted(path for path in FILES if path.suffix == ".md")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@cache
def words() -> frozenset[str]:
    """Every identifier in the tree outside pages and outside this file."""
    text = [path.read_text(errors="ignore") for path in FILES if path.suffix != ".md" and path != Path(__file__)]
    found = frozenset(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", "\n".join(text)))
    settings = {name.upper() for name in found}  # of services: fields in small letters
    return found | settings | PORTS.keys() | TOXIC_PORTS.keys() | TEMPORAL_STORE_PORTS.keys()


def code(page: Path) -> Iterator[str]:
    """What stands in backticks and in blocks of code, one line at a time."""
    fenced = False
    for line in page.read_text().splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    make "):
            yield re.sub(r"(^|\s)#.*", "", line)
        else:
            yield from re.findall(r"`([^`]+)`", line)


def exists(path: str) -> bool:
    """Whether the path of some file or folder ends like this; `<name>` and `…` stand for anything."""
    if path in EXAMPLES or path.startswith(WRITTEN):
        return True
    pattern = re.sub(r"<[^>]*>|…", "*", path)
    while pattern.startswith(("./", "../")):
        pattern = pattern.partition("/")[2]
    pattern = pattern.rstrip("/")
    if "*" in pattern:
        return any(fnmatch(known, pattern) or fnmatch(known, f"*/{pattern}") for known in PATHS)
    return pattern in PATHS or any(known.endswith(f"/{pattern}") for known in PATHS)


@cache
def _roots() -> list[Path]:
    sources = [root for package in PACKAGES for root in REPOSITORY.glob(package)]
    return [REPOSITORY, *sources]


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
without_history = pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],  # which also names what is gone
    ids=lambda page: str(page.relative_to(REPOSITORY)),
)


@by_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]*)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@without_history
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    ending = r"py|md|toml|ya?ml|sql|json|lock|sh|patch|env|in|html|jsonl|txt|xml|sha256|conf|mod|sum|Dockerfile"
    named = {
        path
        for text in code(page)
        for path in re.findall(
            rf"(?:^|[\s(=,`])((?:[\w.<>*…-]+/)*(?:[\w.<>*…-]+\.(?:{ending})|[\w<>*-]+/))(?=$|[\s,;:)`])", text
        )
    }
    assert sorted(path for path in named if not exists(path)) == []


@by_page
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    named = {
        target
        for text in code(page)
        for target in re.findall(r"(?:^|[\s(;&|])make (?:-s )?(?:[A-Z_]+=\S+ )*([a-z][a-z-]*)", text)
    }
    assert named - TARGETS == set()


@without_history
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    ours = {package.parent.name for root in _roots() for package in root.glob("*/__init__.py")}
    missing = []
    for text in code(page):
        for name in re.findall(r"(?<![\w./-])([a-z_]+(?:\.\w+)+)(?![\w/(-])", text):
            first, *parts = name.split(".")
            if first in ours and name not in EXAMPLES and not _importable(first, parts):
                missing.append(name)
    assert missing == []


def _importable(first: str, parts: list[str]) -> bool:
    """Whether a module, or a module and what is defined in it, has this name."""
    for root in _roots():
        folder, rest = root / first, list(parts)
        while rest and (folder / rest[0]).is_dir():
            folder /= rest.pop(0)
        if rest and (folder / f"{rest[0]}.py").is_file():
            text = (folder / f"{rest[0]}.py").read_text()
            return all(re.search(rf"\b{name}\b", text) for name in rest[1:])
        if folder.is_dir() and (not rest or re.search(rf"\b{rest[0]}\b", _text(folder / "__init__.py"))):
            return True
    return False


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


@without_history
def test_every_variable_and_identifier_that_a_page_names_exists(page: Path) -> None:
    """Taken for names: words with an underscore or a second capital, what stands before a `=`, and `Class.field`."""
    shape = r"(?<![\w.:/$%-])([A-Za-z]+(?:_[A-Za-z0-9]+)+|(?:[A-Z][a-z0-9]+){2,}|[A-Z]{3,}(?==))(?![\w:*/….-])"
    named = {name for text in code(page) for name in re.findall(shape, text) if not name.startswith("test_")}
    alone = {text for text in code(page) if re.fullmatch(r"[A-Z][a-z]\w+(\.\w+)*", text)}
    named |= {part for text in alone for part in text.split(".")}
    assert sorted(named - words() - EXAMPLES) == []


def test_every_page_can_be_found_from_the_index() -> None:
    reached: set[Path] = set()
    waiting = [REPOSITORY / "docs/README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [
            (page.parent / link.partition("#")[0]).resolve()
            for link in re.findall(r"\]\((?!https?:)([^)\s]*)\)", page.read_text())
            if link.partition("#")[0]
        ]
    assert sorted(str(page.relative_to(REPOSITORY)) for page in set(PAGES) - reached) == []


def test_every_fault_of_a_chaos_run_has_a_row() -> None:
    page = (REPOSITORY / "docs/reliability.md").read_text()
    rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert [name for name in MODULES if f"`{name}`" not in rows] == []


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("[gone](gone.md)", test_every_link_leads_to_a_file_and_a_heading),
        ("`sagakit/gone.py`", test_every_file_that_a_page_names_exists),
        ("`services/<name>/gone.sql`", test_every_file_that_a_page_names_exists),
        ("```sh\nmake gone   # a target\n```", test_every_make_target_that_a_page_names_exists),
        ("`python -m tests.chaos.gone`", test_every_module_that_a_page_names_exists),
        ("`sagakit.ports.Gone`", test_every_module_that_a_page_names_exists),
        ("`GONE_" + "AFTER`", test_every_variable_and_identifier_that_a_page_names_exists),
        ("`Inlet.is_" + "gone`", test_every_variable_and_identifier_that_a_page_names_exists),
    ],
)
def test_what_does_not_exist_is_found(text: str, check: Callable[[Path], None], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError):
        check(page)
