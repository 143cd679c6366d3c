"""All routes that match the path of a request, not only the one that the router would choose."""

from collections.abc import Iterator
from typing import Any

from starlette.routing import Match
from starlette.types import Scope


def routes_at(scope: Scope) -> Iterator[tuple[Match, Any]]:
    """Yield each route whose path matches: FULL if its method does too, else PARTIAL. Needs no routing before."""
    for route in scope["app"].routes:
        included = getattr(route, "effective_route_contexts", None)  # FastAPI: the routes of an included router
        for candidate in included() if included is not None else (route,):
            match, _ = candidate.matches(scope)
            if match != Match.NONE:
                yield match, candidate
