"""The digests of the images that others make: infra/docker/images.lock, one a line, `-` where none is known yet.

    .venv/bin/python -m quartet_stack.docker.images           asks the registries (docker buildx) and writes it
    .venv/bin/python -m quartet_stack.docker.images --check   exit status 1 unless exactly the images that are used are listed

`make up STACK=docker` refuses an image that has another digest than the listed one. One without a digest is held by
its tag alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable

from quartet_stack.docker.compose import COMPOSE_FILE
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY

LOCK = REPOSITORY / "infra" / "docker" / "images.lock"
NONE = "-"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def locked(text: str) -> dict[str, str]:
    """Image with its tag -> digest, or NONE; raises `StackError` for a line that says neither."""
    found = dict[str, str]()
    for line in text.splitlines():
        image, _, digest = line.partition(" ")
        if digest != NONE and not DIGEST.fullmatch(digest):
            raise StackError(f"{LOCK.name}: {line!r} is no image with its digest")
        found[image] = digest
    return found


def used() -> set[str]:
    """The images that Compose and our own recipes name, but for our own."""
    compose = COMPOSE_FILE.read_text()
    named = [
        *re.findall(r"^ +image: (\S+)$", compose, re.MULTILINE),
        *re.findall(r"\$\{PYTHON_IMAGE:-([^}]+)\}", compose),
    ]
    for definition in LOCK.parent.glob("*.Dockerfile"):
        text = definition.read_text()
        named += re.findall(r"^ARG [A-Z]+=(\S+:\S+)$", text, re.MULTILINE)
        named += (image for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if ":" in image)
    return {image for image in named if not image.startswith("quartet/")}


def refuse_another(image: str, digests: Iterable[str], lock: str | None = None) -> None:
    """Raises `StackError` when the lock has a digest of the image and it is none of `digests` (`name@sha256:...`)."""
    wanted = locked(LOCK.read_text() if lock is None else lock).get(image, NONE)
    here = [found.rpartition("@")[2] for found in digests]
    if wanted != NONE and wanted not in here:
        known = " ".join(here) or "of no registry"
        raise StackError(f"the image {image} has the digest {known}, not {wanted} of {LOCK.name}")


def problems(lock: str) -> list[str]:
    """What the lock lacks, and what it has too much."""
    listed = locked(lock).keys()
    return [
        *(f"{image} is used and not in {LOCK.name}" for image in sorted(used() - listed)),
        *(f"{image} is in {LOCK.name} and not used" for image in sorted(listed - used())),
    ]


def _ask(image: str) -> str:
    words = ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", image]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise StackError(f"docker cannot be run: {error}") from None
    if done.returncode:
        raise StackError(f"no registry tells the digest of {image}: {done.stderr.strip()[-300:]}")
    return str(json.loads(done.stdout)["digest"])


def main(arguments: list[str]) -> int:
    try:
        if arguments == ["--check"]:
            lock = LOCK.read_text()
            found = problems(lock)
            open_ones = [image for image, digest in locked(lock).items() if digest == NONE]
            print("\n".join(found) or f"{LOCK.name}: complete; without a digest: {len(open_ones)}", file=sys.stderr)
            return 1 if found else 0
        text = "".join(f"{image} {_ask(image)}\n" for image in sorted(used()))
        locked(text)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    LOCK.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
