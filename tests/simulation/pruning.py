"""Pruning, as the pruner does it: by the production rules, a subject as a whole, at any moment after its end."""

from sagakit.ports import CALLS
from tests.simulation.world import World


def prunable(world: World) -> list[tuple[str, str]]:
    """The services and subjects that a pruner would prune now."""
    return [
        (name, subject)
        for name, database in world.databases.items()
        for subject in database.states
        if _may(world, name, subject)
    ]


def prune(world: World, name: str, subject: str) -> None:
    """Prune the subject, if it may be pruned."""
    retention, database = world.services[name].retention, world.databases[name]
    if retention is not None and _may(world, name, subject):
        final = retention.final(database.working().get(subject, None))
        database.prune(subject, getattr(final, "reservation", final))


def _may(world: World, name: str, subject: str) -> bool:
    """Whether it has ended, is not pruned yet, and calls no provider."""
    retention, database = world.services[name].retention, world.databases[name]
    calls = (row.key for row in database.outbox.values() if row.channel == CALLS)
    if retention is None or subject in calls:
        return False
    state = database.working().get(subject, None)
    return retention.ended(state) and not retention.pruned(state)
