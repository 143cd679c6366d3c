"""Images of others: each is listed, and one that is not the listed one is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quartet_stack.docker import containers, images
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY
from quartet_stack.settings import resolve

GOOD, BAD = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def test_every_image_that_is_used_is_listed_and_no_other() -> None:
    assert images.problems(images.LOCK.read_text()) == [], "renew it: .venv/bin/python -m quartet_stack.docker.images"
    assert {"postgres:17", "apache/kafka:4.3.1"} <= images.used_images()
    assert any(image.startswith("python:") for image in images.used_images())


def test_images_are_used_nowhere_but_where_they_are_looked_for() -> None:
    words = [
        "git",
        "grep",
        "-lE",
        r"^(FROM|ARG [A-Z]+=[^ ]+:|\s+image: )",
        "--",
        ".",
        ":!infra/helm",
    ]  # the chart's are ours
    found = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in found if not name.endswith(".py")] == [
        "docker-compose.yml",
        "infra/docker/ci.Dockerfile",
        "infra/docker/service.Dockerfile",
    ]


def test_an_image_that_is_not_listed_or_not_used_is_named() -> None:
    lock = images.LOCK.read_text()
    first, _, rest = lock.partition("\n")
    assert images.problems(rest) == [f"{first.split()[0]} is used and not in images.lock"]
    assert images.problems(f"{lock}old:1 -\n") == ["old:1 is in images.lock and not used"]


@pytest.mark.parametrize("line", ["postgres:17", "postgres:17 latest", f"postgres:17 {GOOD[:-1]}"])
def test_a_line_that_says_no_digest_is_refused(line: str) -> None:
    with pytest.raises(StackError, match="is not an image with its digest"):
        images.listed_digests(line)


def test_another_digest_than_the_listed_one_is_refused() -> None:
    lock = f"postgres:17 {GOOD}\nother:1 -\n"
    images.refuse_other_digest("postgres:17", [f"postgres@{GOOD}", f"mirror.example.org/postgres@{BAD}"], lock)
    images.refuse_other_digest("other:1", [f"other@{BAD}"], lock)
    images.refuse_other_digest("of-the-caller:1", [], lock)
    for digests in ([f"postgres@{BAD}"], []):
        with pytest.raises(StackError, match=r"the image postgres:17 has .* digest.*; images\.lock lists sha256:a{64}"):
            images.refuse_other_digest("postgres:17", digests, lock)


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    """A `docker` that knows one service, has its image, and a registry that tells a digest for every image."""
    model = json.dumps({"services": {"order-db": {"image": "postgres:17"}}})
    program = folder / "docker"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nwords = sys.argv\n"
        f"if 'config' in words: print({model!r})\n"
        f"elif 'imagetools' in words: print({json.dumps({'digest': digest})!r})\n"
        f"elif any('RepoDigests' in word for word in words): print('postgres@{digest}')\n"
        "else: print('x')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_make_up_takes_the_listed_image_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "images.lock"
    lock.write_text(f"postgres:17 {GOOD}\n")
    monkeypatch.setattr(images, "LOCK", lock)
    settings = resolve({"STACK_DIR": str(tmp_path / "stack")})
    pretend(tmp_path, monkeypatch, GOOD)
    containers.images(settings, lambda what, how_far: None)
    pretend(tmp_path, monkeypatch, BAD)
    with pytest.raises(StackError, match="the image postgres:17 has the digest sha256:bbb"):
        containers.images(settings, lambda what, how_far: None)


def test_the_lock_is_filled_from_the_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LOCK", tmp_path / "images.lock")
    pretend(tmp_path, monkeypatch, GOOD)
    assert images.main([]) == 0
    assert images.main(["--check"]) == 0
    assert set(images.listed_digests(images.LOCK.read_text()).values()) == {GOOD}


def test_a_registry_that_does_not_answer_leaves_the_lock_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "images.lock"
    lock.write_text("as it was")
    monkeypatch.setattr(images, "LOCK", lock)
    (tmp_path / "docker").write_text("#!/bin/sh\necho no route >&2; exit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert images.main([]) == 1
    assert lock.read_text() == "as it was"
