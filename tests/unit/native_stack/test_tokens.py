"""Tokens are what PyJWT accepts, although they are made without it."""

from pathlib import Path

import jwt
import pytest

from native_stack import quick, services
from native_stack.errors import StackError
from native_stack.settings import SERVICES, resolve, with_given
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


def test_a_token_for_the_provider_is_signed_with_its_own_secret(capsys: pytest.CaptureFixture[str]) -> None:
    other = SECRET[::-1]
    quick.token({"JWT_SECRET": SECRET, "PROVIDER_JWT_SECRET": other, "ROLE": "admin", "FOR": "provider"})
    claims = jwt.decode(capsys.readouterr().out.strip(), other, ["HS256"], audience="quartet")
    assert (claims["sub"], claims["role"]) == ("operator", "admin")
    with pytest.raises(StackError, match="services, provider"):
        quick.token({"JWT_SECRET": SECRET, "FOR": "nobody"})


def test_secrets_go_to_those_who_need_them(tmp_path: Path) -> None:
    given = {"STACK_DIR": str(tmp_path), "JWT_SECRET": "j" * 20, "PROVIDER_JWT_SECRET": "p" * 20}
    chosen = resolve(given)
    secrets = with_given(chosen, dict.fromkeys((*SERVICES, "jwt", "provider_jwt"), "made"))
    told = {one.name: one.environment for one in services.programs(chosen, secrets)}
    assert {name for name, environment in told.items() if "p" * 20 in environment.values()} == {
        "provider",
        "payment",
        "shipping",
    }
    assert "j" * 20 not in told["provider"].values()
    assert all(told[name]["JWT_SECRET"] == "j" * 20 for name in SERVICES)
    assert services.recorded_environment(chosen, secrets)["PROVIDER_JWT_SECRET"] == "p" * 20


def test_an_unknown_role_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(StackError, match="customer, admin"):
        quick.token({"JWT_SECRET": SECRET, "ROLE": "root"})
