"""Start a native stack, change it, and stop it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from quartet_stack import saved, services
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY, Layout, alone
from quartet_stack.ownership import folders, readable, users
from quartet_stack.ownership.privileges import run_user
from quartet_stack.processes import daemon
from quartet_stack.processes.ports import refuse_taken_ports
from quartet_stack.processes.programs import DATABASE, PROXY, SERVICE, SUBSTRATE, Program
from quartet_stack.processes.readiness import wait_for
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.secrets_store import given_secrets, load_or_create, write_private
from quartet_stack.servers import postgres, promotion, replication, sessions, standby, temporal_server, toxiproxy
from quartet_stack.settings import SERVICES, Settings

# what carries the messages -> the module of `servers` that prepares it
SUBSTRATES = {"temporal": "temporal", "kafka": "kafka", "sns_sqs": "sns_sqs", "pubsub": "pubsub"}
MIGRATED = "quartet-migrated"  # the file in a cluster with the digest of the migrations that were applied
MANY_DEATHS = 6  # a program that ended more often than this while starting will not start

Step = Callable[[str, str], None]  # (what, how far)


def up(settings: Settings, step: Step) -> list[str]:
    """Make the stack run as the settings say, and wait until it is ready; returns the (re)started programs."""
    place = settings.layout
    with alone(place):
        _users(step)
        folders.prepare(place, lambda text: step("folders", text), lambda: _stop(place))
        _move_sandbox(place)
        secrets = load_or_create(place, SERVICES) | given_secrets(settings.signing_key)
        supervisor = Supervisor(place)
        with ThreadPoolExecutor(max_workers=8) as pool:
            substrate = pool.submit(_substrate, settings, step)
            proxies = pool.submit(_proxies, settings, step)
            python = pool.submit(_python, step)
            databases = _databases(settings, secrets, pool, step)
            brokers = [*substrate.result(), *proxies.result()]
        ours = services.programs(settings, secrets, python.result())
        programs = [*databases, *brokers, *ours]
        running = supervisor.pid() if supervisor.alive() else 0
        refuse_taken_ports(programs, _ports_in_use(place) if running else set(), running)
        changed = _start_servers(supervisor, programs, settings, step)
        replication.set_up(settings, secrets, supervisor, programs, step)
        _migrate(settings, secrets, python.result(), step)
        _admit_auditor(settings, secrets)
        record = {
            "environment": services.recorded_environment(settings, secrets),
            "ports": [port for program in programs for port in program.ports.values()],
            "programs": {
                program.name: {"kind": program.kind, "ports": list(program.ports.values())} for program in programs
            },
        }
        write_private(place.run, place.record.name, json.dumps(record, indent=1))
        changed += supervisor.apply(programs)
        step("services", "waiting until they are ready")
        _wait(supervisor, programs, float(settings["READY_TIMEOUT"]))
        step("services", "ready")
        return changed


def down(place: Layout) -> bool:
    """Stop all programs, services first, and keep the data; False if none was running."""
    with alone(place):
        return _stop(place)


def clean(place: Layout) -> None:
    """Stop all programs and delete the data and the run folder; downloads stay."""
    with alone(place):
        _stop(place)
        folders.delete(place)


def _stop(place: Layout) -> bool:
    supervisor = Supervisor(place)
    if not supervisor.alive():
        daemon.refuse_silent(place)
        return False
    running = {process.program for process in supervisor.processes()}
    programs = saved.record(place).get("programs", {})
    databases = {name for name in running if programs.get(name, {}).get("kind") == DATABASE}
    front = {name for name in running if programs.get(name, {}).get("kind") == SERVICE}
    for group in (front, running - front - databases, databases):
        supervisor.stop_groups(sorted(group))
    supervisor.shut_down()
    return True


def _users(step: Step) -> None:
    if os.geteuid() == 0 and (names := users.ensure()):
        step("users", f"created {', '.join(names)} (make uninstall removes them)")


def _move_sandbox(place: Layout) -> None:
    """Move the sandbox's database of an older version, which was in `data` itself, to the sandbox's folder."""
    if not (place.data / services.SANDBOX_FILE).exists():
        return
    supervisor = Supervisor(place)
    if supervisor.alive():
        supervisor.stop_groups([services.SANDBOX])
    home, _ = folders.home(place, services.SANDBOX)
    for path in place.data.glob(f"{services.SANDBOX_FILE}*"):
        path.rename(home / path.name)


def _python(step: Step) -> Path:
    """The interpreter of our services; their byte code is compiled here, because their users may not write it."""
    if os.geteuid() == 0:
        places = [str(REPOSITORY / top) for top in readable.SOURCES]
        subprocess.run([sys.executable, "-m", "compileall", "-q", *places], check=False, stdout=subprocess.DEVNULL)
    return readable.services_python(lambda text: step("python", text))


def _substrate(settings: Settings, step: Step) -> list[Program]:
    module = SUBSTRATES.get(settings.substrate)
    if module is None:
        return []
    prepare = importlib.import_module(f"quartet_stack.servers.{module}").prepare
    return [prepare(settings, lambda text: step(settings.substrate, text))]


def _proxies(settings: Settings, step: Step) -> list[Program]:
    return [toxiproxy.prepare(settings, lambda text: step("toxiproxy", text))] if toxiproxy.links(settings) else []


def _databases(settings: Settings, secrets: Mapping[str, str], pool: ThreadPoolExecutor, step: Step) -> list[Program]:
    place = settings.layout
    binaries = postgres.binaries(place, lambda text: step("postgres", text))
    if not all(postgres.data_folder(place, name).is_dir() for name in SERVICES):
        step("postgres", "creating the databases")

    def create(name: str) -> None:
        standby.check(place, name)
        promotion.fence(place, name)
        postgres.create(place, binaries, name, secrets, standby.mark(place, name).primary)
        standby.admit(settings, name)

    list(pool.map(create, SERVICES))
    ours = [program for name in SERVICES for program in standby.programs(settings, binaries, name)]
    return [*ours, *temporal_server.databases(settings, secrets, binaries)]


def _start_servers(supervisor: Supervisor, programs: Sequence[Program], settings: Settings, step: Step) -> list[str]:
    """Start what the services depend on; while any of it is missing or changes, the services are stopped."""
    servers = [program for program in programs if program.kind != SERVICE and replication.startable(program)]
    running = {process.program for process in supervisor.processes() if process.state == "RUNNING"}
    if {program.name for program in servers} <= running:
        return []
    step("servers", "starting")
    serving = sorted(running & {*SERVICES, services.CONSOLE})
    missing = [program for program in servers if program.name not in running]
    # a service that uses a broker while that stops would need its whole timeout to end: the services stop first
    if serving and all(program.kind == SUBSTRATE for program in missing) and supervisor.add(missing):
        step("servers", "the services use the old broker until the new one is ready")
        _wait(supervisor, missing, float(settings["READY_TIMEOUT"]))
        supervisor.stop_groups(serving)
        return [program.name for program in missing]
    supervisor.stop_groups(serving)
    changed = supervisor.apply(servers)
    needed = [program for program in servers if program.kind in (DATABASE, PROXY)]  # by the migrations
    _wait(supervisor, needed, float(settings["READY_TIMEOUT"]))
    return changed


def _migrate(settings: Settings, secrets: Mapping[str, str], python: Path, step: Step) -> None:
    """Migrate the databases whose service has changed since their last migration."""

    def migrate(name: str) -> None:
        primary = standby.mark(settings.layout, name).primary
        database, owner = standby.folder(settings.layout, name, primary), run_user(f"{name}-{primary}")
        code = services.migrations_fingerprint(name)
        if owner.read(database, MIGRATED) == code:
            return
        step("migrations", name)
        program = services.service(settings, secrets, name, python)
        words = run_user(name).command()
        plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(settings.layout.run), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [*words, *program.command, "migrate"],
            env={**plain, **program.environment},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = (done.stderr or done.stdout).strip().splitlines()[-12:]
            raise StackError(f"the database of {name} could not be migrated:\n  " + "\n  ".join(tail))
        owner.write(database, MIGRATED, code)

    with ThreadPoolExecutor(max_workers=len(SERVICES)) as pool:
        list(pool.map(migrate, SERVICES))


def _admit_auditor(settings: Settings, secrets: Mapping[str, str]) -> None:
    """Give the auditor a role in each database that may only read."""

    def admit(name: str) -> None:
        primary = standby.mark(settings.layout, name).primary
        sessions.run(settings, secrets, name, primary, sessions.create_auditor(name, secrets[standby.AUDITOR]))

    with ThreadPoolExecutor(max_workers=len(SERVICES)) as pool:
        list(pool.map(admit, SERVICES))


def _wait(supervisor: Supervisor, programs: Sequence[Program], seconds: float) -> None:
    pids: dict[str, set[int]] = {}

    def keeps_dying(names: Iterable[str]) -> str:
        for process in supervisor.processes():
            if process.pid:
                pids.setdefault(process.program, set()).add(process.pid)
        return next((name for name in names if len(pids.get(name, ())) > MANY_DEATHS), "")

    started = time.monotonic()
    late = wait_for({program.name: program.check for program in programs}, seconds, keeps_dying)
    if not late:
        return
    lines = []
    for name, problem in late.items():
        deaths = len(pids.get(name, ())) - 1
        how = f"ended {deaths} times" if deaths > 0 else f"is not ready after {time.monotonic() - started:.0f} s"
        lines.append(f"{name} {how}: {problem.strip()[:300]}\n{_log_tail(supervisor.layout, name)}")
    raise StackError("\n".join([*lines, f"for the complete logs: make logs (files in {supervisor.layout.logs})"]))


def _log_tail(place: Layout, name: str, count: int = 8) -> str:
    named = place.logs.glob(f"{name}*.log")  # also those of `order-db`, and of the replica `order-1`
    files = sorted(file for file in named if file.stem == name or file.stem.removeprefix(f"{name}-").isdigit())
    lines = files[0].read_text(errors="replace").splitlines()[-count:] if files else []
    return "\n".join(f"    {line[:200]}" for line in lines)


def _ports_in_use(place: Layout) -> set[int]:
    return set(saved.record(place).get("ports", ()))
