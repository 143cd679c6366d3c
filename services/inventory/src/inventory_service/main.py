"""The composition root of the inventory service: `python -m inventory_service [migrate]`."""

from typing import Final

from inventory_service import domain, handlers, reactions, store
from inventory_service.api import router
from inventory_service.service import SERVICE
from sagakit.app.host import ServiceDefinition

DEFINITION: Final = ServiceDefinition(
    service=SERVICE,
    metadata=store.METADATA,
    rows=lambda settings: store.InventoryRows(),
    final_rows=store.FINAL_ROWS,
    router=router,
    domain=(domain, handlers, reactions),
    seed=store.seed,
)
