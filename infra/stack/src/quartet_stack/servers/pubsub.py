"""Pub/Sub: the emulator of an installed Google Cloud SDK."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from quartet_stack.errors import StackError
from quartet_stack.ownership.folders import home
from quartet_stack.ownership.readable import readable
from quartet_stack.processes.programs import SUBSTRATE, Program
from quartet_stack.processes.readiness import HOST, Check
from quartet_stack.servers.components import Report
from quartet_stack.servers.java import java
from quartet_stack.settings import Settings

JAR = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar"
USUAL_PLACES = (
    "/usr/lib/google-cloud-sdk",
    "/usr/share/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "~/google-cloud-sdk",
)
# The emulator keeps every message that a subscription has had, also if it was acknowledged: 17 KB for each order. With
# little memory left it would only collect garbage; so it ends when that takes 60 % of its time and frees less than half
# of each part of its memory, is started again, and has forgotten all messages.
GIVES_UP = ("-XX:+UseParallelGC", "-XX:ParallelGCThreads=2", "-XX:GCTimeLimit=60", "-XX:GCHeapFreeLimit=50")
JVM = ("-Xmx1536m", *GIVES_UP, "-XX:+ExitOnOutOfMemoryError", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


def fetch(settings: Settings, report: Report) -> tuple[Path, Path]:
    """Java, and the emulator's jar."""
    jar = find_jar()
    return java("The Pub/Sub emulator", report), readable(jar.parent, report) / jar.name


def prepare(settings: Settings, report: Report) -> Program:
    """The emulator; it loses its state when it ends, so its clients create topics and subscriptions again."""
    virtual_machine, jar = fetch(settings, report)
    data, _ = home(settings.layout, "pubsub")
    port = settings.port("PUBSUB_PORT")
    return Program(
        name="pubsub",
        kind=SUBSTRATE,
        command=(str(virtual_machine), *JVM, "-jar", str(jar), f"--host={HOST}", f"--port={port}"),
        directory=data,
        check=Check("http", port, "/"),
        ports={"PUBSUB_PORT": port},
        environment={"HOME": str(data)},
    )


def find_jar() -> Path:
    """The newest emulator of the SDKs on this machine, or the jar that `PUBSUB_EMULATOR_JAR` names.

    Raises:
        StackError: There is none; the message says how to install one.
    """
    named = os.environ.get("PUBSUB_EMULATOR_JAR")
    if named:
        return Path(named)
    for root in _sdk_roots():
        jars = sorted(root.glob(JAR))
        if jars:
            return jars[-1]
    raise StackError(
        "the Pub/Sub emulator is not installed; with the Google Cloud SDK: gcloud components install"
        " pubsub-emulator; on Debian: apt-get install google-cloud-cli-pubsub-emulator;"
        " or set PUBSUB_EMULATOR_JAR to its jar"
    )


def _sdk_roots() -> Iterator[Path]:
    for place in (os.environ.get("CLOUDSDK_ROOT_DIR", ""), *USUAL_PLACES):
        if place:
            yield Path(place).expanduser()
    gcloud = shutil.which("gcloud")
    if not gcloud:
        return
    yield Path(os.path.realpath(gcloud)).parents[1]
    info = subprocess.run(
        [gcloud, "info", "--format=value(installation.sdk_root)"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if info.returncode == 0 and info.stdout.strip():
        yield Path(info.stdout.strip())
