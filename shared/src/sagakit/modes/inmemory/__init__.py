"""A broker inside the process, for tests. See README.md."""

from sagakit.modes.inmemory.transport import InMemoryBroker, InMemoryTransport

__all__ = ["InMemoryBroker", "InMemoryTransport"]
