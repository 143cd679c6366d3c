"""Sealers: what they write is read with the right key alone, and costs little."""

import time
import timeit

import pytest
from cryptography.fernet import Fernet

from checkout.messages import Address, Checkout, Line, Money
from checkout.sealing import open_address, seal_checkout
from sagakit.sealing import MARK, CannotOpen, DeterministicSealer, FernetSealer, NoSealer, Sealer, sealer
from sagakit.settings import Settings, SettingsError
from tests.keys import PUBLIC_KEY

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TEXTS = ["tok_visa", "", "sealed", "R\u012bga \U0001f600", "x" * 200]
MOST = 50e-6  # seconds of a processor's time per order
ADDRESS = Address("A. Customer", "1 Main St", "Riga", "LV-1010", "LV")
CHECKOUT = Checkout("alice", (Line("cup", 1, Money(1, "EUR")),), Money(1, "EUR"), "tok_visa", ADDRESS)


@pytest.mark.parametrize("made", [FernetSealer(NEW), DeterministicSealer("payment")], ids=["Fernet", "deterministic"])
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_sealed_opens_and_what_never_was_is_read_as_it_is(made: Sealer, text: str) -> None:
    sealed = made.seal(text)
    assert sealed.startswith(MARK)
    assert not text or text not in sealed.removeprefix(MARK)
    assert made.open(sealed) == text
    assert made.open(text) == text


@pytest.mark.parametrize(
    "other", [FernetSealer(OLD), DeterministicSealer("shipping"), NoSealer()], ids=["key", "pair", "none"]
)
@pytest.mark.parametrize("made", [FernetSealer(NEW), DeterministicSealer("payment")], ids=["Fernet", "deterministic"])
def test_nobody_else_opens_it_and_the_error_shows_nothing(made: Sealer, other: Sealer) -> None:
    sealed = made.seal("tok_visa")
    with pytest.raises(CannotOpen) as caught:
        other.open(sealed)
    assert sealed.removeprefix(MARK) not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_was_changed_on_the_way_does_not_open() -> None:
    sealed = FernetSealer(NEW).seal("tok_visa")
    for changed in (sealed[:-9] + sealed[-8:], sealed[:60] + ("A" if sealed[60] != "A" else "B") + sealed[61:], MARK):
        with pytest.raises(CannotOpen):
            FernetSealer(NEW).open(changed)


def test_a_new_key_in_front_seals_and_the_old_one_still_opens() -> None:
    before = sealer(OLD).seal("tok_visa")
    rotated = sealer(f"{NEW},{OLD}")
    assert rotated.open(before) == "tok_visa"
    assert sealer(NEW).open(rotated.seal("tok_visa")) == "tok_visa"


def test_without_keys_nothing_is_sealed() -> None:
    assert sealer("").seal("tok_visa") == "tok_visa"
    assert seal_checkout(CHECKOUT, sealer(""), sealer("")) == CHECKOUT


def test_the_same_text_gives_the_same_bytes_of_the_twin_alone() -> None:
    assert DeterministicSealer("payment").seal("a") == DeterministicSealer("payment").seal("a")
    assert FernetSealer(NEW).seal("a") != FernetSealer(NEW).seal("a")


@pytest.mark.parametrize(
    "keys",
    ["short", f"{NEW},", f"{NEW};{OLD}", "\u00e4" * 44],
    ids=["short", "none behind the comma", "semicolon", "no base64"],
)
def test_a_key_that_is_none_is_refused_and_not_shown(keys: str) -> None:
    with pytest.raises(SettingsError, match="keys of 32 bytes") as caught:
        Settings.from_env({"TOKEN_PUBLIC_KEYS": PUBLIC_KEY, "SEAL_KEY_PAYMENT": keys})
    assert str(caught.value).startswith("SEAL_KEY_PAYMENT=")
    assert keys not in str(caught.value)


def test_all_the_sealing_and_opening_of_an_order_costs_little() -> None:
    payment, shipping = FernetSealer(NEW), FernetSealer(OLD)

    def order() -> None:
        sealed = seal_checkout(CHECKOUT, payment, shipping)
        payment.open(sealed.payment_token)
        assert isinstance(sealed.address, str)
        open_address(sealed.address, shipping)

    number = 100
    assert min(timeit.repeat(order, number=number, repeat=50, timer=time.thread_time)) / number < MOST
