"""A route that is asked so often that what the framework does anew with each request shows.

FastAPI looks at the annotations of parameters and dependencies every time. Here that is done
once, when the route is made; what is declared, described and refused stays the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from trimtab.api.strict import StrictRoute

Endpoint = Callable[..., Awaitable[Response]]

_CHOICES = (Annotated, Union, UnionType)
_SEVERAL = (list, tuple, set, frozenset, dict, BaseModel)


class DirectRoute(StrictRoute):
    """A strict route that is told nothing but optional parameters of its query and headers, each
    a single value. Its dependencies see the request alone, and it answers with a `Response`.

    Raises:
        TypeError: at its making; it declares something else.
    """

    def handler(self) -> Callable[[Request], Awaitable[Response]]:
        """Dependencies first, then parameters: whoever may not ask does not learn how to."""
        said = self.dependant
        _demand_plain(said)
        asked = [(part.name or "", part.call) for part in said.dependencies]
        wanted = [(field, False) for field in said.query_params]
        wanted += [(field, True) for field in said.header_params]
        own_name, endpoint = said.request_param_name, self.endpoint

        async def handle(request: Request) -> Response:
            values: dict[str, Any] = {} if own_name is None else {own_name: request}
            for name, call in asked:
                assert call is not None
                values[name] = await call(request)
            wrong: list[dict[str, Any]] = []
            for field, in_head in wanted:
                text = (request.headers if in_head else request.query_params).get(field.alias)
                if text is None:
                    values[field.name] = field.default
                    continue
                place = ("header" if in_head else "query", field.alias)
                values[field.name], faults = field.validate(text, values, loc=place)
                wrong += faults
            if wrong:
                raise RequestValidationError(wrong)
            answer: Response = await endpoint(**values)
            return answer

        return handle


def get(router: APIRouter, path: str, **described: Any) -> Callable[[Endpoint], Endpoint]:
    """`router.get`, of a route that is answered directly."""

    def added(endpoint: Endpoint) -> Endpoint:
        router.add_api_route(
            path, endpoint, methods=["GET"], route_class_override=DirectRoute, **described
        )
        return endpoint

    return added


def _demand_plain(said: Dependant) -> None:
    parameters = said.query_params + said.header_params
    other: list[object] = [*said.path_params, *said.cookie_params, *said.body_params]
    other += [p for p in parameters if p.field_info.is_required() or p.default is not None]
    other += [p for p in parameters if not _is_single(p.field_info.annotation)]
    other += _given(said)
    other += [part for part in said.dependencies if not _sees_the_request_alone(part)]
    if other:
        raise TypeError(f"this route cannot be answered directly: {other}")


def _is_single(annotation: object) -> bool:
    """Whether one text of a query or a header says it: a plain value, or none at all."""
    inner = get_args(annotation)
    if not inner or get_origin(annotation) is Literal:
        return not (isinstance(annotation, type) and issubclass(annotation, _SEVERAL))
    parts = inner[:1] if get_origin(annotation) is Annotated else inner
    return get_origin(annotation) in _CHOICES and all(map(_is_single, parts))


def _given(said: Dependant) -> list[str]:
    """The parameters that the framework would fill in, and that nobody does here."""
    names = [
        said.response_param_name,
        said.background_tasks_param_name,
        said.websocket_param_name,
        said.http_connection_param_name,
        said.security_scopes_param_name,
    ]
    return [name for name in names if name is not None]


def _sees_the_request_alone(part: Dependant) -> bool:
    told: list[object] = [
        *_given(part),
        *part.path_params,
        *part.query_params,
        *part.header_params,
        *part.cookie_params,
    ]
    told += part.body_params
    call = part.call if inspect.isroutine(part.call) else type(part.call).__call__
    alone = part.request_param_name == "request" and not (told or part.dependencies)
    return alone and inspect.iscoroutinefunction(call)
