"""The client speaks for every address of the interface, persists where that may help, and
raises what the server raised."""

from __future__ import annotations

import inspect
import itertools
import ssl
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from trimtab.api import problems
from trimtab.api.codes import codes
from trimtab.api.server import ROUTERS
from trimtab.kernel import errors
from trimtab.sdk import shapes
from trimtab.sdk.client import BY_CODE, Client, Persistence
from trimtab.sdk.client.wire import OF_THE_WEB, Noun, trusted

AT_ONCE = Persistence(tries=1)
QUICK = Persistence(tries=4, first_seconds=0.001, most_seconds=0.002)

NOT_FOR_PROGRAMS = {
    "/docs/errors": "a page, to be read by a person",
}
"""Addresses for which the client has no method, and why."""

MADE_UP: dict[Any, Any] = {
    str: "made-up",
    int: 1,
    bool: True,
    bytes: b"x",
    datetime: datetime(2015, 3, 1, tzinfo=UTC),
    dict: {},
    Mapping: {},
    shapes.NewHandOver: shapes.NewHandOver(
        model="m", version="1.0.0", cutoff=0.5, reason="made up"
    ),
    shapes.NewModel: shapes.NewModel(
        name="m", owner="o", label="y", reason="made up",
        features=[shapes.FeatureShape(name="x", kind="numeric")],
    ),
    shapes.NewVersion: shapes.NewVersion(version="1.0.0", cutoff=0.5, reason="made up"),
    shapes.NewTenant: shapes.NewTenant(id="t", name="T"),
    shapes.NewPerson: shapes.NewPerson(email="a@b", name="A", roles=["feed"], password="x" * 12),
    shapes.NewRoles: shapes.NewRoles(roles=["feed"], reason="made up"),
    shapes.PasswordReset: shapes.PasswordReset(new_password="x" * 12, reason="made up"),
    shapes.PasswordChange: shapes.PasswordChange(
        email="a@b", password="x" * 12, new_password="y" * 12
    ),
    shapes.NewKey: shapes.NewKey(reason="made up"),
    shapes.TokenKeyRotation: shapes.TokenKeyRotation(reason="made up"),
    shapes.SetLogLevel: shapes.SetLogLevel(level="DEBUG", minutes=5, reason="made up"),
    shapes.NewAccount: shapes.NewAccount(name="A", roles=["feed"]),
}  # fmt: skip
"""One value of each kind that a method of the client takes."""


