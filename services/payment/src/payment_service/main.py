"""The composition root of the payment service: `python -m payment_service [migrate]`."""

from typing import Final

from payment_service import domain, gateway, handlers, reactions, store
from payment_service.api import router
from payment_service.service import SERVICE
from sagakit.host import Recipe

RECIPE: Final = Recipe(
    service=SERVICE,
    metadata=store.METADATA,
    rows=lambda settings: store.ROWS,
    router=router,
    domain=(domain, handlers, reactions, gateway),
)
