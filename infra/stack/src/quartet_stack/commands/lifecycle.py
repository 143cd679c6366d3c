"""`make up`, `make down`, `make clean` and `make promote`, with what they print."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from rich.console import Console

from quartet_stack import api, services, stack
from quartet_stack.commands.console import link
from quartet_stack.docker import choice, containers
from quartet_stack.docker.choice import Choice
from quartet_stack.docker.compose import runs_in_containers
from quartet_stack.errors import StackError, UsageError
from quartet_stack.layout import layout
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.servers import temporal_server
from quartet_stack.settings import SERVICES, Settings, resolve, stack_environment
from quartet_stack.stack import Step

T = TypeVar("T")

CURL = """\
curl -s -X POST {order}/orders \\
  -H "Authorization: Bearer $(make -s token)" \\
  -H "Idempotency-Key: $(date +%s%N)" -H 'Prefer: wait=20' \\
  -H 'Content-Type: application/json' -d '{{
    "lines": [{{"sku": "espresso-cup", "quantity": 2}}],
    "payment": {{"token": "tok_visa"}},
    "shipping_address": {{"name": "A. Customer", "line1": "1 Main St", "city": "Riga",
                         "postal_code": "LV-1010", "country": "LV"}}}}'"""


def up(environ: Mapping[str, str]) -> None:
    """Bring the stack up, print each step, and print how to use the stack."""
    started = time.monotonic()
    settings = resolve(environ)
    console = Console(highlight=False, soft_wrap=True)
    decision = _choose(settings, console)
    console.print(f"stack: {decision.explanation}", markup=False)
    if decision.in_containers:
        changed = with_progress(settings, console, _up_in_containers)
    else:
        if runs_in_containers(settings.layout):
            console.print("  stopping the containers first; their volumes keep their data", style="dim")
            containers.down(settings.layout, volumes=False)
        changed = with_progress(settings, console, stack.up)
    seconds = time.monotonic() - started
    what = f"started: {', '.join(dict.fromkeys(changed))}" if changed else "everything was already running"
    console.print(f"ready in {seconds:.1f} s ({what})\n")
    _print_usage(settings, console)


def _choose(settings: Settings, console: Console) -> Choice:
    """Containers if asked for or possible; `auto` falls back if an image can be neither found, pulled nor built."""
    place = settings.layout
    decision = choice.choose(settings["STACK"], place, Supervisor(place).alive())
    if not decision.in_containers or settings["STACK"] == "docker":
        return decision
    try:
        with_progress(settings, console, containers.images)
    except StackError as error:
        return choice.native_because(" ".join(str(error).split())[:300])
    return decision


def _up_in_containers(settings: Settings, step: Step) -> list[str]:
    if settings["STACK"] == "docker":
        containers.images(settings, step)
    if Supervisor(settings.layout).alive():
        step("native stack", "stopping; its data stay where they are")
        stack.down(settings.layout)
    return containers.up(settings, step)


def with_progress(settings: Settings, console: Console, work: Callable[[Settings, Step], T]) -> T:
    """Run `work` and print a line per step; on a terminal the last line is updated in place."""
    last_printed: dict[str, float] = {}

    def line(what: str, how_far: str) -> None:
        now = time.monotonic()
        if what not in last_printed or now - last_printed[what] > 2 or how_far in ("ready", "fetched"):
            last_printed[what] = now
            console.print(f"  {what}: {how_far}", style="dim", markup=False)

    if not console.is_terminal:
        return work(settings, line)
    with console.status("checking") as status:

        def moving(what: str, how_far: str) -> None:
            if what not in last_printed:
                last_printed[what] = time.monotonic()
                console.print(f"  {what}", style="dim", markup=False)
            status.update(f"{what}: {how_far}".replace("[", r"\["))

        return work(settings, moving)


def down(environ: Mapping[str, str]) -> None:
    """Stop the stack and keep its data."""
    started = time.monotonic()
    place = layout(environ)
    if containers.down(place, volumes=False):
        print(f"stopped the stack in {time.monotonic() - started:.1f} s; its volumes keep the data")
    elif stack.down(place):
        print(f"stopped the stack in {time.monotonic() - started:.1f} s; its data stay in {place.data}")
    else:
        print("no stack was running")


def clean(environ: Mapping[str, str]) -> None:
    """Stop the stack and delete its data."""
    place = layout(environ)
    containers.down(place, volumes=True)
    stack.clean(place)
    print(f"stopped the stack and deleted its data in {place.root}")


def promote(environ: Mapping[str, str]) -> None:
    """Let the standby of the database that `SERVICE` names take over.

    Raises:
        UsageError: `SERVICE` names no service.
    """
    service = environ.get("SERVICE", "")
    if service not in SERVICES:
        raise UsageError(f"SERVICE={service} has no database to promote; valid: {', '.join(SERVICES)}")
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"  {time.monotonic() - started:4.1f} s  {line}", flush=True)

    api.promote(service, layout(environ).root, report)


def _print_usage(settings: Settings, console: Console) -> None:
    _print_console(settings, console)
    console.print(f"mode: [bold]{settings.mode}[/]   providers: {settings['PROVIDERS']}")
    for name in SERVICES:
        console.print(f"  {name:<10} {services.url(settings, name)}/docs")
    if settings["PROVIDERS"] == "sandbox":
        console.print(f"  {'provider':<10} {services.url(settings, services.SANDBOX)}/docs")
    if settings.substrate == "temporal" and settings["TEMPORAL_UI"] == "on" and not temporal_server.used(settings):
        console.print(f"  {'temporal':<10} http://127.0.0.1:{settings['TEMPORAL_UI_PORT']}")
    console.print("\nplace an order:")
    prefix = "" if settings.values["STACK_DIR"].source == "default" else f"STACK_DIR={settings['STACK_DIR']} "
    command = CURL.format(order=services.url(settings, "order")).replace("$(make", f"$({prefix}make")
    console.print(command, markup=False)


def _print_console(settings: Settings, console: Console) -> None:
    """The link to the console; where no code can be had, its address alone."""
    address = services.url(settings, services.CONSOLE)
    try:
        address = link(stack_environment(settings.layout.root))
    except StackError as error:
        console.print(f"no code for the console: {error}", style="dim", markup=False)
    console.print(f"console: {address}", markup=False)
    console.print("  signs in once, within 15 minutes; for another link: make console\n", style="dim")
