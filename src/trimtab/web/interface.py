"""The description of the interface, for people: `/docs` (Swagger UI) and `/redoc` (Redoc).

The two tools are scripts of others. They come from a package in the environment, so that
nobody's browser asks another host for them, and work without a network.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from trimtab.kernel.errors import NotFound
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import CONTENT_SECURITY_POLICY, HEADERS, page
from trimtab.web.session import open_to_all

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PACKAGE = "fastapi_offline"
_FILES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "redoc.standalone.js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True)
class InterfacePage:
    """Which tool shows the description, and what it may put into its own styles."""

    tool: str
    script: str
    style: str | None
    nonce: str


@router.get("/docs", dependencies=[Depends(open_to_all)])
def swagger(request: Request) -> Response:
    """Every address of the interface, one line each."""
    return _page(request, "swagger", "swagger-ui-bundle.js", "swagger-ui.css")


@router.get("/redoc", dependencies=[Depends(open_to_all)])
def redoc(request: Request) -> Response:
    """Every address of the interface, to be read from top to bottom."""
    return _page(request, "redoc", "redoc.standalone.js", None)


@router.get("/static/interface/{name}", dependencies=[Depends(open_to_all)])
def interface_file(name: str, v: str = "") -> Response:
    """A file of one of the tools; its address changes with its content, by the `v` in it."""
    del v
    if name not in _FILES:
        raise NotFound("there is no such file")
    headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_file(name)[0], headers=headers, media_type=_FILES[name])


def _page(request: Request, tool: str, script: str, style: str | None) -> HTMLResponse:
    nonce = secrets.token_urlsafe(18)
    shown = InterfacePage(tool, _address(script), None if style is None else _address(style), nonce)
    response = page(request, "interface.html", shown, title="Interface")
    response.headers["Content-Security-Policy"] = policy_for(nonce)
    return response


def policy_for(nonce: str) -> str:
    """The policy of the other pages, and what the tools cannot do without: both carry icons
    inside their style sheets, and Redoc writes its style sheets by itself, under `nonce`."""
    return CONTENT_SECURITY_POLICY.replace(
        "style-src 'self'", f"style-src 'self' 'nonce-{nonce}'"
    ).replace("img-src 'self'", "img-src 'self' data:")


@functools.cache
def _file(name: str) -> tuple[bytes, str]:
    content = (resources.files(_PACKAGE) / "static" / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]


def _address(name: str) -> str:
    return f"/static/interface/{name}?v={_file(name)[1]}"
