"""The interactive documentation of a service, at `/docs`: Swagger UI over `/openapi.json`.

Guarantee: the page needs no other host. Its Content-Security-Policy lets it load, run and call nothing but what this
service serves. Swagger UI is SmartBear's, under the Apache License 2.0; the package `fastapi-swagger` brings its files.
"""

from __future__ import annotations

import asyncio
from html import escape
from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sagakit.web.problems import NotFound

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MEDIA_TYPES: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_START: Final = "SwaggerUIBundle({url: 'openapi.json', dom_id: '#swagger-ui', deepLinking: true});\n"
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""


def add_docs(app: FastAPI) -> None:
    """Serve the documentation of `app`, which must have been created with `docs_url=None`."""
    page = _PAGE.format(title=escape(app.title))
    folder = files("fastapi_swagger") / "resources"

    async def show(request: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "start.js":
            return Response(_START, media_type="text/javascript")
        if name not in _MEDIA_TYPES:
            raise NotFound
        content = await asyncio.to_thread((folder / name).read_bytes)
        return Response(content, media_type=_MEDIA_TYPES[name], headers={"Cache-Control": "max-age=3600"})

    app.add_route("/docs", show, include_in_schema=False)
    app.add_route("/docs/{name}", asset, include_in_schema=False)
