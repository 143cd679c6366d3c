"""Every planted bug applies to the tree as it is, runs from a copy, and is found by the simulation where it can be."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.plants import PATCHES, ROOT, Copy, PlantError, apply, copied, plant_of, planted, plants

PLANTS = plants()
WITHIN = 2_000
IMPORTS = """
from tests.simulation.design import Design
from tests.simulation.scenario import scenario_of
from tests.simulation.schedule import replay
"""


@pytest.fixture(scope="module")
def copy() -> Iterator[Copy]:
    with copied() as found:
        yield found


def modules(copy: Copy) -> dict[str, str]:
    """Where the copy's interpreter finds the packages of the project."""
    names = ["checkout", "sagakit", "order_service", "payment_service", "quartet_stack", "provider_sandbox"]
    code = "import json; from importlib.util import find_spec; "
    code += f"print(json.dumps({{name: find_spec(name).origin for name in {names}}}))"
    words = [str(copy.python), "-c", code]
    done = subprocess.run(words, cwd="/", env=copy.environment({}), capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_a_copy_runs_its_own_code_with_the_packages_that_are_installed_here(copy: Copy) -> None:
    """From any folder and without help from the environment, as supervisord starts services."""
    for name, origin in modules(copy).items():
        assert Path(origin).is_relative_to(copy.folder), f"{name} of {origin} would run"
    words = [str(copy.python), "-c", "import rich, msgspec, sqlalchemy, quartet_stack.layout as l; print(l.REPOSITORY)"]
    done = subprocess.run(words, cwd="/", env=copy.environment({}), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(copy.folder)


def test_a_stack_that_is_started_from_a_copy_is_the_copy_s(copy: Copy) -> None:
    """Where its files are, what its programs are made of, and with which environment their interpreter is made."""
    code = """
import sys
from quartet_stack import services
from quartet_stack.ownership import readable
from quartet_stack.settings import resolve
print(resolve({"STACK_DIR": ".stack/chaos", "COORDINATION_MODE": "kafka"}).layout.root)
print(readable.REPOSITORY, sys.prefix)
print(*services._sources("order_service"))
"""
    done = subprocess.run(
        [str(copy.python), "-c", code], cwd="/", env=copy.environment({}), capture_output=True, text=True, check=True
    )
    stack, made_of, sources = done.stdout.splitlines()
    assert stack == str(copy.folder / ".stack" / "chaos")
    assert made_of == f"{copy.folder} {copy.folder / '.venv'}"
    assert all(Path(source).is_relative_to(copy.folder) for source in sources.split())


def test_there_are_enough_plants_and_each_says_what_it_is() -> None:
    assert len(PLANTS) >= 12
    for plant in PLANTS.values():
        assert plant.bug
        assert plant.breaks
        assert plant.needs


def test_the_documentation_has_a_row_for_each_plant() -> None:
    rows = [line for line in (ROOT / "docs" / "simulation.md").read_text().splitlines() if line.startswith("| `")]
    assert sorted(row.split("`")[1] for row in rows) == sorted(PLANTS)
    for row, plant in zip(sorted(rows), sorted(PLANTS.values(), key=lambda one: one.name), strict=True):
        assert plant.bug in row
        assert ("the simulation" in row) == plant.simulated


def test_an_unknown_plant_is_refused_with_the_valid_names() -> None:
    with pytest.raises(PlantError, match=r"no-such-bug.*valid are:.*no-inbox"):
        plant_of("no-such-bug")


@pytest.mark.parametrize("name", PLANTS)
def test_a_plant_applies_to_the_tree_as_it_is_and_its_code_compiles(copy: Copy, name: str) -> None:
    patch = PLANTS[name].patch
    changed = [line[6:] for line in patch.read_text().splitlines() if line.startswith("+++ b/")]
    assert changed
    apply(copy, patch)
    try:
        for file in changed:
            text = (copy.folder / file).read_text()
            assert text != (ROOT / file).read_text()
            compile(text, file, "exec")
    finally:
        apply(copy, patch, reverse=True)
    for file in changed:
        assert (copy.folder / file).read_text() == (ROOT / file).read_text()


def test_a_patch_that_does_not_fit_is_refused(copy: Copy, tmp_path: Path) -> None:
    stale = tmp_path / "stale.patch"
    stale.write_text((PATCHES / "no-inbox.patch").read_text().replace("-    unclaimed", "-    was_called"))
    with pytest.raises(PlantError, match="does not fit the tree"):
        apply(copy, stale)


def test_a_planted_copy_is_gone_afterwards_and_the_tree_is_untouched() -> None:
    changed = ROOT / "shared" / "src" / "sagakit" / "engine" / "batch.py"
    before = changed.read_bytes()
    with planted("no-inbox") as found:
        assert (found.folder / changed.relative_to(ROOT)).read_bytes() != before
    assert changed.read_bytes() == before
    assert not found.folder.exists()


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, plant in PLANTS.items() if plant.simulated])
def test_the_simulation_finds_a_planted_bug(copy: Copy, name: str) -> None:
    """In both styles, under the code that is shipped but for this bug."""
    apply(copy, PLANTS[name].patch)
    try:
        words = [str(copy.python), "-m", "tests.simulation.hunt", str(WITHIN)]
        done = subprocess.run(
            words, cwd=copy.folder, env=copy.environment(), capture_output=True, text=True, check=False
        )
    finally:
        apply(copy, PLANTS[name].patch, reverse=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 1
    assert json.loads(done.stdout).keys() == {"choreography", "orchestration"}


def test_make_simulate_prints_the_call_that_repeats_what_it_found(copy: Copy) -> None:
    apply(copy, PLANTS["hasty-completion"].patch)
    environment = copy.environment() | {"SCHEDULES": "300", "STYLE": "orchestration", "JOBS": "2"}
    try:
        words = [str(copy.python), "-m", "tests.simulation"]
        done = subprocess.run(words, cwd=copy.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        (report,) = copy.folder.glob("reports/simulate-*/report.json")
        found = json.loads(report.read_text())
        call = found["found"].partition("the shrunk one, ")[2].partition(": ")[2].partition("\n->")[0]
        again = f"{IMPORTS}print({call}.broken)"
        words = [str(copy.python), "-c", again]
        repeated = subprocess.run(words, cwd=copy.folder, env=environment, capture_output=True, text=True, check=True)
    finally:
        apply(copy, PLANTS["hasty-completion"].patch, reverse=True)
    assert found["verdict"] == "false"
    assert found["settings"]["style"] == "orchestration"
    assert call in done.stdout
    broken = found["found"].partition("breaks invariant ")[2].partition(":")[0]
    assert broken in repeated.stdout.strip(" {}\n").split(", ")


def test_the_simulation_finds_nothing_where_nothing_is_planted(copy: Copy) -> None:
    words = [str(copy.python), "-m", "tests.simulation.hunt", "100"]
    done = subprocess.run(words, cwd=copy.folder, env=copy.environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "{}", "")
