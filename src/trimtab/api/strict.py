"""What of a request is taken at its word: parameters that are known, JSON that only one
reader would read.

Every route of the interface is a `StrictRoute`. What a lenient server would drop without a
word (a filter it does not know, the first of two equal keys) is something that the caller
believes was heard.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from fastapi import APIRouter, Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from trimtab.api import repeats
from trimtab.api.problems import UnsupportedMedia, said
from trimtab.artifacts import strictjson
from trimtab.artifacts.strictjson import NotStrict
from trimtab.kernel.errors import InvalidInput, TrimtabError

Shape = TypeVar("Shape", bound=BaseModel)

MAX_JSON_BYTES = 1 << 20
"""Largest body of JSON. It is read before anybody is known, and every value in it is looked
at; the largest that is meant, a model with 2,000 features, has a third of this."""

_REMEDY = "send one JSON text in UTF-8, each key once, every number finite, nesting shallow"


class StrictRoute(APIRoute):
    """A route of the interface. Parameters of a query are those that it declares."""

    def handler(self) -> Callable[[Request], Awaitable[Response]]:
        """What answers a request that was taken."""
        return super().get_route_handler()

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # Coroutine there, and it is one
        handle = self.handler()
        known = _declared(self) if self.path.startswith("/api/") else None
        kind = _kind_of_body(self)
        optional = self.body_field is not None and not self.body_field.field_info.is_required()
        permission = repeats.permission_of(self)

        async def strict(request: Request) -> Response:
            if known is not None:
                _demand_known(request, known)
            if kind is not None:
                _demand_kind(request, kind, optional=optional)
            own = _StrictRequest(request.scope, request.receive)
            try:
                if permission is not None:
                    return await repeats.acted_once(own, permission, handle)
                return await handle(own)
            except HTTPException as error:  # FastAPI has put "an error" in the place of ours
                if isinstance(error.__cause__, TrimtabError):
                    raise error.__cause__ from None
                if own.refusal is None:
                    raise
                raise own.refusal from None

        return strict


JSON = "application/json"
FORM = "multipart/form-data"


def _kind_of_body(route: APIRoute) -> str | None:
    """The kind of body that a route declares; None where it has none, or looks by itself."""
    if route.body_field is None:
        return None
    return FORM if isinstance(route.body_field.field_info, Form) else JSON


def _demand_kind(request: Request, kind: str, *, optional: bool) -> None:
    bodiless = request.headers.get("content-length", "0") == "0"
    if optional and bodiless and "transfer-encoding" not in request.headers:
        return
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != kind:
        raise UnsupportedMedia(f"send content type {kind}", field="Content-Type")


def _declared(route: APIRoute) -> dict[str, bool]:
    """The parameters of a route's query, and whether each may be given more than once."""

    def is_list(annotation: Any) -> bool:
        return any(get_origin(part) is list for part in (annotation, *get_args(annotation)))

    found, waiting = dict[str, bool](), [route.dependant]
    while waiting:
        part = waiting.pop()
        found |= {p.alias: is_list(p.field_info.annotation) for p in part.query_params}
        waiting += part.dependencies
    return found


def _demand_known(request: Request, known: Mapping[str, bool]) -> None:
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise InvalidInput(
                f"{ascii(name)[:80]} is not a parameter of this address",
                field=name[:80] or "query",
                remedy="the parameters are: " + (", ".join(known) or "none"),
            )
        if name in seen and not known[name]:
            raise InvalidInput(f"{name} stands there twice", field=name, remedy="give it once")
        _demand_no_nul(name, value)
        seen.add(name)
    for name, value in request.path_params.items():
        _demand_no_nul(name, str(value))


def _demand_no_nul(name: str, value: str) -> None:
    if "\x00" in value:  # some databases keep no text with it
        raise InvalidInput(
            f"{name} holds the character NUL", field=name, remedy="no name or id here has one"
        )


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


async def known_parts(request: Request) -> None:
    """A dependency of a route that takes a form: each part is one of those declared, once.

    Raises:
        InvalidInput: it is not.
    """
    known = [p.alias for p in request.scope["route"].dependant.body_params]
    seen: set[str] = set()
    for name, _ in (await request.form()).multi_items():
        if name not in known or name in seen:
            what = "stands there twice" if name in known else "is not a part of this form"
            raise InvalidInput(
                f"{ascii(name)[:80]} {what}",
                field=name[:80] or "body",
                remedy=f"send each of these once: {', '.join(known)}",
            )
        seen.add(name)


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


def read_part(kind: type[Shape], text: str, *, field: str) -> Shape:
    """What a part of a form, sent as `field`, says in JSON.

    Raises:
        InvalidInput: it is not JSON as we take it, or not of this shape; the place is named.
    """
    try:
        return kind.model_validate(read_json(text.encode(errors="surrogatepass"), field=field))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((field, *(str(part) for part in first["loc"])))
        raise InvalidInput(f"{where}: {said(first['msg'])}", field=where) from None


def router(prefix: str = "", *, tag: str) -> APIRouter:
    """A router of the interface: all its routes are strict."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=StrictRoute)
