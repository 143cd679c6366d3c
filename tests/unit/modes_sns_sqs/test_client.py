"""What the clients change in botocore's calls."""

from typing import Any
from urllib.parse import parse_qs

from hypothesis import given
from hypothesis import strategies as st

from sagakit.modes.sns_sqs.client import encode_form

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT.filter(bool), TEXT))
def test_a_form_is_read_as_it_was_written(form: dict[str, str]) -> None:
    params: dict[str, Any] = {"body": form}
    encode_form(params)
    read = parse_qs(params["body"].decode("ascii"), keep_blank_values=True, strict_parsing=bool(form))
    assert read == {name: [value] for name, value in form.items()}
