"""How requests of the client travel: with a key that lets them be repeated, again where that
may help, and with the errors of the house where they are refused."""

from __future__ import annotations

import random
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import httpx

from trimtab.kernel import errors
from trimtab.kernel.errors import TrimtabError, Unavailable
from trimtab.sdk import shapes

A = TypeVar("A", bound=shapes.Answer)

PREFIX = "/api/v1"
KEY_HEADER = "Idempotency-Key"
AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which the same request may do better."""

BY_CODE = {
    kind.code: kind
    for kind in (
        errors.InvalidInput,
        errors.TooFewValues,
        errors.NotAuthenticated,
        errors.NotPermitted,
        errors.NotFound,
        errors.Conflict,
        errors.InvalidMove,
        errors.PolicyRefused,
        errors.QuotaExceeded,
        errors.IntegrityFailed,
        errors.TooManyRequests,
        errors.Unavailable,
    )
}
"""The class that is raised here for what the server raised there."""

OF_THE_WEB = {
    "too_large": errors.InvalidInput,
    "too_slow": errors.InvalidInput,
    "unsupported_media": errors.InvalidInput,
    "range_not_satisfiable": errors.InvalidInput,
    "method_not_allowed": errors.InvalidInput,
}
"""Codes of the web server itself, which have no class of their own at this end."""


@dataclass(frozen=True)
class Persistence:
    """How often a request is sent, and how long is waited between.

    Every request may be: those that read, those that name the state that is to be, and those
    that carry a key under which they act once. A wait is drawn between nothing and a bound
    that doubles, so that a crowd does not come back at one moment, or is as long as the
    server says.
    """

    tries: int = 3
    first_seconds: float = 0.25
    most_seconds: float = 10.0

    def pause(self, tried: int, retry_after: str | None) -> float:
        """Seconds to wait after so many tries."""
        if retry_after is not None and retry_after.isdigit():
            return min(float(retry_after), self.most_seconds)
        bound = min(self.first_seconds * 2**tried, self.most_seconds)
        return random.uniform(0, bound)


@cache
def trusted() -> ssl.SSLContext:
    """Whose certificates are believed: read once, because each reading takes as long as some
    dozens of requests."""
    return httpx.create_ssl_context()


class Wire:
    """A connection that speaks for one credential."""

    def __init__(self, http: httpx.Client, persistence: Persistence):
        self._http = http
        self._persistence = persistence

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def get(self, path: str, kind: type[A], /, **query: object) -> A:
        """GET one thing."""
        return read(kind, self.send("GET", path, params=query))

    def post(self, path: str, body: object, kind: type[A], /, **query: object) -> A:
        """POST a JSON body, and read the answer."""
        return read(kind, self.send("POST", path, json_body=body, params=query))

    def pages(self, path: str, kind: type[A], /, **query: object) -> Iterator[A]:
        """All things of a listing, page by page."""
        cursor: str | None = None
        while True:
            wanted = {**query, **({} if cursor is None else {"cursor": cursor})}
            answer = self.send("GET", path, params=wanted)
            page = read(shapes.Page[Any], answer)
            for item in page.items:
                with _understood(answer):
                    row = kind.model_validate(item)
                yield row
            cursor = page.next
            if cursor is None:
                return

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json_body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        files: Any = None,
        data: Any = None,
        accept: tuple[int, ...] = (),
        seconds: float | None = None,
    ) -> httpx.Response:
        """Send a request until it is answered, or there is no use in it.

        Raises:
            TrimtabError: it was refused, by the class that the server raised.
            Unavailable: nobody answers, or not as a control plane does.
        """
        query: Any = {k: v for k, v in (params or {}).items() if v is not None}
        own = {} if method != "POST" else {KEY_HEADER: str(uuid.uuid4())}
        request = self._http.build_request(
            method,
            path,
            params=query,
            json=json_body,
            content=content,
            headers={**own, **(headers or {})},
            files=files,
            data=data,
            timeout=httpx.USE_CLIENT_DEFAULT if seconds is None else seconds,
        )
        answer = self._until_answered(request, accept)
        if answer.status_code >= 400 and answer.status_code not in accept:
            raise error_of(answer)
        return answer

    def _until_answered(self, request: httpx.Request, accept: tuple[int, ...]) -> httpx.Response:
        for tried in range(self._persistence.tries):
            last = tried + 1 == self._persistence.tries
            try:
                answer = self._http.send(request)
            except httpx.TransportError as error:
                # Who has waited to the end of their patience is not made to wait again.
                if last or isinstance(error, httpx.TimeoutException):
                    raise Unavailable(
                        f"the control plane at {self._http.base_url} does not answer: {error}",
                        remedy="check its address, and that it is running",
                    ) from error
                retry_after = None
            else:
                if last or answer.status_code not in AGAIN or answer.status_code in accept:
                    return answer
                retry_after = answer.headers.get("Retry-After")
            time.sleep(self._persistence.pause(tried, retry_after))
        raise AssertionError("a request is sent at least once")


class Noun:
    """Part of a client that speaks of one noun."""

    def __init__(self, wire: Wire):
        self._wire = wire


def read(kind: type[A], answer: httpx.Response) -> A:
    """An answer in the shape that it has to have.

    Raises:
        Unavailable: it has another one.
    """
    with _understood(answer):
        return kind.model_validate(answer.json())


@contextmanager
def _understood(answer: httpx.Response) -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # that of JSON, and that of pydantic
        raise Unavailable(
            f"what answers at {answer.url} does not speak as this client does",
            remedy="check that the address is a control plane's, and that it is of one version "
            "with this client",
        ) from error


def sent(moment: datetime | None) -> str | None:
    """A moment as it is sent; one without a zone is left to the server to refuse."""
    return None if moment is None else moment.isoformat()


def error_of(answer: httpx.Response) -> TrimtabError:
    """The error that a refusal tells of."""
    try:
        body = answer.json()
        kind = {**OF_THE_WEB, **BY_CODE}.get(body["code"], TrimtabError)
        error = kind(body["detail"], field=body.get("field"), remedy=body.get("remedy"))
        if isinstance(error, errors.InvalidInput):
            error.faults = tuple((one["field"], one["what"]) for one in body.get("errors", ()))
        if isinstance(error, errors.TooManyRequests):
            error.retry_after_seconds = int(answer.headers["Retry-After"])
        return error
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"the control plane answered {answer.status_code} without a reason")
