"""Tokens are what PyJWT accepts, although they are made without it."""

import jwt
import pytest

from native_stack import quick
from native_stack.errors import StackError
from native_stack.tokens import LIFETIME, make_token

SECRET = "0123456789abcdef0123456789abcdef"


def test_a_token_verifies_and_carries_the_claims() -> None:
    claims = jwt.decode(make_token(SECRET, "bob", "admin"), SECRET, ["HS256"], audience="quartet", issuer="quartet")
    assert (claims["sub"], claims["role"]) == ("bob", "admin")
    assert claims["exp"] - claims["iat"] == LIFETIME


def test_another_secret_does_not_verify() -> None:
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(make_token(SECRET, "bob"), SECRET[::-1], ["HS256"], audience="quartet")


def test_an_old_token_is_over() -> None:
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(make_token(SECRET, "bob", now=1_000_000), SECRET, ["HS256"], audience="quartet")


def test_the_command_prints_a_token_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    quick.token({"JWT_SECRET": SECRET, "CUSTOMER": "carol"})
    printed = capsys.readouterr()
    claims = jwt.decode(printed.out.strip(), SECRET, ["HS256"], audience="quartet")
    assert (claims["sub"], claims["role"], printed.err) == ("carol", "customer", "")


def test_an_unknown_role_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(StackError, match="customer, admin"):
        quick.token({"JWT_SECRET": SECRET, "ROLE": "root"})
