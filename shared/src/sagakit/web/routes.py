"""All routes at the path of a request: more than the one that the router takes."""

from collections.abc import Iterator
from typing import Any

from starlette.routing import Match
from starlette.types import Scope


def routes_at(scope: Scope) -> Iterator[tuple[Match, Any]]:
    """Each route whose path fits: FULL where its method does too, else PARTIAL. Also before the router has looked."""
    for route in scope["app"].routes:
        included = getattr(route, "effective_route_contexts", None)  # FastAPI keeps the routes of a router behind one
        for one in included() if included is not None else (route,):
            match, _ = one.matches(scope)
            if match != Match.NONE:
                yield match, one
