"""What a change touches is counted in the code: the same lines for both styles, but for those that only one uses."""

import pytest

from loadtests.bench.change import ONLY, SERVICE, STYLES, Place, naming, table, touched
from quartet_stack.layout import REPOSITORY

SOURCE = b'''"""BookShipment in a docstring."""

# BookShipment in a comment
from m import (
    BookShipment,
    Other,
)

KINDS = {"BookShipment": 1, "NoBookShipment": 2}
'''


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], set[Place]]:
    return touched()


def test_only_code_counts_and_only_whole_words() -> None:
    assert naming(SOURCE, {"BookShipment"}) == {5, 9}
    assert naming(SOURCE, None) == {4, 5, 6, 7, 9}
    assert naming(b'KINDS = {\n "x",\n "a BookShipment",\n}\n', {"BookShipment"}) == set()


def test_each_style_is_spared_what_only_the_other_uses(found: dict[tuple[str, str], set[Place]]) -> None:
    saga = ONLY["orchestration"][0][0]
    for change in ("a reason", "a step", "a participant"):
        files = {style: {place.file for place in found[change, style]} for style in STYLES}
        assert not any(file.endswith("reactions.py") for file in files["orchestration"])
        assert saga in files["orchestration"]
        assert saga not in files["choreography"]
        assert "services/order/src/order_service/reactions.py" in files["choreography"]


def test_a_step_costs_a_choreography_more_places_and_a_participant_contains_a_step(
    found: dict[tuple[str, str], set[Place]],
) -> None:
    files = {key: {place.file for place in places} for key, places in found.items()}
    assert len(files["a step", "choreography"]) > len(files["a step", "orchestration"])
    for style in STYLES:
        assert found["a step", style] < found["a participant", style]
        assert any(file.startswith(SERVICE) for file in files["a participant", style])


def test_no_transport_has_to_be_touched(found: dict[tuple[str, str], set[Place]]) -> None:
    assert not any("/modes/" in place.file for places in found.values() for place in places)


def test_what_contributing_says_of_a_new_reason_is_found(found: dict[tuple[str, str], set[Place]]) -> None:
    (row,) = [
        line
        for line in (REPOSITORY / "CONTRIBUTING.md").read_text().splitlines()
        if "a new reason for a cancel" in line
    ]
    both = {place.file for style in STYLES for place in found["a reason", style]}
    named = {file for file in both if file in row}
    assert len(named) >= 4
    assert len(table(found).rows) == 6
