"""The page's files: what Vite built, out of `gateway/static`; before it was built, a page that says how to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gateway.http.problems import problem

STATIC: Final = Path(__file__).parent.parent / "static"
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_VIEWS: Final = (
    "loops",
    "rollouts",
    "experiments",
    "alerts",
    "inputs",
    "events",
    "set-aside",
    "system",
    "settings",
    "audit",
)
_NOT_BUILT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Loopai</title></head>
<body><h1>The page is not built yet</h1>
<p>The gateway works: see <a href="/docs">the API</a>. To build the page, run in the source checkout:</p>
<pre>make page</pre>
<p>and load this again. An installed package has the page in it.</p></body></html>
"""


class _Assets(StaticFiles):
    """Vite puts a hash of the content into each name, so a name never changes its content."""

    async def check_config(self) -> None:
        """A folder that is not there yet is a 404, not a fault: the page may be built while the gateway runs."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = _IMMUTABLE
        return response


def page_routes(static: Path = STATIC) -> list[BaseRoute]:
    """Routes of the page: its assets, its few other files, and `index.html` for each of its own addresses."""

    def files() -> dict[str, Path]:
        return {file.name: file for file in static.iterdir() if file.is_file()} if static.is_dir() else {}

    async def index(_request: Request) -> Response:
        file = static / "index.html"
        if not file.is_file():
            return HTMLResponse(_NOT_BUILT, headers={"Cache-Control": "no-store"})
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    async def other(request: Request) -> Response:
        # One segment without a slash, looked up among the folder's own names: a path is never put together.
        name = request.path_params["name"]
        file = files().get(name)
        if file is None:
            return problem(request.scope, "not_found", f"There is nothing at {request.url.path}.")
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    views: list[BaseRoute] = [Route("/", index)]
    for view in _VIEWS:
        views += [Route(f"/{view}", index), Route(f"/{view}/{{rest:path}}", index)]
    assets = Mount("/assets", _Assets(directory=static / "assets", check_dir=False))
    return [*views, assets, Route("/{name}", other)]
