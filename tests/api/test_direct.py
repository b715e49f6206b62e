"""A route that is answered directly declares what one that is not would, or is not made."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Depends, Header, Query, Request, Response

from trimtab.api import direct, strict
from trimtab.api.serving import router
from trimtab.api.strict import StrictRoute


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


async def good(
    found: Annotated[str, Depends(_plain)],
    name: Annotated[str | None, Query(max_length=3)] = None,
    unit: Annotated[str | None, Header(alias="X-Unit")] = None,
) -> Response:
    """Nothing but that."""
    return Response(f"{found} {name} {unit}")


@pytest.mark.parametrize(
    "endpoint", [one_demanded, one_default, one_nested, one_thread], ids=lambda one: one.__doc__
)
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
