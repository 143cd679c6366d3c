"""What services observed about the messages of an order besides their journals, as short marks at its steps. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "duplicate": ("duplicate", "duplicates"),
    "nudge": ("nudge", "nudges"),
    "failed": ("failure", "failures"),
    "unpublished": ("failed publication", "failed publications"),
    "dead-letter": ("dead letter", "dead letters"),
}
"""Kind of an observation -> its words for one and for several."""


def marks_of(bodies: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Message -> its marks, from the bodies of timelines: repeats, nudges, failures, and attempts at calls."""
    counts: Counter[tuple[str, str]] = Counter()
    attempts: dict[str, int] = {}
    for body in bodies:
        for seen in body.get("observed", ()):
            if seen["kind"] in WORDS:
                # a nudge names no message: it sends again what followed from the event that is its outcome
                counts[seen["message"] or seen.get("outcome") or "", seen["kind"]] += 1
        for call in body.get("calls", ()):
            if (call.get("attempts") or 0) > 1:
                attempts[call["asked_by"].rpartition("/")[2]] = call["attempts"]
    marks: dict[str, list[str]] = {message: [f"{number} attempts"] for message, number in attempts.items()}
    for (message, kind), number in counts.items():
        marks.setdefault(message, []).append(f"{number} {WORDS[kind][number > 1]}")
    return {message: tuple(told) for message, told in marks.items()}
