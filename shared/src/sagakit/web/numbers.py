"""Integers in JSON bodies, which some writers give a fraction of zero: 2.0."""

from typing import Any, Final

from pydantic import BeforeValidator


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
"""`Annotated[int, Field(ge=1), WHOLE]` takes 2.0 as 2, which strict models refuse.

Source: JSON Schema 2020-12, section 4.2.3: a number without a fraction is an integer, however it is written.
"""
