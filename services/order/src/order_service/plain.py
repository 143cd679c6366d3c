"""A quick reading of the body of an order that is acceptable beyond doubt, for the shortcut of `POST /orders`.

Guarantee: what is read here, `OrderIn` accepts too, with the same meaning and the same fingerprint. The converse does
not hold: bodies with escapes in their texts are left to `OrderIn`, and so are all that are wrong, since it can say why.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from checkout import limits
from checkout.messages import Address
from sagakit.message import UNREADABLE
from sagakit.sealing import MARK
from sagakit.texts import unfit


class _Plain(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    pass


class _Line(_Plain):
    sku: Annotated[str, Meta(max_length=limits.SKU)]
    quantity: Annotated[int, Meta(ge=1, le=limits.QUANTITY)]


class _Payment(_Plain):
    token: Annotated[str, Meta(max_length=limits.TOKEN)]


class _Address(_Plain):
    name: Annotated[str, Meta(max_length=limits.NAME)]
    line1: Annotated[str, Meta(max_length=limits.LINE1)]
    city: Annotated[str, Meta(max_length=limits.CITY)]
    postal_code: Annotated[str, Meta(max_length=limits.POSTAL_CODE)]
    country: Annotated[str, Meta(pattern=limits.COUNTRY)]


class _Body(_Plain):
    lines: Annotated[list[_Line], Meta(min_length=1, max_length=limits.LINES)]
    payment: _Payment
    shipping_address: _Address


_decoder: Final = msgspec.json.Decoder(_Body)
_encoder: Final = msgspec.json.Encoder(order="sorted")


@dataclass(slots=True)
class PlainOrder:
    """An order that was read quickly; it offers what `OrderIn` does."""

    _body: _Body
    _fingerprint: str

    @property
    def payment(self) -> _Payment:
        """How the customer pays."""
        return self._body.payment

    def fingerprint(self) -> str:
        """See `OrderIn`."""
        return self._fingerprint

    def pieces(self) -> list[tuple[str, int]]:
        """See `OrderIn`."""
        return [(line.sku, line.quantity) for line in self._body.lines]

    def address(self) -> Address:
        """See `OrderIn`."""
        to = self._body.shipping_address
        return Address(to.name, to.line1, to.city, to.postal_code, to.country)


def read_plain_order(body: bytes) -> PlainOrder | None:
    """The order in this body, or None if only `OrderIn` can tell what it is."""
    if b"\\" in body:
        return None
    try:
        read = _decoder.decode(body)
    except UNREADABLE:
        return None
    canonical = _encoder.encode(read)
    # Without escapes, each text has two quotation marks: a key that is given twice is not in the canonical form
    if canonical.count(b'"') != body.count(b'"') or not all(map(_fit, _texts(read))):
        return None
    return PlainOrder(read, hashlib.sha256(canonical).hexdigest())


def _texts(read: _Body) -> list[str]:
    to = read.shipping_address
    return [*(line.sku for line in read.lines), read.payment.token, to.name, to.line1, to.city, to.postal_code]


def _fit(text: str) -> bool:
    return unfit(text) is None and not text.startswith(MARK)
