"""SNS and SQS: MiniStack, in an environment of its own because it pins a botocore that ours cannot have."""

from __future__ import annotations

import sys
from pathlib import Path

from native_stack.components import NATIVE, Component, Report, pip_venv
from native_stack.privileges import RunUser
from native_stack.programs import SUBSTRATE, Program
from native_stack.readiness import HOST, Check
from native_stack.settings import Settings

LOCK = NATIVE / "ministack" / "requirements.lock"
LAUNCHER = NATIVE / "ministack" / "launcher.py"
COMPONENT = Component("ministack", LOCK, pip_venv("MiniStack", LOCK))


def prepare(settings: Settings, user: RunUser, report: Report) -> Program:
    """The emulator; it writes its state when it is stopped, and only then."""
    python = COMPONENT.ensure(settings.layout, report) / "bin" / "python"
    data = settings.layout.data / "ministack"
    user.make(data)
    port = settings.port("AWS_PORT")
    return Program(
        name="ministack",
        kind=SUBSTRATE,
        command=(str(python), str(LAUNCHER)),
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
        reads=(python, LAUNCHER, Path(sys.base_prefix) / "lib", data),
    )
