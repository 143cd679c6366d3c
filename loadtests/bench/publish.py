"""`python -m loadtests.bench.publish FILE`: make a bench the one that docs/scaling.md shows.

Keeps its raw data as docs/results/bench.json, and writes the page's marked sections anew. A section stands between
`<!-- bench:begin NAME -->` and `<!-- bench:end NAME -->`; a test holds the page against the data.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from loadtests.bench import capacity, report
from loadtests.bench.record import Record, read
from loadtests.bench.summary import summarize
from native_stack.layout import REPOSITORY

DATA: Final = REPOSITORY / "docs" / "results" / "bench.json"
PAGE: Final = REPOSITORY / "docs" / "scaling.md"


def sections(record: Record) -> dict[str, str]:
    """Name -> text of every section. Pure."""
    summaries = summarize(record)
    return {
        "about": report.about(record),
        "cpu": report.cpu(summaries).markdown(),
        "work": report.work(summaries).markdown(),
        "latency": report.latency(summaries).markdown(),
        "first": report.first(summaries, record.machine.cores).markdown(),
        "capacity": capacity.markdown(summaries),
    }


def rewritten(page: str, texts: Mapping[str, str]) -> str:
    """The page with these sections; ValueError where one of them does not stand in it exactly once. Pure."""
    for name, text in texts.items():
        begin, end = f"<!-- bench:begin {name} -->", f"<!-- bench:end {name} -->"
        parts = re.split(f"{re.escape(begin)}.*?{re.escape(end)}", page, flags=re.DOTALL)
        if len(parts) != 2:
            raise ValueError(f"the page has {len(parts) - 1} sections {name}, not 1; it is marked by {begin} and {end}")
        page = f"{begin}\n{text}\n{end}".join(parts)
    return page


def main(arguments: Sequence[str]) -> int:
    """Exit status 2 where the file or the page is not what it has to be; then nothing is changed."""
    if len(arguments) != 1:
        print("usage: python -m loadtests.bench.publish FILE (the raw.json of a bench)", file=sys.stderr)
        return 2
    try:
        source = Path(arguments[0])
        page = rewritten(PAGE.read_text(), sections(read(source)))
        raw = source.read_bytes()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    DATA.parent.mkdir(parents=True, exist_ok=True)
    DATA.write_bytes(raw)
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
