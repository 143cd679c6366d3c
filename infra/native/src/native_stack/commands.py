"""up, down and clean, as one sees them in a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console

from native_stack import docker, services, stack
from native_stack.layout import layout
from native_stack.settings import SERVICES, Settings, resolve

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
    choice = docker.choose(settings["STACK"])
    console.print(f"stack: {choice.said}")
    if choice.docker:
        docker.up(settings)
        return
    changed = with_progress(settings, console)
    seconds = time.monotonic() - started
    what = f"started: {', '.join(dict.fromkeys(changed))}" if changed else "everything was running already"
    console.print(f"ready in {seconds:.1f} s ({what})\n")
    _closing(settings, console)


def with_progress(settings: Settings, console: Console) -> list[str]:
    """`stack.up` with a line per step; on a terminal the last one moves."""
    told: dict[str, float] = {}

    def line(what: str, how_far: str) -> None:
        now = time.monotonic()
        if what not in told or now - told[what] > 2 or how_far in ("ready", "fetched"):
            told[what] = now
            console.print(f"  {what}: {how_far}", style="dim", markup=False)

    if not console.is_terminal:
        return stack.up(settings, line)
    with console.status("checking") as status:

        def moving(what: str, how_far: str) -> None:
            if what not in told:
                told[what] = time.monotonic()
                console.print(f"  {what}", style="dim", markup=False)
            status.update(f"{what}: {how_far}".replace("[", r"\["))

        return stack.up(settings, moving)


def down(environ: Mapping[str, str]) -> None:
    """Stop the stack, keep its data."""
    started = time.monotonic()
    place = layout(environ)
    if docker.running(place):
        docker.down(place, volumes=False)
    elif stack.down(place):
        print(f"stopped in {time.monotonic() - started:.1f} s; the data is kept in {place.data}")
    else:
        print("nothing was running")


def clean(environ: Mapping[str, str]) -> None:
    """Stop the stack and delete its data."""
    place = layout(environ)
    if docker.running(place):
        docker.down(place, volumes=True)
    stack.clean(place)
    print(f"stopped; the data in {place.root} is deleted")


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
