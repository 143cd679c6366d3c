"""SNS and SQS: MiniStack, in a virtual environment of its own, because it needs another botocore than ours."""

from __future__ import annotations

from pathlib import Path

from quartet_stack.ownership.folders import home
from quartet_stack.ownership.readable import python, readable
from quartet_stack.processes.programs import SUBSTRATE, Program
from quartet_stack.processes.readiness import HOST, Check
from quartet_stack.servers.components import PINS, Component, Report, pip_venv
from quartet_stack.settings import Settings

LOCK = PINS / "ministack" / "requirements.lock"
LAUNCHER = PINS / "ministack" / "launcher.py"
COMPONENT = Component("ministack", LOCK, pip_venv("MiniStack", LOCK))


def fetch(settings: Settings, report: Report) -> Path:
    """The interpreter that has the emulator."""
    return python(COMPONENT.ensure(settings.layout, report), "import ministack.app", report)


def prepare(settings: Settings, report: Report) -> Program:
    """The emulator; it saves its state only when it is stopped, not when it is killed."""
    interpreter = fetch(settings, report)
    data, _ = home(settings.layout, "ministack")
    port = settings.port("AWS_PORT")
    return Program(
        name="ministack",
        kind=SUBSTRATE,
        command=(str(interpreter), str(readable(LAUNCHER, report))),
        directory=data,
        check=Check("http", port, "/_ministack/health"),
        ports={"AWS_PORT": port},
        environment={
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "SERVICES": "sns,sqs",
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(data / "state"),
            "HOME": str(data),
            "TMPDIR": str(data),
        },
    )
