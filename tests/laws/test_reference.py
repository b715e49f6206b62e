"""Whatever a reader may meet is documented, and the pages say what the source says."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trimtab.api import problems
from trimtab.api.codes import status_of
from trimtab.identity.roles import PERMISSIONS
from trimtab.kernel import errors
from trimtab.platform import settings
from trimtab.sdk import client

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "write_reference.py"
KIND = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> Any:
    return loaded()


def test_the_reference_pages_are_up_to_date(reference: Any) -> None:
    for name, content in reference.generated().items():
        page = ROOT / "docs" / "reference" / name
        assert page.read_text("utf-8") == content, "run: python scripts/write_reference.py"


def test_the_settings_are_documented() -> None:
    for path, content in settings.generated().items():
        assert (ROOT / path).read_text("utf-8") == content, path


def test_an_event_kind_is_a_noun_and_a_verb_and_nobody_elses(reference: Any) -> None:
    events = reference.every_event()
    assert len(events) > 60
    kinds = [event.kind for event in events]
    assert len(set(kinds)) == len(kinds)
    for event in events:
        assert KIND.fullmatch(event.kind), event
        assert dataclasses.is_dataclass(event), event
        assert "kind" in vars(event), f"{event} has the kind of its parent"
        assert len(reference._sentence(event)) > 10, f"{event} is not described"


def test_every_error_has_a_code_a_status_and_a_way_out(reference: Any) -> None:
    found = reference.every_error()
    assert len(found) > 10
    for error in found:
        assert error.__doc__
        assert "code" not in vars(error) or error.code in problems.WAY_OUT, error
    codes = {e.code: e for e in found if "code" in vars(e)}
    assert len(codes) == sum("code" in vars(e) for e in found)
    kernel = [e for e in found if e.__module__ == errors.__name__]
    assert {e.code for e in kernel} == set(client._BY_CODE)
    assert {e for e in kernel if status_of(e) == 500} == set()


def test_every_address_demands_a_permission_that_somebody_has(reference: Any) -> None:
    routes = reference.every_route()
    assert len(routes) > 60
    silent = [route.path for route, permission in routes if permission is None]
    assert silent == []
    unknown = {p for _route, p in routes} - PERMISSIONS - {reference.OPEN}
    assert unknown == set()


OPEN_ADDRESSES = {
    "/health": "asked by load balancers, tells nothing of anybody",
    "/metrics": "scraped from inside the network",
    "/api/v1/tokens": "takes the credential itself",
    "/login": "takes the credential itself",
    "/docs": "describes the interface, tells nothing of anybody",
    "/redoc": "the same, to be read",
    "/docs/errors": "says what each code means, to whoever has got one",
    "/logout": "ends whatever session the caller has",
    "/account": "shows the caller themselves, once they have logged in",
}


def test_what_is_open_to_everybody_is_on_a_list(reference: Any) -> None:
    found = {route.path for route, p in reference.every_route() if p == reference.OPEN}
    assert found - set(OPEN_ADDRESSES) <= {p for p in found if p.startswith("/static")}


def test_every_permission_opens_something(reference: Any) -> None:
    demanded = {permission for _route, permission in reference.every_route()}
    elsewhere = {"models:infer"}  # the gateway's
    later = {"incidents:operate", "policies:read", "retraining:propose"}
    assert PERMISSIONS - demanded - elsewhere <= later
