"""Sealed for one participant: stored calls hold no clear token and no address, and the provider gets what it needs."""

import re

import pytest
from msgspec.structs import replace

from checkout import messages as m
from checkout.sealing import seal_checkout
from payment_service import gateway
from payment_service.domain import PaymentAuthorizationRequested, PaymentCaptureRequested
from quartet_stack.layout import REPOSITORY
from sagakit.message import Event
from sagakit.provider import ProviderCall
from sagakit.sealing import CannotOpen, DeterministicSealer, Sealer
from shipping_service import carrier
from shipping_service.domain import ShipmentBookingRequested, ShipmentDispatchRequested
from tests.unit.services.given import CHECKOUT, ORDER

PAYMENT, SHIPPING = DeterministicSealer("payment"), DeterministicSealer("shipping")
SEALED = seal_checkout(CHECKOUT, PAYMENT, SHIPPING)


def made(event: Event) -> ProviderCall:
    call = gateway.call(event) or carrier.call(event)
    assert call is not None
    return call


def test_a_sealed_checkout_is_the_same_apart_from_token_and_address() -> None:
    assert replace(SEALED, payment_token=CHECKOUT.payment_token, address=CHECKOUT.address) == CHECKOUT
    assert seal_checkout(SEALED, PAYMENT, SHIPPING).address == SEALED.address


@pytest.mark.parametrize(
    ("sealed", "clear", "field", "shown"),
    [
        (PaymentAuthorizationRequested(ORDER, SEALED), PaymentAuthorizationRequested(ORDER, CHECKOUT), "token", "tok_"),
        (ShipmentBookingRequested(ORDER, SEALED), ShipmentBookingRequested(ORDER, CHECKOUT), "country", "Main St"),
    ],
    ids=["payment", "shipping"],
)
def test_a_provider_gets_of_a_sealed_checkout_what_it_got_of_a_clear_one(
    sealed: Event, clear: Event, field: str, shown: str
) -> None:
    stored = made(sealed)
    assert shown not in repr(stored)
    module, own, other = (gateway, PAYMENT, SHIPPING) if field == "token" else (carrier, SHIPPING, PAYMENT)
    assert module.opened(stored, own) == made(clear) == module.opened(made(clear), own)
    assert field in made(clear).payload
    with pytest.raises(CannotOpen):
        module.opened(stored, other)


@pytest.mark.parametrize(
    ("event", "sealer"),
    [(PaymentCaptureRequested(ORDER, 3300, "EUR"), PAYMENT), (ShipmentDispatchRequested(ORDER), SHIPPING)],
)
def test_other_calls_are_not_changed(event: Event, sealer: Sealer) -> None:
    module = gateway if isinstance(event, PaymentCaptureRequested) else carrier
    assert module.opened(made(event), sealer) == made(event)


def test_the_stored_call_has_the_whole_address_sealed() -> None:
    stored = made(ShipmentBookingRequested(ORDER, SEALED))
    assert stored.payload == {"order_id": ORDER, "address": SEALED.address}
    assert isinstance(CHECKOUT.address, m.Address)
    assert SHIPPING.open(str(SEALED.address)).count(CHECKOUT.address.line1) == 1


def test_only_the_two_provider_modules_open_what_is_sealed() -> None:
    opening = re.compile(r"\b(?:sealer|payment|shipping)\.open\(|\bopen_address\(")
    sources = [path for top in ("services", "shared/src", "infra") for path in (REPOSITORY / top).rglob("*.py")]
    found = {path.name for path in sources if opening.search(path.read_text())}
    assert found == {"gateway.py", "carrier.py", "sealing.py"}
