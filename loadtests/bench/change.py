"""`python -m loadtests.bench.change`: what a change touches in each style, counted in the code that exists.

One more reason, step or participant needs what an existing one has: the lines of code that name its messages or its
reason, and for a participant the code of its service. Each line counts for both styles, except where only one of them
uses it: `CHECKOUT` is orchestration's, the reactions of the services and their subscriptions are choreography's.
Docstrings and comments do not count, nor do tests; shipping, the last participant, stands for a new one.
"""

import ast
import sys
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from rich.console import Console

from checkout.messages import COMMANDS_OF, EVENTS_OF
from checkout.saga import CHECKOUT
from loadtests.bench.tables import Table
from quartet_stack.layout import REPOSITORY

ROOTS: Final = ("shared/src", "services", "infra")
STYLES: Final = ("orchestration", "choreography")
STEP: Final = CHECKOUT.steps[-1]
SERVICE: Final = f"services/{STEP.participant}/src"
ONLY: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "orchestration": (("shared/src/checkout/saga.py", "CHECKOUT"),),
    "choreography": (
        ("shared/src/checkout/topology.py", "SUBSCRIPTIONS"),
        *((f"services/{name}/src/{name}_service/reactions.py", "") for name in ("order", *COMMANDS_OF)),
    ),
}
"""What only one style uses: a file, and the constant in it (empty: all of the file)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code."""

    file: str
    line: int


def names() -> dict[str, frozenset[str]]:
    """What a change of each kind would name anew, by the example of shipping."""
    messages = {kind.__name__ for of in (COMMANDS_OF, EVENTS_OF) for kind in of[STEP.participant]}
    step = frozenset(messages | {STEP.record.__name__})
    return {"a reason": frozenset({STEP.refusal}), "a step": step, "a participant": step | {STEP.participant}}


def touched(root: Path = REPOSITORY) -> dict[tuple[str, str], set[Place]]:
    """The lines that each kind of change touches in each style."""
    sources = {str(path.relative_to(root)): path.read_bytes() for path in _files(root)}
    found: dict[tuple[str, str], set[Place]] = {}
    for change, wanted in names().items():
        places = {Place(file, line) for file, source in sources.items() for line in naming(source, wanted)}
        if change == "a participant":
            places |= {
                Place(file, line)
                for file, source in sources.items()
                if file.startswith(SERVICE)
                for line in naming(source, None)
            }
        for style in STYLES:
            found[change, style] = places - _of_other(style, sources)
    return found


def naming(source: bytes, wanted: Collection[str] | None) -> set[int]:
    """The lines of code with one of these words, or with any code at all; comments and docstrings are no code."""
    doc, code = _docstrings(source), (tokenize.NAME, tokenize.STRING, tokenize.OP, tokenize.NUMBER)
    return {
        token.start[0]
        for token in tokenize.tokenize(BytesIO(source).readline)
        if token.type in code and token.start[0] not in doc and (wanted is None or _word(token) in wanted)
    }


def _word(token: tokenize.TokenInfo) -> str:
    """The name that a token is, or the text that it has."""
    return token.string.strip("rbfu\"'") if token.type == tokenize.STRING else token.string


def table(found: Mapping[tuple[str, str], set[Place]]) -> Table:
    """The table of changes."""
    rows = [
        [change, style, str(len({place.file for place in places})), str(len(places))]
        for (change, style), places in found.items()
    ]
    return Table("What a change touches", ["change", "style", "files", "lines"], rows)


def _files(root: Path) -> Iterator[Path]:
    return (path for top in ROOTS for path in sorted((root / top).rglob("*.py")) if "migrations" not in path.parts)


def _of_other(style: str, sources: Mapping[str, bytes]) -> set[Place]:
    """The lines that only the other style uses."""
    (other,) = set(STYLES) - {style}
    return {
        Place(file, line)
        for file, constant in ONLY[other]
        for line in (_assigned(sources[file], constant) if constant else range(len(sources[file].splitlines()) + 1))
    }


def _assigned(source: bytes, constant: str) -> range:
    """The lines of the assignment to a constant.

    Raises:
        LookupError: There is none.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == constant:
            return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    raise LookupError(f"no constant {constant}")


def _docstrings(source: bytes) -> set[int]:
    """The lines of texts that stand alone."""
    alone = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr))
    texts = (node for node in alone if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str))
    return {line for node in texts for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def main() -> int:
    """Print the table, and the files of each change; returns the exit status."""
    found = touched()
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(table(found).drawn())
    for (change, style), places in found.items():
        files = sorted({place.file for place in places})
        console.print(f"{change}, {style}: {', '.join(files)}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
