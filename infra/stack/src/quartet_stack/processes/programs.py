"""The programs that supervisord runs: one readable script for each, and one configuration for all of them."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quartet_stack.layout import Layout
from quartet_stack.ownership.privileges import RunUser, run_user
from quartet_stack.processes.readiness import Check
from quartet_stack.secrets_store import write_private
from quartet_stack.settings import is_secret

SERVICE = "service"
SUBSTRATE = "substrate"
DATABASE = "database"
PROVIDER = "provider"
PROXY = "proxy"

STOP_SECONDS = 20  # a program that has not stopped after this time is killed


@dataclass(frozen=True)
class Program:
    """A complete description of a long-running program: any difference from what runs leads to a restart.

    `ports`: the variable that sets a port, and the port. `fingerprint`: a digest of the code that the command runs.
    """

    name: str
    kind: str
    command: tuple[str, ...]
    directory: Path
    check: Check
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_group: bool = True
    replicas: int = 1
    fingerprint: str = ""


def script(layout: Layout, program: Program, user: RunUser) -> str:
    """The shell script that becomes the program. The program ends with supervisord, so none is left behind.

    Any change of this text, even of a comment, restarts every program at the next `make up`.
    """
    lines = [
        "#!/bin/sh",
        f"# {program.name}, as `make up` runs it; may be run by hand, also by root: it becomes {user.name}",
        *([f'[ "$(id -u)" != 0 ] || exec {shlex.join(user.command())} "$0"'] if user.uid else []),
        "umask 077",  # logs and data are for this user's eyes only
        'ulimit -Sn 65536 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"',
        f"cd {shlex.quote(str(program.directory))} || exit 1",
        *_exports(program, secret=False),
        *([f". {shlex.quote(str(layout.program_secrets / program.name))}"] if any(_exports(program, True)) else []),
    ]
    words = list(program.command)
    if shutil.which("setpriv"):
        words = ["setpriv", "--pdeathsig", program.stop_signal, "--no-new-privs", "--", *words]
    return "\n".join([*lines, f"exec {shlex.join(words)}", ""])


def _exports(program: Program, secret: bool) -> list[str]:
    return [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(program.environment.items())
        if is_secret(name) == secret
    ]


def write_scripts(layout: Layout, programs: Sequence[Program], *, keep_others: bool = False) -> dict[str, str]:
    """Write the script of each program and the file with its secrets, and delete those of others unless they are kept.

    If root writes them, only the program's user can read them, and that user cannot change the script.

    Returns:
        A digest of each program, which changes when anything about it does.
    """
    digests = {}
    for program in programs:
        user = run_user(program.name)
        secrets = "".join(f"{line}\n" for line in _exports(program, secret=True))
        text = script(layout, program, user)
        digests[program.name] = hashlib.sha256(f"{text}\n{secrets}\n{program.fingerprint}".encode()).hexdigest()[:16]
        reader, owner = None, None
        if user.uid is not None and user.gid is not None:
            reader, owner = (0, user.gid), (user.uid, user.gid)
        write_private(layout.program_secrets, program.name, secrets, owner=owner)
        write_private(layout.scripts, program.name, text, 0o750 if reader else 0o700, reader)
    for folder in (layout.program_secrets, layout.scripts):
        for path in folder.iterdir():
            if path.name not in digests and not keep_others:
                path.unlink()
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
{_user("root")}
[unix_http_server]
file={_value(layout.supervisor_socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    return "\n".join([head, *sections(layout, programs, digests)])


def sections(layout: Layout, programs: Sequence[Program], digests: Mapping[str, str]) -> list[str]:
    """The part of supervisord.conf of each program."""
    return [_section(layout, program, digests[program.name]) for program in programs]


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
{_user(run_user(program.name).name)}"""


def _user(name: str) -> str:
    """The line that sets a user; empty if an ordinary user starts the stack, as whom everything then runs."""
    return f"user={name}\n" if os.geteuid() == 0 else ""


def _value(text: object) -> str:
    return str(text).replace("%", "%%")