def refusing(asked: list[httpx.Request]) -> httpx.MockTransport:
    """A server that refuses everything, and remembers what it was asked."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        document = problems.problem(404, "not_found", "there is nothing here")
        return httpx.Response(404, content=bytes(document.body))

    return httpx.MockTransport(answer)


def methods(client: Client) -> Iterator[Callable[..., Any]]:
    """Every public method of the client and of its nouns."""
    for holder in (client, *(v for v in vars(client).values() if isinstance(v, Noun))):
        for name, method in inspect.getmembers(holder, inspect.ismethod):
            if not name.startswith("_") and name not in ("close", "wait"):
                yield method


def made_up(method: Callable[..., Any]) -> dict[str, Any]:
    """Something for each parameter that a method must be given."""
    hints = typing.get_type_hints(inspect.unwrap(method))
    given = inspect.signature(method).parameters.values()
    needed = [p for p in given if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    found = {}
    for parameter in needed:
        hint = hints[parameter.name]
        if isinstance(hint, types.UnionType):
            hint = typing.get_args(hint)[0]
        found[parameter.name] = MADE_UP[typing.get_origin(hint) or hint]
    return found


def test_the_client_speaks_for_every_address_and_for_no_other() -> None:
    asked: list[httpx.Request] = []
    with Client("http://plane", transport=refusing(asked), persistence=AT_ONCE) as client:
        for method in methods(client):
            before = len(asked)
            with pytest.raises(errors.NotFound):
                answer = method(**made_up(method))
                next(answer)  # a list asks when it is read
            assert len(asked) == before + 1, method
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    heard = set[str]()
    for request in asked:
        fitting = [
            route.path
            for route in routes
            if route.path_regex.match(request.url.path) and request.method in (route.methods or ())
        ]
        assert fitting, f"nobody is at {request.method} {request.url.path}"
        heard |= {f"{request.method} {path}" for path in fitting}
    there = {f"{method} {route.path}" for route in routes for method in route.methods or ()}
    silent = {f"GET {path}" for path in NOT_FOR_PROGRAMS}
    assert there - heard == silent


def test_every_code_is_raised_as_what_it_was() -> None:
    known = {kind.code for kind in vars(errors).values() if hasattr(kind, "code")} - {"error"}
    assert known == set(BY_CODE)
    for code in codes():
        kind = {**OF_THE_WEB, **BY_CODE}.get(code.code, errors.TrimtabError)
        document = problems.problem(
            int(code.status) if code.status.isdigit() else 400,
            code.code, "what happened", field="here", remedy="the way out",
        )  # fmt: skip

        def refuse(request: httpx.Request, document: Any = document) -> httpx.Response:
            waiting = {"Retry-After": "1"} if document.status_code == 429 else None
            return httpx.Response(
                document.status_code, content=bytes(document.body), headers=waiting
            )

        transport = httpx.MockTransport(refuse)
        with (
            Client("http://plane", transport=transport, persistence=AT_ONCE) as client,
            pytest.raises(errors.TrimtabError) as raised,
        ):
            client.models.get("x")
        assert type(raised.value) is kind, code.code
        found = raised.value
        assert (found.message, found.field, found.remedy) == (
            "what happened",
            "here",
            "the way out",
        )


def trying(*answers: int | Exception) -> tuple[list[httpx.Request], httpx.MockTransport]:
    """A server that answers so, one after the other."""
    asked, coming = list[httpx.Request](), itertools.chain(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        told = next(coming)
        if isinstance(told, Exception):
            raise told
        if told >= 400:
            document = problems.problem(told, "unavailable", "not now")
            return httpx.Response(told, content=bytes(document.body), headers={"Retry-After": "0"})
        return httpx.Response(200, json={"id": "t", "name": "T"})

    return asked, httpx.MockTransport(answer)


def test_what_may_be_repeated_is_repeated_under_one_key() -> None:
    asked, transport = trying(503, httpx.ReadError("cut off"), 429, 200)
    with Client("http://plane", transport=transport, persistence=QUICK) as client:
        assert client.identity.add_tenant(shapes.NewTenant(id="t", name="T")).id == "t"
    assert len(asked) == 4
    keys = {request.headers["Idempotency-Key"] for request in asked}
    assert len(keys) == 1
    assert len({request.content for request in asked}) == 1
    again, transport = trying(200)
    with Client("http://plane", transport=transport, persistence=QUICK) as client:
        client.identity.add_tenant(shapes.NewTenant(id="t", name="T"))
    assert again[0].headers["Idempotency-Key"] not in keys


@pytest.mark.parametrize("answer", [400, 401, 403, 404, 409, 422, 500])
def test_a_refusal_is_not_asked_for_twice(answer: int) -> None:
    asked, transport = trying(answer, 200)
    with (
        Client("http://plane", transport=transport, persistence=QUICK) as client,
        pytest.raises(errors.TrimtabError),
    ):
        client.models.get("x")
    assert len(asked) == 1


def test_patience_has_an_end() -> None:
    for answers in ([503] * 9, [httpx.ConnectError("nobody")] * 9):
        asked, transport = trying(*answers)
        with (
            Client("http://plane", transport=transport, persistence=QUICK) as client,
            pytest.raises(errors.Unavailable),
        ):
            client.clock.now()
        assert len(asked) == QUICK.tries
    asked, transport = trying(httpx.ReadTimeout("slow"), 200)
    with (
        Client("http://plane", transport=transport, persistence=QUICK) as client,
        pytest.raises(errors.Unavailable),
    ):
        client.clock.now()
    assert len(asked) == 1


def test_a_wait_is_what_the_server_says_or_drawn_below_a_bound_that_doubles() -> None:
    persistence = Persistence(first_seconds=1.0, most_seconds=6.0)
    assert persistence.pause(0, "5") == 5.0
    assert persistence.pause(0, "600") == 6.0
    for tried, bound in enumerate((1.0, 2.0, 4.0, 6.0, 6.0)):
        drawn = [persistence.pause(tried, None) for _ in range(200)]
        assert 0 <= min(drawn) < max(drawn) <= bound
        assert max(drawn) > bound / 2


def test_a_list_is_read_to_its_end() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params.get("cursor", "0")
        onward = str(int(cursor) + 1) if cursor != "2" else None
        row = {"id": cursor, "name": "T"}
        return httpx.Response(200, json={"items": [row], "next": onward})

    with Client("http://plane", transport=httpx.MockTransport(answer)) as client:
        assert [tenant.id for tenant in client.identity.tenants()] == ["0", "1", "2"]


OTHER_WORDS = {
    "a page": b"<html>Welcome to this hotel</html>",
    "no object": b"[]",
    "another object": b'{"items": [{"other": 1}], "other": 2}',
    "no list": b'{"items": 3}',
}


@pytest.mark.parametrize("body", OTHER_WORDS.values(), ids=OTHER_WORDS)
def test_what_does_not_speak_as_a_control_plane_is_said_to(body: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    with Client("http://hotel", transport=transport) as client:
        for ask in (
            lambda: client.models.get("m"),
            lambda: list(client.models.list()),
            lambda: client.rollouts.hold("rol_x", reason="made up"),
            lambda: client.models.latest("m"),
            client.health,
        ):
            with pytest.raises(
                errors.Unavailable, match=r"http://hotel/.* does not speak"
            ) as found:
                ask()
            assert "check that the address is a control plane's" in str(found.value.remedy)


def test_whoever_answers_over_tls_has_to_prove_who_it_is() -> None:
    """Read once for all clients, and asked for by each."""
    assert trusted() is trusted()
    assert trusted().verify_mode is ssl.CERT_REQUIRED
    assert trusted().check_hostname
