"""Slicing: ranges of ids that are read one after another, so that a million orders need no more memory than few."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from math import ceil
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncConnection

from checkout.messages import SERVICES
from checkout_audit.tables import ENTITIES, Range

SLICE: Final = 1000  # orders
_MAX_SLICES: Final = 4096


async def slices_of(at: Mapping[str, AsyncConnection], size: int = SLICE) -> list[Range]:
    """Ranges that cover all ids, each with about `size` rows of the service that has most of them."""

    async def count(service: str) -> int:
        return int(await at[service].scalar(select(func.count()).select_from(ENTITIES[service])) or 0)

    counts = dict(zip(SERVICES, await asyncio.gather(*map(count, SERVICES)), strict=True))
    most = max(SERVICES, key=counts.__getitem__)
    step = max(size, ceil(counts[most] / _MAX_SLICES))
    key = ENTITIES[most].c.order_id
    numbered = select(key, (func.row_number().over(order_by=key) - 1).label("number")).subquery()
    every = select(numbered.c.order_id).where(numbered.c.number > 0, numbered.c.number % step == 0)
    bounds = [str(row[0]) for row in await at[most].execute(every.order_by(numbered.c.number))]
    split = await _subjects(at, {beginning for bound in bounds for beginning in beginnings(bound)})
    return ranges([bound for bound in bounds if split.isdisjoint(beginnings(bound))])


def ranges(bounds: Sequence[str]) -> list[Range]:
    """The ranges between these ids, which cover all ids."""
    return [Range(low, high) for low, high in zip([None, *bounds], [*bounds, None], strict=True)]


def beginnings(bound: str) -> list[str]:
    """The subjects that this bound would split: they sort before it, and their messages `{subject}/{Name}` after it."""
    return [bound[:at] for at, character in enumerate(bound) if character < "/"]


async def _subjects(at: Mapping[str, AsyncConnection], ids: Collection[str]) -> set[str]:
    """Those of the ids that any service has a row of."""

    async def of(service: str) -> set[str]:
        key = ENTITIES[service].c.order_id
        asked = select(key).where(key == func.any(array(sorted(ids), type_=key.type)))
        return {row[0] for row in await at[service].execute(asked)}

    return set[str]().union(*await asyncio.gather(*(of(service) for service in SERVICES))) if ids else set()
