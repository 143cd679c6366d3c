"""`python -m loadtests.bench.publish FILE [busy]`: publish a bench as one of the two that docs/scaling.md shows.

The first is at a rate that every mode can carry; `busy` has fewer modes, at a rate at which batches form. The command
copies the raw data to docs/results, and rewrites the page's marked sections. A section stands between
`<!-- bench:begin NAME -->` and `<!-- bench:end NAME -->`; a test compares the page with the data.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from loadtests.bench import capacity, report
from loadtests.bench.record import Record
from loadtests.bench.storage import read
from loadtests.bench.summary import summarize
from quartet_stack.layout import REPOSITORY

RESULTS: Final = REPOSITORY / "docs" / "results"
PAGE: Final = REPOSITORY / "docs" / "scaling.md"
NAMES: Final = ("bench", "busy")
USAGE: Final = "usage: python -m loadtests.bench.publish FILE [busy] (FILE is the raw.json of a bench)"


def data(name: str) -> Path:
    """Where the raw data of that published bench are."""
    return RESULTS / f"{name}.json"


def sections(name: str, record: Record) -> dict[str, str]:
    """Write the text of every section that shows this bench, by section name. Pure."""
    summaries = summarize(record)
    texts = {
        "about": report.about(record),
        "cpu": report.cpu(summaries).markdown(),
        "work": report.work(summaries).markdown(),
        "latency": report.latency(summaries).markdown(),
        "first": report.first(summaries, record.machine.cores).markdown(),
        "capacity": capacity.markdown(summaries),
    }
    return {what if name == NAMES[0] else f"{name}-{what}": text for what, text in texts.items()}


def rewritten(page: str, texts: Mapping[str, str], mark: str = "bench") -> str:
    """Replace these sections of a page. Pure.

    Raises:
        ValueError: A section does not stand in the page exactly once.
    """
    for name, text in texts.items():
        begin, end = f"<!-- {mark}:begin {name} -->", f"<!-- {mark}:end {name} -->"
        parts = re.split(f"{re.escape(begin)}.*?{re.escape(end)}", page, flags=re.DOTALL)
        if len(parts) != 2:
            raise ValueError(f"the page has {len(parts) - 1} sections {name!r}, not 1; it is marked {begin} and {end}")
        page = f"{begin}\n{text}\n{end}".join(parts)
    return page


def main(arguments: Sequence[str]) -> int:
    """Publish a file; returns the exit status, 2 if the file or the page is wrong: then nothing has changed."""
    file, name = (*arguments, *NAMES[:1])[:2] if len(arguments) in (1, 2) else ("", "")
    if name not in NAMES:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        source = Path(file)
        page = rewritten(PAGE.read_text(), sections(name, read(source)))
        raw = source.read_bytes()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    data(name).write_bytes(raw)
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
