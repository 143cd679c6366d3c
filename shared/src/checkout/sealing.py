"""Sealing of a checkout: the payment token for the payment service, the address for the shipping service."""

from typing import Final

import msgspec
from msgspec.structs import replace

from checkout.messages import Address, Checkout
from sagakit.sealing import MARK, Sealer

SEALED: Final = frozenset({"payment_token", "address"})
"""The fields of messages that are sealed; no interface shows them, sealed or in clear."""


def seal_checkout(checkout: Checkout, payment: Sealer, shipping: Sealer) -> Checkout:
    """Seal the checkout before it is stored and sent. A sealer without a key leaves its part in clear."""
    address = checkout.address
    if isinstance(address, Address):
        sealed = shipping.seal(msgspec.json.encode(address).decode())
        if sealed.startswith(MARK):
            address = sealed
    return replace(checkout, payment_token=payment.seal(checkout.payment_token), address=address)


def open_address(sealed: str, shipping: Sealer) -> Address:
    """Open the address that `seal_checkout` sealed.

    Raises:
        CannotOpen: It was sealed with another key, or is no sealed text.
    """
    return msgspec.json.decode(shipping.open(sealed), type=Address)
