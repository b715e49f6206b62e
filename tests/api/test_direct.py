"""A route that is answered directly declares what one that is not would, or is not made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import pytest
from fastapi import BackgroundTasks, Body, Depends, Header, Query, Request, Response
from fastapi.security import SecurityScopes
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from trimtab.api import direct, strict
from trimtab.api.serving import router
from trimtab.api.strict import StrictRoute


class Shape(BaseModel):
    """Several values under one name."""

    width: int | None = None


async def _plain(request: Request) -> str:
    return request.method


async def _asks_more(request: Request, name: str | None = None) -> str | None:
    return name


def _in_a_thread(request: Request) -> str:
    return request.method


async def one_path(name: str) -> Response:
    """A part of the address."""
    return Response(name)


async def one_demanded(name: Annotated[str, Query()]) -> Response:
    """A parameter that has to be there."""
    return Response(name)


async def one_default(limit: Annotated[int, Query()] = 5) -> Response:
    """A parameter with a value of its own."""
    return Response(str(limit))


async def one_nested(found: Annotated[str, Depends(_asks_more)]) -> Response:
    """A dependency with parameters."""
    return Response(found)


async def one_thread(found: Annotated[str, Depends(_in_a_thread)]) -> Response:
    """A dependency that would hold the loop."""
    return Response(found)


async def _with_a_body(request: Request, name: Annotated[str | None, Body()] = None) -> str | None:
    return name


async def _with_an_answer(request: Request, response: Response) -> str:
    return f"{request.method} {response.status_code}"


async def one_list(names: Annotated[list[str] | None, Query()] = None) -> Response:
    """A parameter of several values."""
    return Response(str(names))


async def one_set(names: Annotated[set[str] | None, Query()] = None) -> Response:
    """A parameter of several values, in no order."""
    return Response(str(names))


async def one_bare(names: Annotated[list | None, Query()] = None) -> Response:  # type: ignore[type-arg]
    """A parameter of several values of any kind."""
    return Response(str(names))


async def one_header_list(units: Annotated[list[str] | None, Header()] = None) -> Response:
    """A header of several values."""
    return Response(str(units))


async def one_shape(shape: Annotated[Shape | None, Query()] = None) -> Response:
    """A query that is read into a shape."""
    return Response(str(shape))


async def one_later(tasks: BackgroundTasks) -> Response:
    """What is done after the answer."""
    return Response(str(tasks))


async def one_answer(response: Response) -> Response:
    """An answer that the framework made."""
    return response


async def one_connection(connection: HTTPConnection) -> Response:
    """The connection, which is no request."""
    return Response(str(connection))


async def one_scopes(scopes: SecurityScopes) -> Response:
    """The scopes that were asked for."""
    return Response(scopes.scope_str)


async def one_nested_answer(found: Annotated[str, Depends(_with_an_answer)]) -> Response:
    """A dependency that is given an answer."""
    return Response(found)


async def one_nested_body(found: Annotated[str | None, Depends(_with_a_body)]) -> Response:
    """A dependency with a body."""
    return Response(found)


REFUSED = (
    one_demanded, one_default, one_nested, one_thread, one_list, one_set, one_bare,
    one_header_list, one_shape, one_later, one_answer, one_connection, one_scopes,
    one_nested_answer, one_nested_body,
)  # fmt: skip


async def good(
    found: Annotated[str, Depends(_plain)],
    name: Annotated[str | None, Query(max_length=3)] = None,
    unit: Annotated[str | None, Header(alias="X-Unit")] = None,
    shown: Annotated[Literal["short", "long"] | None, Query()] = None,
    since: Annotated[datetime | None, Query()] = None,
) -> Response:
    """Nothing but that."""
    return Response(f"{found} {name} {unit} {shown} {since}")


@pytest.mark.parametrize("endpoint", REFUSED, ids=lambda one: one.__doc__)
def test_what_it_could_not_keep_is_refused_where_it_is_made(endpoint: direct.Endpoint) -> None:
    with pytest.raises(TypeError, match="cannot be answered directly"):
        direct.get(strict.router("/api", tag="x"), "/x")(endpoint)


def test_a_part_of_the_address_is_refused_too() -> None:
    with pytest.raises(TypeError, match="cannot be answered directly"):
        direct.get(strict.router("/api", tag="x"), "/x/{name}")(one_path)


def test_what_endpoints_ask_most_is_answered_directly_and_declared_as_ever() -> None:
    asked = {route.path: route for route in router.routes if isinstance(route, StrictRoute)}
    latest = asked["/api/ml/model/latest"]
    assert isinstance(latest, direct.DirectRoute)
    assert [field.alias for field in latest.dependant.query_params] == ["model", "as_of"]
    direct.get(strict.router("/api", tag="x"), "/x")(good)
