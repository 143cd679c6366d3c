"""The audit of dependencies fails unless it is sure; a fake pip-audit has each outcome."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quartet_stack.layout import REPOSITORY

SCRIPT = REPOSITORY / "tests" / "audit-dependencies"
CLEAN = json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}]})
UNKNOWN = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1)"}
NOBODY_KNOWN = json.dumps({"dependencies": [UNKNOWN, UNKNOWN]})
VULNERABLE = json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}]}]})
ONE_UNKNOWN = json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}, UNKNOWN]})
OTHER_REASON = json.dumps({"dependencies": [{"name": "b", "skip_reason": "it rained"}]})
NO_NETWORK = (
    "Traceback (most recent call last):\nrequests.exceptions.ConnectionError: "
    "HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with url: /pypi/a/1/json"
)


def run(tmp_path: Path, *cases: tuple[str, str, int]) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script; call n of pip-audit has the n-th outcome (stdout, stderr, status), later calls the last one."""
    fake = tmp_path / "pip-audit"
    asked = tmp_path / "asked"
    asked.touch()
    fake.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"cases, asked = {cases!r}, {str(asked)!r}\n"
        "before = len(open(asked).readlines())\n"
        "print(sys.argv[sys.argv.index('--requirement') + 1], file=open(asked, 'a'))\n"
        "out, err, status = cases[min(before, len(cases) - 1)]\n"
        "print(out), print(err, file=sys.stderr), sys.exit(status)\n"
    )
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
    return done, [str(Path(line).relative_to(REPOSITORY)) for line in asked.read_text().splitlines()]


def test_every_lock_file_of_the_repository_is_audited(tmp_path: Path) -> None:
    done, asked = run(tmp_path, (CLEAN, "", 0))
    assert done.returncode == 0, done.stderr
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.lock"]
    listed = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(asked) == sorted(name for name in listed if "requirements" in name)
    assert {"requirements.lock", "requirements-dev.lock", "infra/docker/requirements.lock"} <= set(asked)


@pytest.mark.parametrize(
    "case",
    [(NOBODY_KNOWN, "", 0), ("", NO_NETWORK, 1), ("", "ERROR: Could not connect to PyPI's vulnerability feed", 1)],
    ids=["an index without advisories", "no network", "a time-out"],
)
def test_no_advisories_at_all_passes_and_is_said_aloud(case: tuple[str, str, int], tmp_path: Path) -> None:
    done, asked = run(tmp_path, case)
    assert done.returncode == 0
    assert "WARNING: NOT AUDITED" in done.stderr
    assert all(name in done.stderr for name in asked)


@pytest.mark.parametrize(
    "cases",
    [
        [(VULNERABLE, "", 1)],
        [(CLEAN, "", 0), (VULNERABLE, "", 1), (CLEAN, "", 0)],
        [(NOBODY_KNOWN, "", 0), (VULNERABLE, "", 1)],
        [(ONE_UNKNOWN, "", 0)],
        [(OTHER_REASON, "", 0)],
        [(CLEAN, "", 0), (NOBODY_KNOWN, "", 0)],
        [(CLEAN, "", 0), ("", NO_NETWORK, 1)],
        [("", "Segmentation fault", 139)],
        [("", "usage: pip-audit: error: unrecognized arguments", 2)],
        [("", "requests.exceptions.SSLError: host='pypi.org'", 1)],
        [("", "", 0)],
        [(json.dumps({"dependencies": []}), "", 0)],
        [("[]", "", 0)],
        [(CLEAN, "", 1)],
    ],
    ids=[
        "a vulnerability",
        "one in one lock",
        "one where others are unreachable",
        "an unknown package",
        "another reason to leave it out",
        "one lock without advisories",
        "the network goes away",
        "a crash",
        "a usage error",
        "a certificate",
        "silence",
        "no packages",
        "another format",
        "an unexplained status",
    ],
)
def test_whatever_else_happens_fails(cases: list[tuple[str, str, int]], tmp_path: Path) -> None:
    done, _ = run(tmp_path, *cases)
    assert done.returncode == 1, done.stderr
    assert "pip-audit: " in done.stderr


def test_a_tool_that_is_missing_fails(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip-audit cannot be run" in done.stderr
