"""The composition root of the payment service: `python -m payment_service [migrate]`."""

from functools import partial
from typing import Final

from payment_service import domain, gateway, handlers, reactions, store
from payment_service.api import router
from payment_service.service import SERVICE
from sagakit.app.host import ServiceDefinition
from sagakit.sealing import sealer

DEFINITION: Final = ServiceDefinition(
    service=SERVICE,
    metadata=store.METADATA,
    rows=lambda settings: store.ROWS,
    final_rows=store.FINAL_ROWS,
    router=router,
    domain=(domain, handlers, reactions, gateway),
    opened=lambda settings: partial(gateway.opened, sealer=sealer(settings.seal_key_payment)),
)
