"""The composition root of the shipping service: `python -m shipping_service [migrate]`."""

from functools import partial
from typing import Final

from sagakit.app.host import ServiceDefinition
from sagakit.sealing import sealer
from shipping_service import carrier, domain, handlers, reactions, store
from shipping_service.api import router
from shipping_service.service import SERVICE

DEFINITION: Final = ServiceDefinition(
    service=SERVICE,
    metadata=store.METADATA,
    rows=lambda settings: store.ROWS,
    final_rows=store.FINAL_ROWS,
    router=router,
    domain=(domain, handlers, reactions, carrier),
    opened=lambda settings: partial(carrier.opened, sealer=sealer(settings.seal_key_shipping)),
)
