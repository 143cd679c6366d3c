"""Waiting for a broker, which may come up later than the service that needs it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sagakit.settings import Settings
from sagakit.tasks import Backoff

log = logging.getLogger(__name__)

T = TypeVar("T")


async def until_ready(
    broker: str,
    connect: Callable[[], Awaitable[T]],
    settings: Settings,
    errors: tuple[type[Exception], ...] = (Exception,),
    fatal: tuple[type[Exception], ...] = (),
) -> T:
    """What `connect` returns, once it raises none of `errors` any more: it is called again after growing pauses.

    The pauses are those of RETRY_INITIAL and RETRY_MAX. Errors in `fatal`, which no waiting can help, are raised.
    """
    backoff, failures = Backoff(settings.retry_initial, settings.retry_max), 0
    while True:
        try:
            return await connect()
        except fatal:
            raise
        except errors as error:
            log.warning("%s is not ready: %r", broker, error)
        await asyncio.sleep(backoff.pause(failures))
        failures += 1
