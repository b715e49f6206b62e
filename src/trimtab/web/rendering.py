"""From a page object to a response: one template environment, one set of headers."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from importlib import resources
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from trimtab.documents import words as document_words
from trimtab.web import words
from trimtab.web.session import Visitor, parts_of

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: browsers then send forms with the origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

DONE = {
    "approved": "Your approval is recorded.",
    "rejected": "Your rejection is recorded.",
    "withdrawn": "The request is withdrawn.",
    "held": "The rollout is held. Nothing grows until somebody lets it run on.",
    "resumed": "The rollout runs on.",
    "aborted": "The rollout is being taken back: no traffic is intended any more.",
    "person_added": "They may log in now, with the password that you chose.",
    "person_disabled": "They may log in no more, and what they had open has ended.",
    "key_revoked": "The key is of no use any more; gateways refuse it with their next table.",
    "stopped": "The kill switch is set: no remedy begins there until a person clears it.",
    "cleared": "The kill switch is cleared: remedies may be asked for again.",
    "waived": "Somebody answers for the gap now: you.",
    "waiver_ended": "The waiver counts no more. What it was about is judged anew soon.",
    "asked": "It is read as soon as there is somebody to do it.",
    "heard": "Messages that are signed with this secret are believed now.",
    "removed": "Its registry is read no more, and what it brought counts no more.",
    "verified": "The ledger was read from the first entry to the last.",
}
"""What a page says after a form was sent; the address carries only the word."""


@dataclass(frozen=True)
class Frame:
    """What stands around every page."""

    title: str
    active: str
    visitor: Visitor | None
    now: datetime
    stepped: bool
    origin: str
    done: str | None
    path: str


def page(
    request: Request,
    template: str,
    shown: object,
    *,
    title: str,
    active: str = "",
    visitor: Visitor | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> HTMLResponse:
    """Render `template` with the page object `shown`."""
    parts = parts_of(request)
    frame = Frame(
        title=title,
        active=active,
        visitor=visitor,
        now=parts.clock.now(),
        stepped=parts.stepped is not None,
        origin=parts.heads.signer.origin,
        done=DONE.get(request.query_params.get("done", "")),
        path=request.url.path,
    )
    html = _templates().get_template(template).render(page=shown, frame=frame)
    return HTMLResponse(html, status, {**HEADERS, "Cache-Control": "no-store"})


def see_other(address: str) -> RedirectResponse:
    """After a form: look at the result, so that a reload sends nothing twice."""
    headers = {**HEADERS, "Cache-Control": "no-store"}
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, headers)


STATIC = {
    "trimtab.css": "text/css; charset=utf-8",
    "trimtab.js": "text/javascript; charset=utf-8",
    "trimtab.svg": "image/svg+xml",
    "interface.js": "text/javascript; charset=utf-8",
}


@functools.cache
def static(name: str) -> tuple[bytes, str]:
    """The bytes of one of our static files, and a short digest of them for its address."""
    content = (resources.files("trimtab.web") / "static" / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]


_SAYINGS = (
    *("verdict", "state", "words", "kind", "moment", "day", "span", "share", "number"),
    *("size", "distance", "short", "path", "count"),
)
"""What templates may say, from `words`."""


def _address(name: str) -> str:
    return f"/static/{name}?v={static(name)[1]}"


@functools.cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("trimtab.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sayings: dict[str, Any] = {name: getattr(words, name) for name in _SAYINGS}
    environment.globals.update(sayings)
    environment.globals["static"] = _address
    environment.globals.update(
        seen=document_words.seen,
        lines=document_words.lines,
        source_of=document_words.source,
        metric_of=document_words.metric,
        file_size=document_words.size,
    )
    environment.filters["seen"] = document_words.seen
    return environment
