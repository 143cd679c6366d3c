"""Every test that docs/faults.md names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/faults.md").read_text().partition("\n## ")[2]
PATHS = list((ROOT / "tests").rglob("*.py"))
FILES = {one.name: "".join(path.read_text() for path in PATHS if path.name == one.name) for one in PATHS}


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| kind", "| ---"))]
    assert len(rows) > 30
    without = [row for row in rows if not re.search(r"`[a-z_]+\.py", row.rsplit("|", 2)[1])]
    assert without == []


def test_every_file_and_test_that_a_row_names_exists() -> None:
    wrong = []
    for line in PAGE.splitlines():
        file = ""
        for named in re.findall(
            r"`([a-z_]+\.py)?(?:…?::)?(…?test_[a-z_…]+)?", line.rsplit("|", 2)[1] if "|" in line else ""
        ):
            file = named[0] or file
            name = named[1].strip("…")
            if named[0] and named[0] not in FILES:
                wrong.append(named[0])
            elif name and file and not re.search(rf"def {name}", FILES[file]):
                wrong.append(f"{file}::{name}")
    assert wrong == []
