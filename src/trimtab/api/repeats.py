"""Requests that may be sent twice and act once: those that carry an `Idempotency-Key`.

The same key and the same request of the same caller get the same answer, for a day at least,
whatever became of the first one. What is kept is the answer to what had an effect; a refusal
had none, and is judged anew. Two at once: the database lets one through, and the other gets
its answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from trimtab.api.access import Asker, Demand, once, parts_of
from trimtab.audit import answers
from trimtab.audit.work import Work
from trimtab.kernel.errors import Conflict, Unavailable
from trimtab.sdk import shapes
from trimtab.workflows.parts import Parts

A = TypeVar("A", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        pattern=shapes.KEY,
        description="A text that nobody else can guess, such as a UUID: the same request under "
        "the same key acts once, and is answered the same for a day",
    ),
]
_CHUNK = 1 << 20


class Repeat:
    """What is to be kept of the request at hand; nothing where it carries no key."""

    def __init__(self, parts: Parts, request: answers.Request | None, status: int):
        self._parts = parts
        self._request = request
        self._status = status

    def keep(self, work: Work, answer: A) -> A:
        """Keep `answer` in the transaction of what it tells of; give it back."""
        if self._request is not None:
            made = answers.Answer(self._status, answer.model_dump_json().encode())
            answers.keep(work, self._request, made, self._parts.real_clock.now())
        return answer


def repeat_of(request: Request, key: Key = None) -> Repeat:
    """A dependency of each route whose answer is kept; `key` is declared for the description."""
    del key
    found: answers.Request | None = getattr(request.state, "repeats", None)
    status = request.scope["route"].status_code or 200
    return Repeat(parts_of(request), found, status)


Repeats = Annotated[Repeat, Depends(repeat_of)]


def permission_of(route: APIRoute) -> str | None:
    """The permission that a route demands, if its answer is kept; None if it is not."""
    demands = list[str]()
    keeps, waiting = False, list(route.dependant.dependencies)
    while waiting:
        part = waiting.pop()
        keeps = keeps or part.call is repeat_of
        if isinstance(part.call, Demand):
            demands.append(part.call.permission)
        waiting += part.dependencies
    return demands[0] if keeps and demands else None


async def acted_once(request: Request, permission: str, handle: Handler) -> Response:
    """Answer `request` by `handle`, or with the answer that it got before.

    Raises:
        InvalidInput: the key stands there twice, or for another request.
    """
    if HEADER not in request.headers:
        return await handle(request)
    once(request, HEADER)
    asked = await _asked(request, permission)
    parts = parts_of(request)
    if (before := await to_thread.run_sync(_kept, parts, asked)) is not None:
        return before
    request.state.repeats = asked
    try:
        return await handle(request)
    except (Conflict, Unavailable):
        # Perhaps because the same request was quicker: then its answer is also this one's.
        if (before := await to_thread.run_sync(_kept, parts, asked)) is None:
            raise
        request.state.refused = None
        return before


def _kept(parts: Parts, asked: answers.Request) -> Response | None:
    with parts.records.look() as reading:
        found = answers.kept(reading, asked)
    if found is None:
        return None
    return Response(found.body, found.status, {REPLAYED: "true"}, "application/json")


async def _asked(request: Request, permission: str) -> answers.Request:
    """What is asked, and by whom: nobody learns of an answer who may not ask for it."""

    def caller() -> str:
        with Asker.of(request).look(permission) as (_, actor):
            return f"{actor.id}\n{actor.tenant or ''}"

    key = request.headers[HEADER]
    told = hashlib.sha256()
    for part in (request.method, request.url.path, request.url.query):
        told.update(part.encode(errors="surrogatepass") + b"\n")
    if request.headers.get("content-type", "").startswith("multipart/"):
        await _form(request, told)
    else:
        told.update(await request.body())
    return answers.Request(await to_thread.run_sync(caller), key, told.hexdigest())


async def _form(request: Request, told: Any) -> None:
    """Take in the parts of a form, which come with another boundary each time."""
    for name, value in (await request.form()).multi_items():
        told.update(name.encode(errors="surrogatepass") + b"\n")
        if isinstance(value, str):
            told.update(value.encode(errors="surrogatepass"))
            continue
        while chunk := await value.read(_CHUNK):
            told.update(chunk)
        await value.seek(0)
        told.update(b"\n")
