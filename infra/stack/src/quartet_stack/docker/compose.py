"""`docker compose` as a child process, with the settings of one stack."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY, Layout

APPEND = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW
COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
STANDBY_FILE = REPOSITORY / "docker-compose.standby.yml"  # merged into it if a database has a standby


class Compose:
    """`docker compose` with the settings that the last `up` of a stack wrote, for all profiles or the given ones."""

    def __init__(self, place: Layout, profiles: Sequence[str] = ("*",), environment: Mapping[str, str] | None = None):
        self._log = place.run / "docker.log"
        flags = [word for profile in profiles for word in ("--profile", profile)]
        file = str(place.data / "compose.env")
        self._words = ["docker", "compose", "--file", str(COMPOSE_FILE), "--env-file", file, *flags]
        written = written_settings(place)
        if written.get("DB_STANDBY", "off") != "off":
            self._words[4:4] = ["--file", str(STANDBY_FILE)]
        self.project = written["COMPOSE_PROJECT_NAME"]
        # a variable of the caller would override the file, and COMPOSE_PROFILES would add profiles
        own = {name: value for name, value in os.environ.items() if name not in written}
        self._environment = {**own, **(environment or {}), "COMPOSE_PROFILES": ""}

    def run(
        self, *arguments: str, report: Callable[[str], None] = lambda line: None, of_interest: str = "\n"
    ) -> list[str]:
        """Run a command, append its output to a log, and report the lines that contain `of_interest`.

        Returns:
            The last lines of the output if the command failed, else nothing.
        """
        command = [*self._words[:2], "--progress", "plain", *self._words[2:], *arguments]
        lines: list[str] = []
        with (
            open(os.open(self._log, APPEND, 0o600), "a") as log,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=self._environment,
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                lines.append(line.rstrip())
                if of_interest in line:
                    report(line.strip()[:100])
        return (lines[-12:] or [f"status {process.returncode}"]) if process.returncode else []

    def output(self, *arguments: str) -> str:
        """Run a command and return its standard output.

        Raises:
            StackError: The command failed; the message has the end of its standard error.
        """
        done = subprocess.run(
            [*self._words, *arguments], capture_output=True, text=True, check=False, env=self._environment
        )
        if done.returncode:
            raise StackError(f"docker compose {arguments[0]} failed:\n  {done.stderr.strip()[-800:]}")
        return done.stdout

    def through(self, *arguments: str) -> None:
        """Run a command whose output goes to the terminal."""
        subprocess.run([*self._words, *arguments], check=False, env=self._environment)

    def complaints(self) -> list[str]:
        """The containers that neither run well nor ended well, each with the end of its log."""
        lines = []
        for text in self.output("ps", "--all", "--format", "json").splitlines():
            container: dict[str, Any] = json.loads(text)
            if container["State"] == "running" and container["Health"] in ("", "healthy"):
                continue
            if container["State"] == "exited" and container["ExitCode"] == 0:
                continue
            lines.append(f"{container['Service']} is {container['State']} {container['Health']}".rstrip() + ":")
            log = self.output("logs", "--no-color", "--no-log-prefix", "--tail", "8", container["Service"])
            lines += [f"    {line[:200]}" for line in log.splitlines()]
        return lines


def written_settings(place: Layout) -> dict[str, str]:
    """The settings that the last `up` in containers wrote."""
    text = (place.data / "compose.env").read_text()
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in text.splitlines())}


def runs_in_containers(place: Layout) -> bool:
    """Whether the last `up` of this stack started containers, and no `down` followed."""
    return (place.run / "docker.json").exists()
