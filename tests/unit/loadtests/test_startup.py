"""How long a service takes to be ready: what counts as late, and what is said without a stack."""

import pytest

from loadtests import startup
from loadtests.startup import Measured


def test_what_took_longer_than_allowed_is_named() -> None:
    found = Measured({"order": 1.2, "payment": 0.9}, again=3.5)
    assert found.missed(1, 3) == ["order needs 1.20 s of CPU until it is ready", "make up again takes 3.5 s"]
    assert found.missed(1.3, 4) == []


def test_settings_and_a_missing_stack_are_named(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert startup.main({"CPU_MOST": "soon"}) == 2
    assert "CPU_MOST=soon" in capsys.readouterr().err
    assert startup.main({"STACK_DIR": f"{tmp_path}"}) == 2
    assert "make up" in capsys.readouterr().err
