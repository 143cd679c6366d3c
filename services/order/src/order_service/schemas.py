"""What a client may send and what it gets. Every bound is named in the problem that a violation is answered with."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from checkout import limits
from checkout.messages import Checkout
from sagakit.sealing import MARK
from sagakit.web.app import VISIBLE, iso


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LineIn(_Strict):
    sku: Annotated[str, Field(min_length=1, max_length=limits.SKU), VISIBLE]
    quantity: Annotated[int, Field(ge=1, le=limits.QUANTITY)]


def _unmarked(text: str) -> str:
    """What starts with the mark would be taken for sealed, which only this service's own writing is."""
    if text.startswith(MARK):
        raise ValueError(f"Input should not start with {MARK}")
    return text


class PaymentIn(_Strict):
    token: Annotated[str, Field(min_length=1, max_length=limits.TOKEN), VISIBLE, AfterValidator(_unmarked)]


class AddressIn(_Strict):
    name: Annotated[str, Field(min_length=1, max_length=limits.NAME), VISIBLE]
    line1: Annotated[str, Field(min_length=1, max_length=limits.LINE1), VISIBLE]
    city: Annotated[str, Field(min_length=1, max_length=limits.CITY), VISIBLE]
    postal_code: Annotated[str, Field(min_length=1, max_length=limits.POSTAL_CODE), VISIBLE]
    country: Annotated[str, Field(pattern=limits.COUNTRY, description="ISO 3166-1 alpha-2")]


class OrderIn(_Strict):
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=limits.LINES)]
    payment: PaymentIn
    shipping_address: AddressIn

    def fingerprint(self) -> str:
        """A digest of the validated body: the same order gives the same, however it was written."""
        return _digest(self)


class _Line(_Strict):
    sku: str
    quantity: Annotated[int, Field(ge=-(2**63), lt=2**63)]


class _Payment(_Strict):
    token: str


class _Address(_Strict):
    name: str
    line1: str
    city: str
    postal_code: str
    country: str


class OrderShape(_Strict):
    """An order whatever its bounds were when it was sent first: the fields of OrderIn, and their types."""

    lines: list[_Line]
    payment: _Payment
    shipping_address: _Address


@dataclass(frozen=True, slots=True)
class Unfit:
    """An order that could not be placed now, and why. It may have been placed when it could."""

    shape: OrderShape
    error: ValidationError

    def fingerprint(self) -> str:
        """As OrderIn.fingerprint."""
        return _digest(self.shape)

    def refusal(self) -> RequestValidationError:
        """What its sender is told if it is new."""
        errors = self.error.errors(include_url=False, include_context=False, include_input=False)
        return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in errors])


def _fit_or_not(data: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(data)
    except ValidationError as error:
        try:
            return Unfit(OrderShape.model_validate(data), error)
        except ValidationError:
            raise error from None


OrderBody = Annotated[OrderIn, WrapValidator(_fit_or_not)]
"""The body of an order: OrderIn, or Unfit, about which is decided when its key is known."""


def _digest(model: BaseModel) -> str:
    return hashlib.sha256(msgspec.json.encode(model.model_dump(), order="deterministic")).hexdigest()


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
