"""From an error to a problem document (RFC 9457); the one place that knows status numbers."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Awaitable
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from trimtab.kernel import errors
from trimtab.platform.logs import current_request_id
from trimtab.sdk import shapes
from trimtab.workflows.refusals import Refused

log = structlog.get_logger("trimtab.api")


class RangeNotSatisfiable(errors.InvalidInput):
    """A range of bytes that a file does not have; `size` is what it has."""

    code = "range_not_satisfiable"

    def __init__(self, size: int):
        super().__init__(f"this file has {size} bytes", field="Range")
        self.size = size


class UnsupportedMedia(errors.InvalidInput):
    """The body is of a kind that this address does not take."""

    code = "unsupported_media"


STATUS: dict[type[errors.TrimtabError], int] = {
    RangeNotSatisfiable: 416,
    UnsupportedMedia: 415,
    errors.InvalidInput: 422,
    errors.TooFewValues: 422,
    errors.NotAuthenticated: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.InvalidMove: 409,
    errors.PolicyRefused: 409,
    errors.IntegrityFailed: 409,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
}

WAY_OUT: dict[str, str] = {
    "invalid_input": "correct the field that is named; /docs has the shape of every request",
    "too_few_values": "wait until there is more data, or ask about a longer time",
    "not_authenticated": "send one valid credential: a key in X-Api-Key, or a bearer token",
    "not_permitted": "ask an administrator for a role that may do this",
    "not_found": "list what there is, and check the name and the tenant",
    "conflict": "read the present state, then decide again",
    "invalid_move": "read the present state; this move is not open from there",
    "policy_refused": "meet what the policy demands, then ask again",
    "quota_exceeded": "make room, or ask somebody of the platform for more",
    "integrity_failed": "do not use these bytes; tell the owner, and send or take them anew",
    "too_many_requests": "wait as long as Retry-After says, then try again",
    "unavailable": "try again shortly; /health says which part does not answer",
    "method_not_allowed": "see /docs for the methods of this address",
    "too_large": "send less at once",
    "too_slow": "send the request again, without long pauses",
    "range_not_satisfiable": "ask for bytes that the file has",
    "child_failed": "look at the version's checks; hand in a model that can be run",
    "unsupported_media": "send the kind of body that /docs shows for this address",
    "http": "see /docs for what can be asked here",
    "internal": "try again; if it stays, send the log to the maintainers",
}
"""What a reader can do about each code, where the error itself says nothing better."""

TITLE: dict[str, str] = {
    "invalid_input": "The data that was sent is wrong",
    "too_few_values": "There is too little data for an answer",
    "not_authenticated": "Nobody whom we know asks",
    "not_permitted": "Whoever asks may not do this",
    "not_found": "There is no such thing here",
    "conflict": "It was changed meanwhile, or exists already",
    "invalid_move": "This move is not open from the present state",
    "policy_refused": "A policy, a gate or a permit says no",
    "quota_exceeded": "There is no room left for more of this",
    "too_many_requests": "Requests come faster than is allowed",
    "integrity_failed": "These are not the bytes that were recorded",
    "unavailable": "A part that is needed does not answer",
    "method_not_allowed": "The address is not for this method",
    "too_large": "The body is larger than is accepted",
    "too_slow": "The body came too slowly",
    "range_not_satisfiable": "The file does not have these bytes",
    "unsupported_media": "The body is of a kind that is not taken here",
    "child_failed": "The child that was to run the model gave no answer",
    "http": "The web server refused the request",
    "internal": "Something went wrong here",
}
"""What each code means, in the words that never change; `detail` says what happened."""

_OF_ADDRESSES = {
    400: "send the body whole, in the form that /docs shows for this address",
    404: "see /docs for the addresses that there are",
}
"""What a reader can do where the web server itself refuses, before one of ours looks at it."""

_AT_FAULT = {400: "body", 404: "path", 405: "method", 408: "body", 413: "body"}
"""The part of a request that the web server itself refuses it for."""

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_SECONDS = "2"


def said(message: str) -> str:
    """What the validation says, without the words of the library that it is built on."""
    if message.startswith("Value error, Expected UploadFile"):
        return "This part is a file: send it with a file name"
    return shapes.said(message)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(errors.TrimtabError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _cut)
    app.add_exception_handler(Exception, _unknown)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str | None = None,
    remedy: str | None = None,
    errors: list[dict[str, str]] | None = None,
) -> JSONResponse:
    """The document: what happened, where, and the way out; no internals."""
    asked = current_request_id()
    request_id = asked or uuid.uuid4().hex
    body: dict[str, Any] = {
        "type": f"/docs/errors#{code}",
        "title": TITLE.get(code, TITLE["http"]),
        "status": status,
        "detail": detail,
        "code": code,
        "field": field or None,
        "remedy": remedy or WAY_OUT.get(code, WAY_OUT["http"]),
        "request_id": request_id,
    }
    if errors:
        body["errors"] = errors
    headers = {"Cache-Control": "no-store"}
    if asked is None:  # whoever gave out an id sends it with every answer
        headers["X-Request-Id"] = request_id
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return JSONResponse(body, status, headers, MEDIA_TYPE)


async def unexpected(request: Request, error: Exception) -> Response:
    """The answer to what nobody foresaw, by whoever is in charge of the address."""
    answer = request.app.exception_handlers[Exception](request, error)
    if isinstance(answer, Awaitable):
        answer = await answer
    assert isinstance(answer, Response)
    return answer


def _known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.TrimtabError)
    request.state.refused = Refused.by(error)
    status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 500)
    faults = error.faults if isinstance(error, errors.InvalidInput) else ()
    answer = problem(
        status,
        error.code,
        error.message,
        field=error.field,
        remedy=error.remedy,
        errors=[{"field": field, "what": what} for field, what in faults],
    )
    if isinstance(error, errors.TooManyRequests):
        answer.headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, RangeNotSatisfiable):
        answer.headers["Content-Range"] = f"bytes */{error.size}"
    return answer


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    request.state.refused = Refused(errors.InvalidInput.code)
    found = [
        {
            "field": ".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]),
            "what": said(e["msg"]),
        }
        for e in error.errors()
    ]
    return problem(
        422,
        errors.InvalidInput.code,
        "the request is not as it must be: "
        + "; ".join(f"{f['field']}: {f['what']}" for f in found[:3]),
        field=found[0]["field"] if found else None,
        errors=found,
    )


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, OSError):
        return _no_room(request, error.__cause__)
    codes = {
        400: "invalid_input",
        404: "not_found",
        405: "method_not_allowed",
        408: "too_slow",
        413: "too_large",
    }
    request.state.refused = Refused(codes.get(error.status_code, "http"))
    answer = problem(
        error.status_code,
        request.state.refused.code,
        str(error.detail),
        field=_AT_FAULT.get(error.status_code),
        remedy=_OF_ADDRESSES.get(error.status_code),
    )
    answer.headers.update(error.headers or {})
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(_allowed(request))
    return answer


_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def _allowed(request: Request) -> list[str]:
    """Every method of an address; the web server itself knows those of one route."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.router.routes
        )
    ]


def _no_room(request: Request, error: OSError) -> JSONResponse:
    """A body that could not be laid aside while it came; the caller did nothing wrong."""
    place = tempfile.gettempdir()
    request.state.refused = Refused(errors.Unavailable.code)
    log.error("a body could not be kept", path=request.url.path, place=place, why=error.strerror)
    return problem(
        503,
        errors.Unavailable.code,
        f"there is no room here for what was sent ({error.strerror}); nothing was kept",
        remedy="send it again later; the operator finds in the log which folder is full",
    )


def _cut(request: Request, _error: Exception) -> JSONResponse:
    request.state.refused = Refused(errors.InvalidInput.code)
    title = "the body ended before it was whole"
    return problem(400, errors.InvalidInput.code, title, field="body", remedy=_OF_ADDRESSES[400])


def _unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    request.state.refused = Refused("internal")
    return problem(
        500,
        "internal",
        "something went wrong here; it was written to the log",
    )
