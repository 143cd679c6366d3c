"""The files that pages load: read once, compressed once, and named by their content so that browsers keep them."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from sagakit.web.app import NotFound

TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
FOREVER: Final = "public, max-age=31536000, immutable"
SMALL: Final = 500  # bytes, below which compressing gains nothing


@dataclass(frozen=True)
class Asset:
    """One file; `packed` is the same compressed."""

    media_type: str
    content: bytes
    packed: bytes
    digest: str


class Assets:
    """All files of the folder `static`."""

    def __init__(self) -> None:
        folder = files("console_service") / "static"
        self._files = {item.name: _asset(item.name, item.read_bytes()) for item in folder.iterdir() if item.is_file()}

    def url(self, name: str) -> str:
        """The address of a file, which changes with its content."""
        return f"/static/{name}?v={self._files[name].digest}"

    def text(self, name: str) -> str:
        """The text of a file."""
        return self._files[name].content.decode()

    async def answer(self, request: Request, name: str) -> Response:
        """The file of that name.

        Raises:
            NotFound: There is none.
        """
        asset = self._files.get(name)
        if asset is None:
            raise NotFound
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.media_type)
        return Response(asset.content, headers=headers, media_type=asset.media_type)


def _asset(name: str, content: bytes) -> Asset:
    suffix = name.rpartition(".")[2]
    packed = gzip.compress(content, 9, mtime=0)
    return Asset(
        TYPES.get(suffix, "application/octet-stream"), content, packed, hashlib.sha256(content).hexdigest()[:12]
    )


def packed_html(request: Request, text: str) -> tuple[bytes, dict[str, str]]:
    """The bytes of a page and the headers that say how they are encoded."""
    content = text.encode()
    if len(content) < SMALL or "gzip" not in request.headers.get("accept-encoding", ""):
        return content, {"Vary": "Accept-Encoding"}
    return gzip.compress(content, 5), {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
