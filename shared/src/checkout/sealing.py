"""What of a checkout is sealed, and for whom: the payment token for payment, the address for shipping."""

from dataclasses import replace

import msgspec

from checkout.messages import Address, Checkout
from sagakit.sealing import MARK, Sealer


def seal_checkout(checkout: Checkout, payment: Sealer, shipping: Sealer) -> Checkout:
    """The checkout as it is stored and sent. A sealer without a key leaves its part in clear."""
    address = checkout.address
    if isinstance(address, Address):
        written = shipping.seal(msgspec.json.encode(address).decode())
        if written.startswith(MARK):
            address = written
    return replace(checkout, payment_token=payment.seal(checkout.payment_token), address=address)


def open_address(sealed: str, shipping: Sealer) -> Address:
    """The address that `seal_checkout` sealed; raises `CannotOpen`."""
    return msgspec.json.decode(shipping.open(sealed), type=Address)
