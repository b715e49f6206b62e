"""Messages of registries: which are believed, and what they lead to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import FLEET, Plane, Registry, opened

from trimtab.inventory.model import Connection, Scope
from trimtab.kernel.errors import Conflict, InvalidInput, NotAuthenticated
from trimtab.workflows import connections, messages

SECRET = "a secret of the webhook that nobody sees"
ABOUT = {"entity": "model_version", "action": "created", "data": {"name": "churn", "version": "2"}}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    home = tmp_path / "home"
    folder = home / "secrets" / "connections" / "fleet"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "webhook").write_text(SECRET + "\n")
    with opened(home) as plane:
        yield plane


@pytest.fixture
def told(plane: Plane) -> Connection:
    """A connection whose registry sends messages, and that was read before."""
    connection = plane.connect("told", webhook="file:webhook")
    plane.cycle(Registry(), connection=connection)
    return connection


def signed(
    body: bytes,
    *,
    delivery: str = "delivery-1",
    ago: float = 0,
    secret: str = SECRET,
    stamp: str | None = None,
) -> dict[str, str]:
    """The headers of a message, as MLflow signs it."""
    at = str(int(time.time() - ago)) if stamp is None else stamp
    made = hmac.new(secret.encode(), f"{delivery}.{at}.".encode() + body, hashlib.sha256)
    return {
        "x-mlflow-delivery-id": delivery,
        "x-mlflow-timestamp": at,
        "x-mlflow-signature": "v1," + base64.b64encode(made.digest()).decode(),
    }


def body_of(model: Any = "churn") -> bytes:
    return json.dumps({**ABOUT, "data": {"name": model}}).encode()


def take(plane: Plane, connection: str, headers: dict[str, str], body: bytes) -> Any:
    return messages.take(plane.parts, connection, headers, body)


def test_a_good_one_has_its_model_read(plane: Plane, told: Connection) -> None:
    body = body_of()
    taken = take(plane, told.id, signed(body), body)
    assert (taken.taken, taken.model) == (True, "churn")
    state = plane.state(told)
    assert (state.due_at, state.asked["scope"], state.asked["model"]) == (
        plane.clock.now(),
        "model",
        "churn",
    )
    sync = plane.cycle(Registry(), None, connection=told)
    assert (sync.scope, sync.model, plane.state(told).asked) == (Scope.MODEL, "churn", {})


def test_two_about_different_models_have_what_changed_read(plane: Plane, told: Connection) -> None:
    for number, model in enumerate(("churn", "fraud", "churn")):
        body = body_of(model)
        take(plane, told.id, signed(body, delivery=f"delivery-{number}"), body)
    asked = plane.state(told).asked
    assert (asked["scope"], asked["model"]) == ("changes", None)
    assert plane.cycle(Registry(), None, connection=told).scope is Scope.CHANGES


def test_what_somebody_asked_for_is_not_made_less(plane: Plane, told: Connection) -> None:
    with plane.parts.records.begin(FLEET, reason="all of it") as work:
        connections.ask(work, FLEET, told.id, Scope.FULL, reason="all of it")
    body = body_of()
    take(plane, told.id, signed(body), body)
    assert plane.state(told).asked["scope"] == "full"


def bad(body: bytes, **changes: str | None) -> dict[str, str]:
    """Headers of a good message, some of them others or missing."""
    headers: dict[str, str | None] = {**signed(body), **changes}
    return {name: value for name, value in headers.items() if value is not None}


BODY = body_of()
BAD: dict[str, Any] = {
    "no signature": lambda: bad(BODY, **{"x-mlflow-signature": None}),
    "an empty one": lambda: bad(BODY, **{"x-mlflow-signature": ""}),
    "odd characters": lambda: bad(BODY, **{"x-mlflow-signature": "v1,\udcff\u00e9"}),
    "another version": lambda: bad(
        BODY, **{"x-mlflow-signature": signed(BODY)["x-mlflow-signature"].replace("v1", "v2")}
    ),
    "another secret": lambda: signed(BODY, secret="another one"),
    "an empty secret": lambda: signed(BODY, secret=""),
    "another body": lambda: signed(body_of("fraud")),
    "another delivery": lambda: bad(BODY, **{"x-mlflow-delivery-id": "delivery-2"}),
    "no delivery": lambda: signed(BODY, delivery=""),
    "a long delivery": lambda: signed(BODY, delivery="d" * 201),
    "another time": lambda: bad(BODY, **{"x-mlflow-timestamp": str(int(time.time()) + 1)}),
    "no time": lambda: bad(BODY, **{"x-mlflow-timestamp": None}),
    "a time that is none": lambda: signed(BODY, stamp="soon"),
    "a time without end": lambda: signed(BODY, stamp="9" * 400),
    "an old one": lambda: signed(BODY, ago=330),
    "a future one": lambda: signed(BODY, ago=-330),
}


@pytest.mark.parametrize("how", BAD)
def test_no_other_is_believed(plane: Plane, told: Connection, how: str) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        take(plane, told.id, BAD[how](), BODY)
    with pytest.raises(NotAuthenticated) as unknown:
        take(plane, "con_nobody", signed(BODY), BODY)
    assert (refused.value.message, refused.value.field) == (unknown.value.message, None)
    assert plane.state(told).asked == {}


def test_without_a_secret_none_is_believed(plane: Plane, tmp_path: Path) -> None:
    for secret in ("", "missing"):
        without = plane.connect(f"without{secret}", webhook="file:absent" if secret else None)
        with pytest.raises(NotAuthenticated):
            take(plane, without.id, signed(BODY, secret=""), BODY)
    empty = tmp_path / "home" / "secrets" / "connections" / "fleet" / "empty"
    empty.write_text("\n")
    blank = plane.connect("blank", webhook="file:empty")
    with pytest.raises(NotAuthenticated):
        take(plane, blank.id, signed(BODY, secret=""), BODY)


def test_each_is_taken_once(plane: Plane, told: Connection) -> None:
    headers = signed(BODY)
    take(plane, told.id, headers, BODY)
    plane.cycle(Registry(), None, connection=told)
    with pytest.raises(Conflict, match="came before"):
        take(plane, told.id, headers, BODY)
    assert plane.state(told).asked == {}


def test_one_about_a_paused_registry_wakes_nobody(plane: Plane, told: Connection) -> None:
    connections.pause(plane.parts, FLEET, told.id, True, reason="a test")
    assert not take(plane, told.id, signed(BODY), BODY).taken
    assert plane.state(told).asked == {}


NONE: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"7",
    b"{}",
    b'{"data": null}',
    b'{"data": "x"}',
    b"{" * 60_000,
    b"[" * 60_000,
    b'{"data": ' + b"9" * 5000 + b"}",
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", NONE, ids=lambda body: repr(body[:12]))
def test_what_is_no_message_is_refused(plane: Plane, told: Connection, body: bytes) -> None:
    with pytest.raises(InvalidInput, match="no message"):
        take(plane, told.id, signed(body), body)
    assert plane.state(told).asked == {}


ODD: list[Any] = ["a\0b", "\ud800", "n" * 60_000, "", 7, None, {"a": 1}]


@pytest.mark.parametrize("name", ODD, ids=lambda name: repr(name)[:12])
def test_a_name_that_cannot_be_kept_has_what_changed_read(
    plane: Plane, told: Connection, name: Any
) -> None:
    body = body_of(name)
    assert take(plane, told.id, signed(body), body).model is None
    assert plane.cycle(Registry(), None, connection=told).scope is Scope.CHANGES


def test_no_more_is_read_than_a_message_is_long(plane: Plane, told: Connection) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 8192

    with pytest.raises(InvalidInput, match="65536 bytes at most"):
        asyncio.run(messages.taken_from(plane.parts, told.id, {}, endless()))
    assert sent == 9
