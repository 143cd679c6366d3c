"""What `make load` and `make demo` run needs the packages of requirements.lock only, not those for development."""

import subprocess
import sys

import pytest

DEVELOPMENT = ("numpy", "scipy", "pytest", "hypothesis", "jinja2", "yaml")
LOADED = "import importlib, sys; importlib.import_module(sys.argv[1]); print(*sorted(sys.modules))"


def loaded_by(module: str) -> set[str]:
    """The modules that are loaded once `module` is imported, in a process of its own."""
    command = [sys.executable, "-c", LOADED, module]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("module", ["loadtests.run", "checkout_demo.__main__", "checkout_audit.__main__"])
def test_a_command_of_the_runtime_loads_no_development_package(module: str) -> None:
    assert loaded_by(module).isdisjoint(DEVELOPMENT)


def test_the_bench_is_seen_to_load_one() -> None:
    assert "scipy" in loaded_by("loadtests.bench.summary")
