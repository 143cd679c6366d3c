"""What the native stack starts listens to this machine only."""

from pathlib import Path
from typing import Any

import pytest

from quartet_stack import services
from quartet_stack.processes.programs import Program
from quartet_stack.secrets_store import load_or_create
from quartet_stack.servers import kafka, postgres, pubsub, sns_sqs, temporal
from quartet_stack.servers.components import Component
from quartet_stack.settings import SERVICES, Settings, resolve

HERE = "127.0.0.1"


def listens(program: Program) -> set[str]:
    """Every address that a program is told to listen to."""
    words = " ".join(program.command).replace("=", " ").split()
    found = {word for word in words if word.count(".") == 3 and word.replace(".", "").isdigit()}
    return found | {program.environment[name] for name in ("HTTP_HOST", "BIND_HOST") if name in program.environment}


@pytest.fixture
def settings(open_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for module in (kafka, pubsub):
        monkeypatch.setattr(module, "java", lambda what, report: Path("/usr/bin/java"))
    monkeypatch.setattr(pubsub, "find_jar", lambda: Path("/pubsub.jar"))
    monkeypatch.setattr(sns_sqs, "python", lambda *_: Path("python"))
    monkeypatch.setattr(Component, "ensure", lambda *_: open_tmp_path)
    return resolve({"STACK_DIR": str(open_tmp_path / "stack")})


@pytest.mark.parametrize("module", [temporal, pubsub, sns_sqs], ids=lambda module: str(module.__name__))
def test_what_carries_messages_listens_here_only(module: Any, settings: Settings) -> None:
    settings.layout.data.mkdir(parents=True)
    program = module.prepare(settings, lambda text: None)
    assert listens(program) == {HERE}


def test_services_providers_and_databases_listen_here_only(settings: Settings) -> None:
    ours = services.programs(settings, load_or_create(settings.layout, SERVICES), Path("python"))
    assert {program.name for program in ours} >= {*SERVICES, services.SANDBOX}
    databases = [postgres.program(settings.layout, Path("/bin"), name, 1) for name in SERVICES]
    assert all(listens(program) == {HERE} for program in (*ours, *databases))
    assert all("unix_socket_directories=" in program.command for program in databases)
