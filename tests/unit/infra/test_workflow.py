"""The workflow and the hooks run what this repository has, and nothing by others but the checkout, pinned."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]


def _steps() -> list[dict[str, Any]]:
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_workflow_uses_no_action_but_the_checkout_pinned_by_commit() -> None:
    uses = [step["uses"] for step in _steps() if "uses" in step]
    assert uses
    assert [each for each in uses if not re.fullmatch(r"actions/checkout@[0-9a-f]{40}", each)] == []


def test_the_workflow_names_only_files_that_exist() -> None:
    runs = "\n".join(step["run"] for step in _steps() if "run" in step)
    named = re.findall(r"(?<![\w/.])(?:infra|\.ci)/[\w./-]+", runs)
    assert {"infra/docker/ci.Dockerfile", ".ci/run"} <= set(named)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_hooks_are_the_static_checks_of_the_suite() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = [hook["entry"].removeprefix(".venv/bin/") for repo in config["repos"] for hook in repo["hooks"]]
    checks = re.search(r"^ruff check.*?(?=^wait)", (ROOT / "tests/run").read_text(), re.MULTILINE | re.DOTALL)
    assert checks
    assert [_tool(hook) for hook in hooks] == [_tool(check) for check in checks[0].splitlines()]


def _tool(command: str) -> str:
    """The program and its subcommand, without options and paths."""
    words = [word for word in command.split() if not word.startswith("-") and word != "."]
    return " ".join(words)


def test_every_folder_that_dependabot_watches_exists() -> None:
    config = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())
    folders = [update["directory"] for update in config["updates"]]
    assert len(folders) >= 6
    assert [folder for folder in folders if not (ROOT / folder.strip("/")).is_dir()] == []
