"""Bad input to the programs beside `make chaos` ends with one line and status 2, before anything is started."""

import os
from collections.abc import Callable

import pytest

from tests.chaos import controls, hostile, odd_texts, pairs, recovery, switching
from tests.chaos.debugging import __main__ as debugging

MODES, PLANTS, WHOLE, NUMBER = "valid are: temporal-orchestration", "ack-before-commit", "whole", "number"


def hostile_main() -> int:
    return hostile.main([])


def odd_texts_main() -> int:
    return odd_texts.main(os.environ)


@pytest.mark.parametrize(
    ("main", "name", "value", "valid"),
    [
        (controls.main, "MODES", "kafkaa", MODES),
        (controls.main, "PLANTS", "no-bug", PLANTS),
        (debugging.main, "MODES", "kafkaa", MODES),
        (debugging.main, "PLANTS", "no-bug", PLANTS),
        (recovery.main, "MODES", "kafkaa", MODES),
        (recovery.main, "KILLS", "0", WHOLE),
        (recovery.main, "KILLS", "x", WHOLE),
        (recovery.main, "RATE", "-1", NUMBER),
        (switching.main, "MODES", "kafkaa", MODES),
        (switching.main, "MODES", "kafka,kafka", "two or more"),
        (switching.main, "RATE", "0", NUMBER),
        (switching.main, "ROUNDS", "x", WHOLE),
        (pairs.main, "MODES", "kafkaa", MODES),
        (pairs.main, "PAIRS", "x", WHOLE),
        (odd_texts_main, "MODES", "kafkaa", MODES),
        (odd_texts_main, "DURATION", "nan", NUMBER),
        (odd_texts_main, "PORT_OFFSET", "x", WHOLE),
        (hostile_main, "PAIRS", "0", WHOLE),
        (hostile_main, "SECONDS", "x", NUMBER),
        (hostile_main, "KINDS", "nonsense", "valid are: "),
    ],
)
def test_bad_input_is_one_line_that_names_it_and_what_is_valid(
    main: Callable[[], int],
    name: str,
    value: str,
    valid: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(name)
    assert valid in line
