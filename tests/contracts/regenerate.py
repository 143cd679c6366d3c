"""`python -m tests.contracts.regenerate` writes the golden file of every public type that has none yet.

An existing file is a promise to services that run an older version: it is rewritten only with `--all`, and the change
then belongs in a new version of the type.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from checkout.messages import OWNER, PUBLIC
from sagakit import envelope
from sagakit.message import Message
from tests.contracts.samples import SAMPLES, SEALED

GOLDEN: Final = Path(__file__).parent / "golden"


def sealed(message: Message) -> envelope.Envelope:
    """`message` in an envelope with a fixed time and trace."""
    return envelope.Envelope(
        message,
        OWNER[type(message)],
        cause=f"{message.subject}/Cause",
        time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def golden(message: Message) -> bytes:
    """The golden file's content: the envelope as it goes on the wire, indented."""
    return msgspec.json.format(envelope.encode(sealed(message), PUBLIC), indent=2) + b"\n"


def main(arguments: list[str]) -> None:
    for folder, samples in ((GOLDEN, SAMPLES), (GOLDEN / "sealed", SEALED)):
        folder.mkdir(exist_ok=True)
        for name, message in samples.items():
            path = folder / f"{name}.json"
            if "--all" in arguments or not path.exists():
                path.write_bytes(golden(message))


if __name__ == "__main__":
    main(sys.argv[1:])
