"""up, down and clean, as one sees them in a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from rich.console import Console

from quartet_stack import services, stack
from quartet_stack.docker import containers as docker
from quartet_stack.docker import standby as docker_standby
from quartet_stack.docker.containers import Choice
from quartet_stack.errors import StackError, usage
from quartet_stack.layout import layout
from quartet_stack.processes.supervisor import Supervisor
from quartet_stack.servers import promotion
from quartet_stack.settings import SERVICES, Settings, resolve
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
    """Bring the stack up, say what happens meanwhile, and how to use it."""
    started = time.monotonic()
    settings = resolve(environ)
    console = Console(highlight=False, soft_wrap=True)
    choice = _choose(settings, console)
    console.print(f"stack: {choice.said}", markup=False)
    if choice.docker:
        changed = with_progress(settings, console, _up_in_containers)
    else:
        if docker.running(settings.layout):
            console.print("  the containers are stopped first; they keep their data to themselves", style="dim")
            docker.down(settings.layout, volumes=False)
        changed = with_progress(settings, console, stack.up)
    seconds = time.monotonic() - started
    what = f"started: {', '.join(dict.fromkeys(changed))}" if changed else "everything was running already"
    console.print(f"ready in {seconds:.1f} s ({what})\n")
    _closing(settings, console)


def _choose(settings: Settings, console: Console) -> Choice:
    """Containers if wanted or possible; auto falls back where an image can neither be found, pulled nor built."""
    place = settings.layout
    choice = docker.choose(settings["STACK"], place, Supervisor(place).alive())
    if not choice.docker or settings["STACK"] == "docker":
        return choice
    try:
        with_progress(settings, console, docker.images)
    except StackError as error:
        return docker.native_because(" ".join(str(error).split())[:300])
    return choice


def _up_in_containers(settings: Settings, step: Step) -> list[str]:
    if settings["STACK"] == "docker":
        docker.images(settings, step)
    if Supervisor(settings.layout).alive():
        step("native stack", "stopping; it keeps its data to itself")
        stack.down(settings.layout)
    return docker.up(settings, step)


def with_progress(settings: Settings, console: Console, work: Callable[[Settings, Step], T]) -> T:
    """`work` with a line per step; on a terminal the last one moves."""
    told: dict[str, float] = {}

    def line(what: str, how_far: str) -> None:
        now = time.monotonic()
        if what not in told or now - told[what] > 2 or how_far in ("ready", "fetched"):
            told[what] = now
            console.print(f"  {what}: {how_far}", style="dim", markup=False)

    if not console.is_terminal:
        return work(settings, line)
    with console.status("checking") as status:

        def moving(what: str, how_far: str) -> None:
            if what not in told:
                told[what] = time.monotonic()
                console.print(f"  {what}", style="dim", markup=False)
            status.update(f"{what}: {how_far}".replace("[", r"\["))

        return work(settings, moving)


def down(environ: Mapping[str, str]) -> None:
    """Stop the stack, keep its data."""
    started = time.monotonic()
    place = layout(environ)
    if docker.down(place, volumes=False):
        print(f"stopped in {time.monotonic() - started:.1f} s; the data is kept in volumes")
    elif stack.down(place):
        print(f"stopped in {time.monotonic() - started:.1f} s; the data is kept in {place.data}")
    else:
        print("nothing was running")


def clean(environ: Mapping[str, str]) -> None:
    """Stop the stack and delete its data."""
    place = layout(environ)
    docker.down(place, volumes=True)
    stack.clean(place)
    print(f"stopped; the data in {place.root} is deleted")


def promote(environ: Mapping[str, str]) -> None:
    """Let the standby of the database that `SERVICE` names take over."""
    service, place = environ.get("SERVICE", ""), layout(environ)
    if service not in SERVICES:
        raise usage(f"SERVICE={service} has no database to promote; valid: {', '.join(SERVICES)}")
    began = time.monotonic()

    def report(line: str) -> None:
        print(f"  {time.monotonic() - began:4.1f} s  {line}", flush=True)

    if docker.running(place):
        docker_standby.promote(docker_standby.Place(place.root), service, report)
    else:
        promotion.promote(place, service, report)


def _closing(settings: Settings, console: Console) -> None:
    console.print(f"mode: [bold]{settings.mode}[/]   providers: {settings['PROVIDERS']}")
    for name in SERVICES:
        console.print(f"  {name:<10} {services.url(settings, name)}/docs")
    if settings["PROVIDERS"] == "sandbox":
        console.print(f"  {'provider':<10} {services.url(settings, services.SANDBOX)}/docs")
    if settings.substrate == "temporal" and settings["TEMPORAL_UI"] == "on":
        console.print(f"  {'temporal':<10} http://127.0.0.1:{settings['TEMPORAL_UI_PORT']}")
    console.print("\nplace an order:")
    prefix = "" if settings.values["STACK_DIR"].source == "default" else f"STACK_DIR={settings['STACK_DIR']} "
    command = CURL.format(order=services.url(settings, "order")).replace("$(make", f"$({prefix}make")
    console.print(command, markup=False)
