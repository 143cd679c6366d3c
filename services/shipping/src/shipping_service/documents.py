"""What the document of the shipping service says: its answers, and its problem."""

from typing import Final, Literal

from typing_extensions import TypedDict

from sagakit.web.documents import Code


class Shipment(TypedDict):
    """The shipment of one order."""

    order_id: str
    status: Literal["BOOKED", "DISPATCHED", "CANCELLED", "REFUSED"]


PENDING: Final = Code("shipment_pending", 404, "The carrier has not answered yet.")
