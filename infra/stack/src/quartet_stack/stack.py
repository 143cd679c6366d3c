"""Bring the stack up, change it, and take it down."""

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

from quartet_stack import folders, readable, services, toxics, users
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY, Layout, locked
from quartet_stack.ports import refuse_taken_ports
from quartet_stack.privileges import run_user
from quartet_stack.programs import DATABASE, PROXY, SERVICE, Program
from quartet_stack.readiness import wait_for
from quartet_stack.secrets_store import given_secrets, load_or_create, write_private
from quartet_stack.servers import postgres, promotion, replication, standby
from quartet_stack.settings import SERVICES, Settings
from quartet_stack.supervisor import Supervisor

# what carries the messages -> the module that prepares it
SUBSTRATES = {"temporal": "temporal", "kafka": "kafka", "sns_sqs": "sns_sqs", "pubsub": "pubsub"}
MIGRATED = "quartet-migrated"  # the file in a cluster that says which migrations it has seen
MANY_DEATHS = 6  # a program that died this often while starting is not going to start

Step = Callable[[str, str], None]  # (what, how far)


def up(settings: Settings, step: Step) -> list[str]:
    """Make the stack run as the settings say, and wait until it is ready; returns what was (re)started."""
    place = settings.layout
    with locked(place.root / "stack.lock", "another make that is changing this stack"):
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
            carriers = [*substrate.result(), *proxies.result()]
        ours = services.programs(settings, secrets, python.result())
        wanted = [*databases, *carriers, *ours]
        refuse_taken_ports(wanted, _ports_in_use(place) if supervisor.alive() else set())
        changed = _ground(supervisor, wanted, settings, step)
        replication.bring(settings, secrets, supervisor, wanted, step)
        _migrate(settings, secrets, python.result(), step)
        record = {
            "environment": services.recorded_environment(settings, secrets),
            "ports": [port for program in wanted for port in program.ports.values()],
            "programs": {
                program.name: {"kind": program.kind, "ports": list(program.ports.values())} for program in wanted
            },
        }
        write_private(place.run, place.record.name, json.dumps(record, indent=1))
        changed += supervisor.apply(wanted)
        step("services", "waiting until they are ready")
        _wait(supervisor, wanted, float(settings["READY_TIMEOUT"]))
        step("services", "ready")
        return changed


def down(place: Layout) -> bool:
    """Stop everything, services first, and keep the data; False when nothing was running."""
    with locked(place.root / "stack.lock", "another make that is changing this stack"):
        return _stop(place)


def clean(place: Layout) -> None:
    """Stop everything and delete the data and the run folder; downloads stay."""
    down(place)
    folders.delete(place)


def _stop(place: Layout) -> bool:
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


def _users(step: Step) -> None:
    if os.geteuid() == 0 and (made := users.ensure()):
        step("users", f"made {', '.join(made)} (make uninstall removes them)")


def _move_sandbox(place: Layout) -> None:
    """The sandbox's file lay beside the folders of the others before it had one of its own."""
    if not (place.data / services.SANDBOX_FILE).exists():
        return
    supervisor = Supervisor(place)
    if supervisor.alive():
        supervisor.stop_groups([services.SANDBOX])
    home, _ = folders.home(place, services.SANDBOX)
    for path in place.data.glob(f"{services.SANDBOX_FILE}*"):
        path.rename(home / path.name)


def _python(step: Step) -> Path:
    """What our services run with; their byte code is made here, since their users may not write it."""
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
    return [toxics.prepare(settings, lambda text: step("toxiproxy", text))] if toxics.links(settings) else []


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
    return [program for name in SERVICES for program in standby.programs(settings, binaries, name)]


def _ground(supervisor: Supervisor, wanted: Sequence[Program], settings: Settings, step: Step) -> list[str]:
    """What services stand on: they are stopped while any of it is replaced, so that they end in peace."""
    ground = [program for program in wanted if program.kind != SERVICE and replication.startable(program)]
    running = {process.program for process in supervisor.processes() if process.state == "RUNNING"}
    if {program.name for program in ground} <= running:
        return []
    step("servers", "starting")
    # a service that goes on talking to a broker that is being stopped would need its whole time-out to end
    supervisor.stop_groups(sorted(running & {*SERVICES, services.CONSOLE}))
    changed = supervisor.apply(ground)
    needed = [program for program in ground if program.kind in (DATABASE, PROXY)]  # by the migrations
    _wait(supervisor, needed, float(settings["READY_TIMEOUT"]))
    return changed


def _migrate(settings: Settings, secrets: Mapping[str, str], python: Path, step: Step) -> None:
    """Migrate the databases whose service has changed since it was last done."""

    def one(name: str) -> None:
        primary = standby.mark(settings.layout, name).primary
        database, keeper = standby.folder(settings.layout, name, primary), run_user(f"{name}-{primary}")
        code = services.migrations_fingerprint(name)
        if keeper.read(database, MIGRATED) == code:
            return
        step("migrations", name)
        program = services.service(settings, secrets, name, python)
        words = run_user(name).command()
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
        keeper.write(database, MIGRATED, code)

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


def _plain_environment(settings: Settings) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(settings.layout.run), "LANG": "C.UTF-8"}
