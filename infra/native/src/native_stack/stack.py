"""Bring the stack up, change it, and take it down."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from native_stack import postgres, services
from native_stack.errors import StackError
from native_stack.layout import REPOSITORY, Layout, locked
from native_stack.ports import refuse_taken_ports
from native_stack.privileges import RunUser, run_user
from native_stack.programs import DATABASE, SERVICE, Program
from native_stack.readiness import wait_for
from native_stack.secrets_store import load_or_create
from native_stack.settings import SERVICES, Settings
from native_stack.supervisor import Supervisor

# what carries the messages -> the module that prepares it
SUBSTRATES = {"temporal": "temporal", "kafka": "kafka", "sns_sqs": "sns_sqs", "pubsub": "pubsub"}
MANY_DEATHS = 6  # a program that died this often while starting is not going to start

Step = Callable[[str, str], None]  # (what, how far)


def up(settings: Settings, step: Step) -> list[str]:
    """Make the stack run as the settings say, and wait until it is ready; returns what was (re)started."""
    place = settings.layout
    with locked(place.root / "stack.lock", "another make that is changing this stack"):
        user = run_user(services.python_reads(settings))
        user.own(place.run, place.data)
        before = load_or_create(place, SERVICES, user.write)
        secrets = {**before, "jwt": _given_jwt_secret(settings) or before["jwt"]}
        supervisor = Supervisor(place)
        with ThreadPoolExecutor(max_workers=8) as pool:
            substrate = pool.submit(_substrate, settings, user, step)
            databases = _databases(settings, secrets, user, pool, step)
            carriers = substrate.result()
        ours = services.programs(settings, secrets)
        wanted = [*databases, *carriers, *ours]
        refuse_taken_ports(wanted, _ports_in_use(place) if supervisor.alive() else set())
        for package in ("shared", "services", "infra"):
            _compile(REPOSITORY / package, user)
        changed = _ground(supervisor, wanted, settings, user, step)
        _migrate(settings, secrets, user, step)
        record = {
            "environment": services.recorded_environment(settings, secrets),
            "ports": [port for program in wanted for port in program.ports.values()],
            "programs": {
                program.name: {"kind": program.kind, "ports": list(program.ports.values())} for program in wanted
            },
        }
        user.write(place.run, place.record.name, json.dumps(record, indent=1))
        changed += supervisor.apply(wanted, user)
        step("services", "waiting until they are ready")
        _wait(supervisor, wanted, float(settings["READY_TIMEOUT"]))
        step("services", "ready")
        return changed


def down(place: Layout) -> bool:
    """Stop everything, services first, and keep the data; False when nothing was running."""
    with locked(place.root / "stack.lock", "another make that is changing this stack"):
        supervisor = Supervisor(place)
        running = {process.program for process in supervisor.processes()}
        if not supervisor.alive():
            return False
        record = json.loads(place.record.read_text())["programs"] if place.record.exists() else {}
        databases = {name for name in running if record.get(name, {}).get("kind") == DATABASE}
        front = {name for name in running if record.get(name, {}).get("kind") == SERVICE}
        for group in (front, running - front - databases, databases):
            supervisor.stop_groups(sorted(group))
        supervisor.shut_down()
        return True


def clean(place: Layout) -> None:
    """Stop everything and delete the data and the run folder; downloads stay."""
    down(place)
    for folder in (place.run, place.data):
        shutil.rmtree(folder, ignore_errors=True)


def _substrate(settings: Settings, user: RunUser, step: Step) -> list[Program]:
    module = SUBSTRATES.get(settings.substrate)
    if module is None:
        return []
    prepare = importlib.import_module(f"native_stack.{module}").prepare
    return [prepare(settings, user, lambda text: step(settings.substrate, text))]


def _databases(
    settings: Settings, secrets: Mapping[str, str], user: RunUser, pool: ThreadPoolExecutor, step: Step
) -> list[Program]:
    place = settings.layout
    binaries = postgres.installed()
    if binaries is None:
        fetched = postgres.COMPONENT.ensure(place, lambda text: step("postgres", text))
        binaries = postgres.fetched(fetched)
    if not all(postgres.data_folder(place, name).is_dir() for name in SERVICES):
        step("postgres", "creating the databases")
    list(pool.map(lambda name: postgres.create(place, binaries, name, secrets, user), SERVICES))
    return [postgres.program(place, binaries, name, settings.port(f"{name.upper()}_DB_PORT")) for name in SERVICES]


def _ground(
    supervisor: Supervisor, wanted: Sequence[Program], settings: Settings, user: RunUser, step: Step
) -> list[str]:
    """What services stand on: they are stopped while any of it is replaced, so that they end in peace."""
    ground = [program for program in wanted if program.kind != SERVICE]
    running = {process.program for process in supervisor.processes() if process.state == "RUNNING"}
    if {program.name for program in ground} <= running:
        return []
    step("servers", "starting")
    # a service that goes on talking to a broker that is being stopped would need its whole time-out to end
    supervisor.stop_groups(sorted(running & {*SERVICES, services.CONSOLE}))
    changed = supervisor.apply(ground, user)
    databases = [program for program in ground if program.kind == DATABASE]
    _wait(supervisor, databases, float(settings["READY_TIMEOUT"]))
    return changed


def _migrate(settings: Settings, secrets: Mapping[str, str], user: RunUser, step: Step) -> None:
    """Migrate the databases whose service has changed since it was last done."""

    def one(name: str) -> None:
        stamp = postgres.data_folder(settings.layout, name) / "quartet-migrated"
        code = services.migrations_fingerprint(name)
        if stamp.exists() and stamp.read_text() == code:
            return
        step("migrations", name)
        program = services.service(settings, secrets, name)
        words = user.command(program.reads)
        environment = {**_plain_environment(settings), **program.environment}
        done = subprocess.run(
            [*words, *program.command, "migrate"],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-12:]
            raise StackError(f"the database of {name} could not be migrated:\n  " + "\n  ".join(said))
        user.write(stamp.parent, stamp.name, code)

    with ThreadPoolExecutor(max_workers=len(SERVICES)) as pool:
        list(pool.map(one, SERVICES))


def _wait(supervisor: Supervisor, programs: Sequence[Program], seconds: float) -> None:
    births: dict[str, set[int]] = {}

    def hopeless(names: Iterable[str]) -> str:
        for process in supervisor.processes():
            if process.pid:
                births.setdefault(process.program, set()).add(process.pid)
        return next((name for name in names if len(births.get(name, ())) > MANY_DEATHS), "")

    started = time.monotonic()
    late = wait_for({program.name: program.check for program in programs}, seconds, hopeless)
    if not late:
        return
    lines = []
    for name, said in late.items():
        deaths = len(births.get(name, ())) - 1
        how = f"died {deaths} times" if deaths > 0 else f"is not ready after {time.monotonic() - started:.0f} s"
        lines.append(f"{name} {how}: {said.strip()[:300]}\n{_log_tail(supervisor.layout, name)}")
    raise StackError("\n".join([*lines, f"all of it: make logs (files in {supervisor.layout.logs})"]))


def _log_tail(place: Layout, name: str, count: int = 8) -> str:
    files = sorted(place.logs.glob(f"{name}*.log"))
    lines = files[0].read_text(errors="replace").splitlines()[-count:] if files else []
    return "\n".join(f"    {line[:200]}" for line in lines)


def _ports_in_use(place: Layout) -> set[int]:
    return set(json.loads(place.record.read_text())["ports"]) if place.record.exists() else set()


def _given_jwt_secret(settings: Settings) -> str:
    return settings.passed_on.get("JWT_SECRET", "")


def _plain_environment(settings: Settings) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(settings.layout.run), "LANG": "C.UTF-8"}


def _compile(folder: Path, user: RunUser) -> None:
    """Byte code for a user who may not write it."""
    if user.uid is None:
        return
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=False, stdout=subprocess.DEVNULL)
