"""What of a request is taken at its word: JSON that only one reader would read.

Every route of the interface is a `StrictRoute`. What a lenient server would drop without a
word (the first of two equal keys) would be something that the caller believes was heard.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from trimtab.artifacts import strictjson
from trimtab.artifacts.strictjson import NotStrict
from trimtab.kernel.errors import InvalidInput

MAX_JSON_BYTES = 1 << 20
"""Largest body of JSON. It is read before anybody is known, and every value in it is looked
at; the largest that is meant, a model with 2,000 features, has a third of this."""

_REMEDY = "send one JSON text in UTF-8, each key once, every number finite, nesting shallow"


class StrictRoute(APIRoute):
    """A route of the interface."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # Coroutine there, and it is one
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            own = _StrictRequest(request.scope, request.receive)
            try:
                return await handle(own)
            except HTTPException:
                if own.refusal is None:
                    raise
                raise own.refusal from None  # FastAPI has put "an error" in its place

        return strict


class _StrictRequest(Request):
    """A request whose JSON is read strictly; `refusal` says why it could not be."""

    refusal: InvalidInput | None = None

    async def json(self) -> Any:
        body = await self.body()
        if len(body) > MAX_JSON_BYTES:
            raise HTTPException(413, f"a body of JSON has at most {MAX_JSON_BYTES} bytes here")
        try:
            return read_json(body)
        except InvalidInput as error:
            self.refusal = error
            raise


def read_json(text: bytes, *, field: str = "") -> Any:
    """The value of a JSON text that is sent as `field`, or as the body.

    Raises:
        InvalidInput: it is not JSON as we take it; the place is named.
    """
    try:
        return strictjson.read(text)
    except NotStrict as error:
        place = ".".join(part for part in (field, error.where) if part) or "body"
        raise InvalidInput(
            f"{place[:200]}: {error.what}", field=place[:200], remedy=_REMEDY
        ) from None


def router(prefix: str = "", *, tag: str) -> APIRouter:
    """A router of the interface: all its routes are strict."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=StrictRoute)
