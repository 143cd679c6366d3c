"""Bad input to the programs beside `make chaos` ends with one line and status 2, before anything is started."""

from types import ModuleType

import pytest

from tests.chaos import controls, recovery, switching
from tests.chaos.debugging import __main__ as debugging


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        (controls, "MODES", "kafkaa"),
        (controls, "PLANTS", "no-bug"),
        (debugging, "MODES", "kafkaa"),
        (debugging, "PLANTS", "no-bug"),
        (recovery, "MODES", "kafkaa"),
        (recovery, "KILLS", "0"),
        (recovery, "KILLS", "x"),
        (recovery, "RATE", "-1"),
        (switching, "MODES", "kafkaa"),
        (switching, "MODES", "kafka"),
        (switching, "RATE", "0"),
        (switching, "ROUNDS", "x"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    program: ModuleType,
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert program.main() == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
