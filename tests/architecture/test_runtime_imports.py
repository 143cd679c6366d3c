"""What `make load` and `make demo` run needs the packages of requirements.lock only, not those for development."""

import subprocess
import sys

import pytest

from sagakit.modes import MODES

pytestmark = pytest.mark.thorough

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


CLIENTS = {"temporal": "temporalio", "kafka": "aiokafka", "sns_sqs": "aioboto3", "pubsub": "google.pubsub_v1"}
"""Substrate -> its client library; a test holds that the keys are all there are."""
BUILT = """
import sys
from checkout.saga import CHECKOUT
from checkout.topology import topology_of
from order_service.service import SERVICE
from sagakit import modes
from sagakit.settings import Settings
from tests.keys import PUBLIC_KEY
name = sys.argv[1]
modes.load(name, Settings(token_public_keys=PUBLIC_KEY), SERVICE, CHECKOUT, topology_of(modes.MODES[name].style))
print(*sorted(sys.modules))
"""


def test_every_substrate_has_its_client_library() -> None:
    assert CLIENTS.keys() == {mode.substrate for mode in MODES.values()}


@pytest.mark.parametrize("substrate", CLIENTS)
def test_a_mode_loads_no_client_library_of_another(substrate: str) -> None:
    mode = next(mode.name for mode in MODES.values() if mode.substrate == substrate)
    command = [sys.executable, "-c", BUILT, mode]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert f"sagakit.modes.{substrate}" in loaded
    assert loaded.isdisjoint({client for name, client in CLIENTS.items() if name != substrate})


@pytest.mark.parametrize("service", ["order", "payment", "inventory", "shipping"])
def test_a_service_that_serves_does_not_load_what_only_migrations_need(service: str) -> None:
    assert {"alembic", "mako", "pygments"}.isdisjoint(loaded_by(f"{service}_service.__main__"))


def test_migrations_are_seen_to_load_it() -> None:
    assert "alembic" in loaded_by("sagakit.postgres.migrations")
