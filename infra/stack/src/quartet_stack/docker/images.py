"""The digests of the images of others: infra/docker/images.lock has one image a line, with `-` for an unknown digest.

    .venv/bin/python -m quartet_stack.docker.images            ask the registries (docker buildx) and write the file
    .venv/bin/python -m quartet_stack.docker.images --check    status 1 unless the file lists exactly the used images

`make up STACK=docker` refuses an image whose digest differs from the listed one. An image without a digest is
identified by its tag alone.
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


def listed_digests(text: str) -> dict[str, str]:
    """The text of the lock file as image with tag -> digest, or NONE.

    Raises:
        StackError: A line is not an image with its digest.
    """
    digests = dict[str, str]()
    for line in text.splitlines():
        image, _, digest = line.partition(" ")
        if digest != NONE and not DIGEST.fullmatch(digest):
            raise StackError(f"{LOCK.name}: {line!r} is not an image with its digest")
        digests[image] = digest
    return digests


def used_images() -> set[str]:
    """The images of others that docker-compose.yml and our Dockerfiles name."""
    compose = COMPOSE_FILE.read_text()
    images = [
        *re.findall(r"^ +image: (\S+)$", compose, re.MULTILINE),
        *re.findall(r"\$\{PYTHON_IMAGE:-([^}]+)\}", compose),
    ]
    for definition in LOCK.parent.glob("*.Dockerfile"):
        text = definition.read_text()
        images += re.findall(r"^ARG [A-Z]+=(\S+:\S+)$", text, re.MULTILINE)
        images += (image for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if ":" in image)
    return {image for image in images if not image.startswith("quartet/")}


def refuse_other_digest(image: str, digests: Iterable[str], lock: str | None = None) -> None:
    """Check an image against the lock file.

    Args:
        image: Name and tag.
        digests: The digests that the local image has, as `name@sha256:...`.
        lock: The text of the lock file; by default it is read.

    Raises:
        StackError: The lock has a digest for the image, and it is none of `digests`.
    """
    expected = listed_digests(LOCK.read_text() if lock is None else lock).get(image, NONE)
    actual = [digest.rpartition("@")[2] for digest in digests]
    if expected != NONE and expected not in actual:
        described = f"the digest {' '.join(actual)}" if actual else "no digest of a registry"
        raise StackError(f"the image {image} has {described}; {LOCK.name} lists {expected}")


def problems(lock: str) -> list[str]:
    """The images that are used and not listed, and those that are listed and not used."""
    listed = listed_digests(lock).keys()
    return [
        *(f"{image} is used and not in {LOCK.name}" for image in sorted(used_images() - listed)),
        *(f"{image} is in {LOCK.name} and not used" for image in sorted(listed - used_images())),
    ]


def _ask(image: str) -> str:
    words = ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", image]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise StackError(f"docker could not be run: {error}") from None
    if done.returncode:
        raise StackError(f"no registry returned the digest of {image}: {done.stderr.strip()[-300:]}")
    return str(json.loads(done.stdout)["digest"])


def main(arguments: list[str]) -> int:
    """Write the lock file, or check it; returns the exit status."""
    try:
        if arguments == ["--check"]:
            lock = LOCK.read_text()
            differences = problems(lock)
            unknown = [image for image, digest in listed_digests(lock).items() if digest == NONE]
            print("\n".join(differences) or f"{LOCK.name}: complete; without a digest: {len(unknown)}", file=sys.stderr)
            return 1 if differences else 0
        text = "".join(f"{image} {_ask(image)}\n" for image in sorted(used_images()))
        listed_digests(text)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    LOCK.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
