"""From an error to a problem document (RFC 9457); the one place that knows status numbers."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from trimtab.kernel import errors

log = structlog.get_logger("trimtab.api")

STATUS: dict[type[errors.TrimtabError], int] = {
    errors.InvalidInput: 422,
    errors.TooFewValues: 422,
    errors.NotAuthenticated: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.InvalidMove: 409,
    errors.PolicyRefused: 409,
    errors.IntegrityFailed: 409,
    errors.Unavailable: 503,
}

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_SECONDS = "2"


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(errors.TrimtabError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)


def problem(
    status: int,
    code: str,
    title: str,
    *,
    field: str | None = None,
    remedy: str | None = None,
    errors: list[dict[str, str]] | None = None,
) -> JSONResponse:
    """The document: what happened, where, and the way out; no internals."""
    body: dict[str, Any] = {"type": f"/docs/errors#{code}", "title": title, "status": status}
    body["code"] = code
    extra = {"field": field, "remedy": remedy, "errors": errors}
    body.update({key: value for key, value in extra.items() if value})
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def _known(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.TrimtabError)
    status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 500)
    return problem(status, error.code, error.message, field=error.field, remedy=error.remedy)


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [
        {
            "field": ".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]),
            "what": e["msg"],
        }
        for e in error.errors()
    ]
    return problem(
        422,
        errors.InvalidInput.code,
        "the request is not as it must be: "
        + "; ".join(f"{f['field']}: {f['what']}" for f in found[:3]),
        field=found[0]["field"] if found else None,
        remedy="see /docs for the shape of this request",
        errors=found,
    )


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 400: "invalid_input"}
    answer = problem(error.status_code, codes.get(error.status_code, "http"), str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


def _unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem(
        500,
        "internal",
        "something went wrong here; it was written to the log",
        remedy="try again; if it stays, send the log to the maintainers",
    )
