"""Tokens of the stack are those that the services accept."""

import jwt
import pytest

from quartet_stack.commands import quick
from quartet_stack.errors import StackError
from quartet_stack.tokens import LIFETIME, make_token
from sagakit.tokens import new_signing_key, private_key
from sagakit.web.auth import Verifier
from sagakit.web.problems import Problem
from tests.keys import PUBLIC_KEY, SIGNING_KEY


def test_a_token_verifies_and_carries_the_claims() -> None:
    token = make_token(SIGNING_KEY, "bob", "admin")
    assert Verifier(PUBLIC_KEY).verify(token).is_admin
    key = private_key(SIGNING_KEY).public_key()
    claims = jwt.decode(token, key, ["EdDSA"], audience="quartet", issuer="quartet")
    assert (claims["sub"], claims["role"]) == ("bob", "admin")
    assert claims["exp"] - claims["iat"] == LIFETIME


@pytest.mark.parametrize("token", [make_token(new_signing_key(), "bob"), make_token(SIGNING_KEY, "bob", now=1_000_000)])
def test_a_token_of_another_key_or_of_long_ago_is_none(token: str) -> None:
    with pytest.raises(Problem):
        Verifier(PUBLIC_KEY).verify(token)


def test_the_command_prints_a_token_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    quick.token({"TOKEN_SIGNING_KEY": SIGNING_KEY, "CUSTOMER": "carol"})
    printed = capsys.readouterr()
    caller = Verifier(PUBLIC_KEY).verify(printed.out.strip())
    assert (caller.subject, caller.role, printed.err) == ("carol", "customer", "")


def test_an_unknown_role_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(StackError, match="customer, admin"):
        quick.token({"TOKEN_SIGNING_KEY": SIGNING_KEY, "ROLE": "root"})


def test_a_key_that_is_none_is_refused_and_not_shown() -> None:
    with pytest.raises(StackError, match="TOKEN_SIGNING_KEY") as refused:
        quick.token({"TOKEN_SIGNING_KEY": "no-key-at-all"})
    assert refused.value.status == 2
    assert "no-key-at-all" not in str(refused.value)


def test_a_new_pair_of_keys_fits_together(capsys: pytest.CaptureFixture[str]) -> None:
    quick.keys({})
    made = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert made.keys() == {"TOKEN_SIGNING_KEY", "TOKEN_PUBLIC_KEYS"}
    assert Verifier(made["TOKEN_PUBLIC_KEYS"]).verify(make_token(made["TOKEN_SIGNING_KEY"], "bob")).subject == "bob"
    quick.keys({})
    assert made["TOKEN_SIGNING_KEY"] not in capsys.readouterr().out
