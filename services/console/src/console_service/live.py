"""A part of a page as a server-sent event: the text itself, not JSON."""

from dataclasses import dataclass

from sagakit.web.app import ServerSentEvent


@dataclass(frozen=True)
class Fragment(ServerSentEvent):
    """HTML that replaces a part of the page."""

    def encode(self) -> bytes:
        """Encode the event as `text/event-stream`; each line of the text is a line of data."""
        names = [f"event: {self.event}"] if self.event else []
        return "\n".join([*names, *(f"data: {line}" for line in str(self.data).splitlines() or [""]), "", ""]).encode()
