"""What supervisord runs: one readable script per program, and one configuration for all of them."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from native_stack.layout import Layout
from native_stack.privileges import RunUser
from native_stack.readiness import Check

SERVICE = "service"
SUBSTRATE = "substrate"
DATABASE = "database"
PROVIDER = "provider"

STOP_SECONDS = 20  # a graceful stop may take this long before the program is killed


@dataclass(frozen=True)
class Program:
    """A long-running program, wholly described: whatever differs from what runs leads to a restart."""

    name: str
    kind: str
    command: tuple[str, ...]
    directory: Path
    check: Check
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)  # variable that sets it -> port
    reads: tuple[Path, ...] = ()  # decides whether it may drop the capability to read everything
    stop_signal: str = "TERM"
    stop_group: bool = True
    replicas: int = 1
    fingerprint: str = ""  # of the code behind the command


def script(program: Program, user: RunUser) -> str:
    """The shell script that becomes the program; it dies with supervisord, so nothing is left behind."""
    lines = [
        "#!/bin/sh",
        f"# {program.name}, as `make up` runs it; may be run by hand",
        "umask 077",  # logs and data are for this user's eyes only
        'ulimit -Sn 65536 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"',
        f"cd {shlex.quote(str(program.directory))} || exit 1",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(program.environment.items())),
    ]
    words = list(program.command)
    if shutil.which("setpriv"):
        words = ["setpriv", "--pdeathsig", program.stop_signal, *user.give_up(program.reads), "--", *words]
    return "\n".join([*lines, f"exec {shlex.join(words)}", ""])


def write_scripts(layout: Layout, programs: Sequence[Program], user: RunUser) -> dict[str, str]:
    """Write all scripts, delete those of others; returns the digest of each."""
    user.make(layout.scripts)
    digests = {}
    for program in programs:
        text = script(program, user)
        digests[program.name] = hashlib.sha256(f"{text}\n{program.fingerprint}".encode()).hexdigest()[:16]
        user.write(layout.scripts, program.name, text, mode=0o700)
    user.remove(layout.scripts, *(path.name for path in layout.scripts.iterdir() if path.name not in digests))
    return digests


def configuration(layout: Layout, programs: Sequence[Program], digests: Mapping[str, str]) -> str:
    """The text of supervisord.conf."""
    head = f"""\
[supervisord]
logfile={_value(layout.logs / "supervisord.log")}
logfile_maxbytes=5MB
logfile_backups=1
pidfile={_value(layout.run / "supervisord.pid")}
childlogdir={_value(layout.logs)}
nocleanup=true
umask=077
identifier=quartet

[unix_http_server]
file={_value(layout.supervisor_socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    return "\n".join([head, *(_section(layout, program, digests[program.name]) for program in programs)])


def _section(layout: Layout, program: Program, digest: str) -> str:
    process = "%(program_name)s" if program.replicas == 1 else "%(program_name)s-%(process_num)d"
    log = _value(layout.logs / program.name) + ("" if program.replicas == 1 else "-%(process_num)d") + ".log"
    group = str(program.stop_group).lower()
    return f"""\
[program:{program.name}]
command={_value(shlex.quote(str(layout.scripts / program.name)))}
environment=QUARTET_DIGEST="{digest}"
process_name={process}
numprocs={program.replicas}
numprocs_start=1
autostart=true
autorestart=true
startsecs=1
startretries=1000000
stopsignal={program.stop_signal}
stopwaitsecs={STOP_SECONDS}
stopasgroup={group}
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def _value(text: object) -> str:
    return str(text).replace("%", "%%")
