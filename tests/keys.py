"""Keys that tests sign tokens with, and call providers with."""

from base64 import urlsafe_b64encode
from typing import Final

from sagakit.tokens import public_half

SIGNING_KEY: Final = urlsafe_b64encode(b"tests sign their tokens with it.").decode()
PUBLIC_KEY: Final = public_half(SIGNING_KEY)
PAYMENT_KEY: Final = "payments-own-key-at-its-provider"
SHIPPING_KEY: Final = "shippings-own-key-at-its-carrier"
