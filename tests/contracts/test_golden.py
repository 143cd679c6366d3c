"""Messages on the wire stay readable: every public type is compared with its golden file."""

import msgspec
import pytest
from msgspec.structs import fields

from checkout.messages import PUBLIC
from sagakit import envelope
from tests.contracts.regenerate import GOLDEN, golden, main, sealed
from tests.contracts.samples import SAMPLES, SEALED


def test_every_public_type_has_a_golden_file_and_every_golden_file_a_type() -> None:
    assert set(SAMPLES) == set(PUBLIC.types)
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(PUBLIC.types)


@pytest.mark.parametrize("name", PUBLIC.types)
def test_a_message_is_written_as_its_golden_file_says(name: str) -> None:
    assert golden(SAMPLES[name]) == (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", PUBLIC.types)
def test_a_golden_file_is_read_as_the_message(name: str) -> None:
    assert envelope.decode((GOLDEN / f"{name}.json").read_bytes(), PUBLIC) == sealed(SAMPLES[name])


@pytest.mark.parametrize("name", PUBLIC.types)
def test_a_field_that_a_newer_sender_adds_is_ignored(name: str) -> None:
    wire = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())
    wire["newer"] = wire["data"]["newer"] = {"some": "thing"}
    assert envelope.decode(msgspec.json.encode(wire), PUBLIC) == sealed(SAMPLES[name])


@pytest.mark.parametrize("name", PUBLIC.types)
def test_a_sample_shows_every_field(name: str) -> None:
    wire = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())
    assert set(wire["data"]) == {field.name for field in fields(SAMPLES[name])}
    assert all(wire["data"].values())


@pytest.mark.parametrize("name", SEALED)
def test_what_is_sealed_is_written_and_read_as_its_golden_file_says(name: str) -> None:
    written = (GOLDEN / "sealed" / f"{name}.json").read_bytes()
    assert golden(SEALED[name]) == written
    assert envelope.decode(written, PUBLIC) == sealed(SEALED[name])
    assert "tok_visa" not in written.decode()
    assert "1 Main St" not in written.decode()


def test_every_message_with_a_checkout_has_a_golden_file_of_it_sealed() -> None:
    assert set(SEALED) == {name for name, kind in PUBLIC.types.items() if "checkout" in kind.__struct_fields__}


def test_regenerating_leaves_existing_files_alone() -> None:
    before = {path: path.stat().st_mtime_ns for path in GOLDEN.glob("*.json")}
    main([])
    assert {path: path.stat().st_mtime_ns for path in GOLDEN.glob("*.json")} == before
