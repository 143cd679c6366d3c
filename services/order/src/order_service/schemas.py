"""The bodies that a client sends and gets. The problem that answers a violation names the bound."""

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
from checkout.messages import Address, Checkout
from order_service.documents import EXAMPLE, Order
from order_service.plain import PlainOrder
from sagakit.sealing import MARK
from sagakit.web.app import VISIBLE, WHOLE, iso


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LineIn(_Strict):
    """How many pieces of one SKU."""

    sku: Annotated[str, Field(min_length=1, max_length=limits.SKU), VISIBLE]
    quantity: Annotated[int, Field(ge=1, le=limits.QUANTITY), WHOLE]


def _unmarked(text: str) -> str:
    # A text with the mark would be taken for one that this service has sealed
    if text.startswith(MARK):
        raise ValueError(f"Input should not start with {MARK}")
    return text


class PaymentIn(_Strict):
    """How the customer pays: a token of the payment provider."""

    token: Annotated[str, Field(min_length=1, max_length=limits.TOKEN), VISIBLE, AfterValidator(_unmarked)]


class AddressIn(_Strict):
    """Where the parcel goes."""

    name: Annotated[str, Field(min_length=1, max_length=limits.NAME), VISIBLE]
    line1: Annotated[str, Field(min_length=1, max_length=limits.LINE1), VISIBLE]
    city: Annotated[str, Field(min_length=1, max_length=limits.CITY), VISIBLE]
    postal_code: Annotated[str, Field(min_length=1, max_length=limits.POSTAL_CODE), VISIBLE]
    country: Annotated[str, Field(pattern=limits.COUNTRY, description="ISO 3166-1 alpha-2")]


class OrderIn(_Strict):
    """A new order."""

    lines: Annotated[list[LineIn], Field(min_length=1, max_length=limits.LINES)]
    payment: PaymentIn
    shipping_address: AddressIn

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    def fingerprint(self) -> str:
        """A digest of the validated body, which does not depend on how the JSON was written."""
        return _digest(self)

    def pieces(self) -> list[tuple[str, int]]:
        """SKU and quantity of each line."""
        return [(line.sku, line.quantity) for line in self.lines]

    def address(self) -> Address:
        """Where the parcel goes, as messages say it."""
        return Address(**self.shipping_address.model_dump())


class _Line(_Strict):
    sku: str
    quantity: Annotated[int, Field(ge=-(2**63), lt=2**63), WHOLE]


class _Payment(_Strict):
    token: str


class _Address(_Strict):
    name: str
    line1: str
    city: str
    postal_code: str
    country: str


class OrderShape(_Strict):
    """The fields of OrderIn and their types without bounds, which may have been others when the order was placed."""

    lines: list[_Line]
    payment: _Payment
    shipping_address: _Address


@dataclass(frozen=True, slots=True)
class UnacceptableOrder:
    """An order that would be refused now, and why. It may have been placed under other bounds before."""

    shape: OrderShape
    error: ValidationError

    def fingerprint(self) -> str:
        """The same digest as `OrderIn.fingerprint`."""
        return _digest(self.shape)

    def refusal(self) -> RequestValidationError:
        """The error that answers the request if the order is new."""
        errors = self.error.errors(include_url=False, include_context=False, include_input=False)
        return RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in errors])


def _read_order(data: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(data)
    except ValidationError as error:
        try:
            return UnacceptableOrder(OrderShape.model_validate(data), error)
        except ValidationError:
            raise error from None


ReceivedOrder = OrderIn | PlainOrder | UnacceptableOrder
OrderBody = Annotated[OrderIn, WrapValidator(_read_order)]
"""OrderIn, or UnacceptableOrder, which is refused only after its key has turned out to be new."""


def _digest(model: BaseModel) -> str:
    """A digest of what a body says; a field that was added since with a default does not change it while absent."""
    stated = model.model_dump(exclude_defaults=True)
    return hashlib.sha256(msgspec.json.encode(stated, order="deterministic")).hexdigest()


stored_checkout: Final = msgspec.json.Decoder(Checkout).decode
"""The checkout of a row's column `checkout`."""


def order_out(row: Any, mode: str) -> Order:
    """The order as the interface shows it, from a row with `queries.COLUMNS`."""
    checkout = stored_checkout(row.checkout)
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
