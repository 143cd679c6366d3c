"""Orders that should have settled by now, listed under `/attention`."""

from typing import Final

from sagakit.app.attention import Concern
from sagakit.engine.engine import Pushed, ServiceEngine
from sagakit.ports import StoreUnavailable
from sagakit.work import Nudge

UNSETTLED_ORDERS: Final = (
    "SELECT order_id, 'unsettled-order', created_at, status || ' for too long', status FROM orders "
    "WHERE NOT settled AND status <> 'NEW' AND created_at < now() - make_interval(secs => :after)"
)
UNSETTLED_BY_STATUS: Final = (
    "SELECT status AS label, count(*) AS number, "
    "CAST(extract(epoch FROM clock_timestamp() - min(created_at)) AS float8) AS age "
    "FROM orders WHERE NOT settled AND status <> 'NEW' GROUP BY status"
)


async def nudge(engine: ServiceEngine, order_id: str) -> Pushed:
    """Publish again what an order owes, as an operator asks.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    (answer,) = await engine.dispatcher.do_all([Nudge(order_id)])
    if isinstance(answer, StoreUnavailable):
        raise answer
    if isinstance(answer, BaseException):
        return Pushed(False, str(answer))
    return Pushed(True, "nudged")


UNSETTLED: Final = Concern("unsettled-order", UNSETTLED_ORDERS, nudge)
