"""Every test that SECURITY.md names exists."""

import re
from pathlib import Path

from quartet_stack.layout import REPOSITORY

PAGE = (REPOSITORY / "SECURITY.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    named = []
    for line in PAGE.splitlines():
        file = ""
        for part in re.findall(r"`([a-z_]+\.py|…)::(test_[a-z_0-9]+)`", line):
            file = file if part[0] == "…" else part[0]
            named.append((file, part[1]))
    assert len(named) > 15
    assert len(named) == PAGE.count("::")
    for file, test in named:
        sources = [path.read_text() for path in Path(REPOSITORY / "tests").rglob(file)]
        assert any(re.search(rf"def {test}\(", source) for source in sources), f"{file}::{test}"


def test_every_line_of_the_table_names_the_test_that_checks_it() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 15
    assert not [row.split("|")[1] for row in rows if "::test_" not in row]
