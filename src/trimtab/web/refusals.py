"""When a page cannot be shown: designed pages for what was refused, lost or broken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from trimtab.identity import store as people
from trimtab.identity.roles import ROLES
from trimtab.kernel import errors
from trimtab.web import parameters
from trimtab.web.rendering import DONE, page, see_other
from trimtab.web.session import Visitor, open_to_all, parts_of, visitor_of
from trimtab.workflows.refusals import Refused

log = structlog.get_logger("trimtab.web")

Handler = Callable[[Request, Exception], Response]

_STATUS = {
    errors.InvalidInput.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooFewValues.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAuthenticated.code: HTTPStatus.UNAUTHORIZED,
    errors.NotPermitted.code: HTTPStatus.FORBIDDEN,
    errors.NotFound.code: HTTPStatus.NOT_FOUND,
    errors.Conflict.code: HTTPStatus.CONFLICT,
    errors.InvalidMove.code: HTTPStatus.CONFLICT,
    errors.PolicyRefused.code: HTTPStatus.CONFLICT,
    errors.IntegrityFailed.code: HTTPStatus.CONFLICT,
    errors.Unavailable.code: HTTPStatus.SERVICE_UNAVAILABLE,
}

_RETRY_AFTER_SECONDS = "5"

_CODES = {
    HTTPStatus.NOT_FOUND: errors.NotFound.code,
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.BAD_REQUEST: errors.InvalidInput.code,
}
"""What the web server itself refuses, as the interface calls it."""

_HEADINGS = {
    HTTPStatus.UNPROCESSABLE_ENTITY: "This cannot be taken as it is",
    HTTPStatus.FORBIDDEN: "This is not yours to do",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.METHOD_NOT_ALLOWED: "This page cannot be asked for like that",
    HTTPStatus.CONFLICT: "It is no longer what you looked at",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part does not answer just now",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here",
}


@dataclass(frozen=True)
class Refusal:
    """What is said instead of a page: what happened, and the way out."""

    status: int
    heading: str
    message: str
    remedy: str | None
    back: str
    roles: tuple[str, ...] = ()
    """Roles that would have let them, where a permission was missing."""
    whom: tuple[str, ...] = ()
    """Who can give such a role, by name."""

    @property
    def broken(self) -> bool:
        """Whether it is us who cannot, and another try may succeed."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class PageRoute(APIRoute):
    """A route whose errors are pages, and whose address says nothing that is not heard."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # Coroutine there, and it is one
        handle = super().get_route_handler()
        known = parameters.declared(self, "done")
        closed = open_to_all not in [asked.dependency for asked in self.dependencies]

        async def marked(request: Request) -> Response:
            request.state.page = True
            try:
                parameters.demand_known(request, known, DONE)
            except errors.InvalidInput:
                if closed:  # whoever is not logged in does that first
                    await run_in_threadpool(visitor_of, request)
                raise
            return await handle(request)

        return marked


def install(app: FastAPI) -> None:
    """Let pages, and addresses that lead nowhere, answer errors with pages.

    What answers errors already stays in charge of everything else; so this is called last.
    """
    known = (errors.TrimtabError, RequestValidationError, HTTPException, Exception)
    for kind, ours in zip(known, (_known, _invalid, _http, _unknown), strict=True):
        app.add_exception_handler(kind, _choose(ours, app.exception_handlers.get(kind)))


def _choose(ours: Handler, theirs: Any) -> Any:
    async def handle(request: Request, error: Exception) -> Response:
        if _asks_for_page(request) or theirs is None:
            return ours(request, error)
        answer: Any = theirs(request, error)
        if isinstance(answer, Awaitable):
            answer = await answer
        assert isinstance(answer, Response)
        return answer

    return handle


def _asks_for_page(request: Request) -> bool:
    if getattr(request.state, "page", False):
        return True
    nowhere = request.scope.get("endpoint") is None
    return nowhere and "text/html" in request.headers.get("accept", "")


def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.TrimtabError)
    request.state.refused = Refused.by(error)
    if isinstance(error, errors.NotAuthenticated) and request.method == "GET":
        query = f"?{request.url.query}" if request.url.query else ""
        return see_other("/login?next=" + quote(request.url.path + query, safe=""))
    status = _STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, errors.NotAuthenticated):
        status = HTTPStatus.FORBIDDEN
    return refused(request, status, error.message, error.remedy)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    request.state.refused = Refused(errors.InvalidInput.code)
    said = "; ".join(f"{e['loc'][-1]}: {e['msg'].lower()}" for e in error.errors()[:3])
    remedy = "go back and complete the form"
    if request.method == "GET":
        remedy = "correct it in the address, or take it out"
    return refused(request, HTTPStatus.UNPROCESSABLE_ENTITY, said, remedy)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    request.state.refused = Refused(_CODES.get(status, "http"))
    said = "no page has this address" if status is HTTPStatus.NOT_FOUND else str(error.detail)
    return refused(request, status, said, None)


def _unknown(request: Request, error: Exception) -> Response:
    log.error("page failed", path=request.url.path, exc_info=error)
    request.state.refused = Refused("internal")
    said = "it was written to the log; nothing was changed"
    remedy = "try again; if it stays, send the log to the maintainers"
    return refused(request, HTTPStatus.INTERNAL_SERVER_ERROR, said, remedy)


def refused(request: Request, status: HTTPStatus, message: str, remedy: str | None) -> Response:
    """The page that says what was refused and what can be done."""
    heading = _HEADINGS.get(status, status.phrase)
    back = request.url.path if request.method == "GET" else _page_before(request)
    visitor = _visitor(request)
    shown = Refusal(status.value, heading, message, remedy, back)
    if status is HTTPStatus.FORBIDDEN and visitor is not None:
        roles, whom = _way_in(request, visitor)
        shown = replace(shown, roles=roles, whom=whom)
    response = page(request, "refusal.html", shown, title=heading, visitor=visitor, status=status)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return response


def _visitor(request: Request) -> Visitor | None:
    """Who looks, if that can be found out; an error page needs nobody."""
    try:
        return visitor_of(request)
    except errors.TrimtabError:
        return None


def _way_in(request: Request, visitor: Visitor) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The roles that have the permission that was missing, and who gives roles: of whoever acts
    for a tenant, by name only those of their own."""
    needed = getattr(request.state, "needed", None)
    if needed is None or visitor.may(needed):
        return (), ()
    with parts_of(request).records.look() as reading:
        known = people.people(reading, tenant=visitor.tenant)
    managers = [p for p in known if not p.disabled and "identity:manage" in p.actor().permissions]
    roles = tuple(sorted(role for role, has in ROLES.items() if needed in has))
    return roles, tuple(p.name for p in managers if p.tenant in (None, visitor.tenant))


def _page_before(request: Request) -> str:
    """The page that a form stood on: ours are sent to an address below it."""
    return request.url.path.rsplit("/", 1)[0] or "/"
