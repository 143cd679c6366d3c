"""What the document of the payment service says: its answers."""

from typing import Literal

from typing_extensions import TypedDict

from checkout.messages import Money


class Payment(TypedDict):
    """The payment of one order; `settled` says that no call to the provider is open."""

    order_id: str
    status: Literal["AUTHORIZING", "AUTHORIZED", "CAPTURED", "VOIDED", "DECLINED"]
    settled: bool
    amount: Money
