"""`python -m tests.chaos.debugging.publish FOLDER`: publish a debugging study on the page docs/debugging.md.

FOLDER is that of `python -m tests.chaos.debugging`. The command copies its diagnoses to docs/results/debugging.json,
with the machine and the commit, and rewrites the page's marked sections. A test compares the page with the data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from loadtests.bench.machine import UNKNOWN, commit, machine
from loadtests.bench.publish import rewritten
from quartet_stack.layout import REPOSITORY
from tests.chaos.debugging.diagnosis import Diagnosis
from tests.chaos.debugging.model import RECORD
from tests.chaos.debugging.tables import by_plant, by_source, by_style

DATA: Final = REPOSITORY / "docs" / "results" / "debugging.json"
PAGE: Final = REPOSITORY / "docs" / "debugging.md"
MARK: Final = "debugging"


def sections(about: str, found: Sequence[Diagnosis]) -> dict[str, str]:
    """Write the text of every section of the page, by section name. Pure."""
    tables = {"plants": by_plant(found), "sources": by_source(found), "styles": by_style(found)}
    return {"about": about, **{name: table.markdown() for name, table in tables.items()}}


def diagnoses(rows: Sequence[Mapping[str, Any]]) -> list[Diagnosis]:
    """Diagnoses from their JSON values."""
    return [Diagnosis(**{**row, "lookups": tuple(row["lookups"])}) for row in rows]


def main(arguments: Sequence[str]) -> int:
    """Publish; exit status 2 if the folder holds no study or the page lacks a section, and then nothing has changed."""
    if len(arguments) != 1:
        print("usage: python -m tests.chaos.debugging.publish FOLDER (that of a study)", file=sys.stderr)
        return 2
    try:
        rows = [json.loads(line) for line in (Path(arguments[0]) / RECORD).read_text().splitlines()]
        found = diagnoses(rows)
        about = f"{datetime.now(UTC):%Y-%m-%d}, commit `{commit()}`: {machine(UNKNOWN).name}."
        page = rewritten(PAGE.read_text(), sections(about, found), MARK)
    except (OSError, ValueError, TypeError) as error:
        print(error, file=sys.stderr)
        return 2
    DATA.write_text(json.dumps({"about": about, "diagnoses": [asdict(one) for one in found]}, indent=1) + "\n")
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
