"""The composition root of the order service: `python -m order_service [migrate]`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from order_service import domain, handlers, reactions, store
from order_service.api import router
from order_service.disowner import Disowner
from order_service.service import SERVICE
from order_service.sweeper import Sweeper
from order_service.unsettled import UNSETTLED, UNSETTLED_BY_STATUS
from sagakit.app.host import ServiceContext, ServiceDefinition


def background(context: ServiceContext) -> Mapping[str, Callable[[], Any]]:
    """What the order service runs in the background: the sweeper, and the disowner of orders that were never placed."""
    settings = context.settings
    sweeper = Sweeper(
        context.database,
        context.engine,
        deadline=settings.saga_deadline,
        nudge_after=settings.saga_nudge_after,
        rate=settings.saga_nudge_rate,
    )
    disowner = Disowner(context.database, context.engine.dispatcher, settings.saga_deadline)
    return {"sweeper": sweeper.run, "disowner": disowner.run}


DEFINITION: Final = ServiceDefinition(
    service=SERVICE,
    metadata=store.METADATA,
    rows=lambda settings: store.rows(settings.saga_nudge_after),
    final_rows=store.FINAL_ROWS,
    router=router,
    domain=(domain, handlers, reactions),
    seed=store.seed,
    concerns=(UNSETTLED,),
    background=background,
    unsettled=UNSETTLED_BY_STATUS,
)
