"""What a client may send and what it gets. Every bound is named in the problem that a violation is answered with."""

import hashlib
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from checkout.messages import Checkout
from sagakit.http import PrintableText, iso
from sagakit.sealing import MARK


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_Short = Annotated[PrintableText, Field(min_length=1, max_length=200)]


class LineIn(_Strict):
    sku: Annotated[PrintableText, Field(min_length=1, max_length=100)]
    quantity: Annotated[int, Field(ge=1, le=100)]


def _unmarked(text: str) -> str:
    """What starts with the mark would be taken for sealed, which only this service's own writing is."""
    if text.startswith(MARK):
        raise ValueError(f"Input should not start with {MARK}")
    return text


class PaymentIn(_Strict):
    token: Annotated[_Short, AfterValidator(_unmarked)]


class AddressIn(_Strict):
    name: _Short
    line1: _Short
    city: _Short
    postal_code: Annotated[PrintableText, Field(min_length=1, max_length=32)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]


class OrderIn(_Strict):
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=50)]
    payment: PaymentIn
    shipping_address: AddressIn

    def fingerprint(self) -> str:
        """A digest of the validated body: the same order gives the same, however it was written."""
        return hashlib.sha256(msgspec.json.encode(self.model_dump(), order="deterministic")).hexdigest()


_checkout: Final = msgspec.json.Decoder(Checkout)


def order_out(row: Any, mode: str) -> dict[str, Any]:
    """The order as the interface shows it, from a row of `orders`."""
    checkout = _checkout.decode(row.checkout)
    return {
        "order_id": row.order_id,
        "status": row.status,
        "settled": row.settled,
        "cancellation_reason": row.cancellation_reason,
        "total": checkout.total,
        "lines": checkout.lines,
        "created_at": iso(row.created_at),
        "mode": mode,
    }
