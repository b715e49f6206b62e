"""Sessions at the pages: fresh at each log-in, ended by time, by hand, and by a new password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import Response
from fastapi.routing import APIRoute
from tests.api.plane import HOME, PASSWORD, Plane, plane_in

from trimtab.kernel.clock import SteppedClock
from trimtab.web import site
from trimtab.web.session import FormDemand, clear_cookie, set_cookie

NEW = "lanterns over quiet water"
ACCOUNT = "/account"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane_in(tmp_path_factory.mktemp("plane") / "home") as found:
        yield found


@pytest.fixture
def plane(opened: Plane) -> Iterator[Plane]:
    """The house, with real time that a test moves."""
    kept = opened.parts.real_clock
    object.__setattr__(opened.parts, "real_clock", SteppedClock(kept.now()))
    yield opened
    object.__setattr__(opened.parts, "real_clock", kept)


@pytest.fixture(scope="module")
def name(opened: Plane) -> str:
    opened.person("mira", "ml_lead")
    return "mira"


def later(plane: Plane, length: timedelta) -> None:
    clock = plane.parts.real_clock
    assert isinstance(clock, SteppedClock)
    clock.step_to(clock.now() + length)


class Pages:
    """Somebody at the pages."""

    def __init__(self, plane: Plane, address: str = HOME):
        self.client = plane.http(address, Accept="text/html", Origin=plane.origin)

    def get(self, address: str) -> httpx.Response:
        return self.client.get(address)

    def csrf(self, address: str) -> str:
        return str(re.findall(r'name="csrf" value="([^"]+)"', self.get(address).text)[0])

    def send(self, address: str, *, shown_at: str = ACCOUNT, **fields: str) -> httpx.Response:
        return self.client.post(address, data={"csrf": self.csrf(shown_at), **fields})

    def log_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        email = f"{name}@example.org"
        return self.send("/login", shown_at="/login", email=email, password=password)

    @property
    def cookie(self) -> str:
        return str(self.client.cookies["trimtab"])

    def inside(self) -> bool:
        return self.get(ACCOUNT).status_code == 200


def logged_in(plane: Plane, name: str, address: str = HOME) -> Pages:
    pages = Pages(plane, address)
    assert pages.log_in(name).status_code == 303
    return pages


def sessions(pages: Pages) -> list[str]:
    return re.findall(r"/account/sessions/([^/]+)/end", pages.get(ACCOUNT).text)


def test_a_log_in_never_goes_on_under_the_cookie_that_came(plane: Plane, name: str) -> None:
    """Neither under one that somebody planted, nor under one's own from before."""
    pages = Pages(plane)
    pages.client.cookies.set("trimtab", "planted")
    assert pages.log_in(name).status_code == 303
    cookies = [c.value for c in pages.client.cookies.jar if c.name == "trimtab" and c.value]
    first = next(c for c in cookies if c != "planted")
    other = Pages(plane)
    other.client.cookies.set("trimtab", "planted")
    assert not other.inside()
    again = Pages(plane)
    assert again.log_in(name).status_code == 303
    assert again.cookie != first
    assert again.csrf(ACCOUNT) != "planted"


def test_a_session_lasts_so_long_however_much_it_is_used(plane: Plane, name: str) -> None:
    pages = logged_in(plane, name)
    for _ in range(12):
        assert pages.inside()
        later(plane, timedelta(minutes=59, seconds=59))
    assert pages.inside()
    later(plane, timedelta(seconds=12))
    assert not pages.inside()


def test_a_session_that_nobody_uses_ends(plane: Plane, name: str) -> None:
    idle = plane.parts.settings.session_idle()
    pages = logged_in(plane, name)
    later(plane, idle - timedelta(seconds=1))
    assert pages.inside(), "and is in use again"
    later(plane, idle - timedelta(seconds=1))
    assert pages.inside()
    later(plane, idle)
    assert not pages.inside()


def test_use_is_noted_once_a_minute(
    plane: Plane, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = logged_in(plane, name)
    size, written = len(plane.entries()), []
    begin = plane.parts.records.begin

    def counted(*who: Any, **why: Any) -> Any:
        written.append(why)
        return begin(*who, **why)

    monkeypatch.setattr(plane.parts.records, "begin", counted)
    for _ in range(3):
        assert pages.inside()
    assert written == []
    later(plane, timedelta(seconds=60))
    for _ in range(3):
        assert pages.inside()
    assert len(written) == 1
    assert len(plane.entries()) == size


def test_a_session_is_ended_from_another_one(plane: Plane, name: str) -> None:
    lost, kept = logged_in(plane, name, "192.0.2.81"), logged_in(plane, name, "192.0.2.82")
    shown = kept.get(ACCOUNT).text
    assert "192.0.2.81" in shown
    assert "this session" in shown
    assert lost.cookie not in shown
    newest = sessions(kept)[0]
    plane.person("somebody")
    other = logged_in(plane, "somebody")
    assert other.send(f"/account/sessions/{newest}/end").status_code == 404, "it is not theirs"
    assert lost.inside()
    assert kept.send(f"/account/sessions/{newest}/end").status_code == 303
    assert not lost.inside()
    assert kept.inside()
    entry = plane.entries("session.ended")[-1]
    assert entry.subject == plane.people[name].id


def test_everything_is_ended_at_once(plane: Plane, name: str) -> None:
    here, there = logged_in(plane, name), logged_in(plane, name)
    program = plane.as_person(name)
    assert here.send("/account/log-out-everywhere").status_code == 303
    assert not here.inside()
    assert not there.inside()
    assert program.get("/api/v1/models").status_code == 401
    assert plane.entries("person.credentials_ended")[-1].actor == plane.people[name].id


@pytest.mark.slow
def test_a_new_password_ends_all_but_this_one(plane: Plane) -> None:
    plane.person("nora")
    here, there = logged_in(plane, "nora"), logged_in(plane, "nora")
    before = here.cookie
    form = {"password": "not the present one", "new_password": NEW}
    answer = here.send("/account/password", **form)
    assert answer.status_code == 422
    assert "not your present password" in answer.text
    answer = here.send("/account/password", password=PASSWORD, new_password="password1234")
    assert answer.status_code == 422
    assert "too easy to guess" in answer.text
    assert there.inside()
    assert here.send("/account/password", password=PASSWORD, new_password=NEW).status_code == 303
    assert here.inside()
    assert here.cookie != before, "under a fresh token"
    assert not there.inside()
    assert Pages(plane).log_in("nora").status_code == 401
    assert Pages(plane).log_in("nora", NEW).status_code == 303


def test_every_form_demands_its_token_and_where_it_was_sent_from(opened: Plane) -> None:
    """Read off the table of routes: a page that changes something and checks neither fails."""
    changing = [
        route
        for router in site.ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.methods and route.methods - {"GET", "HEAD"}
    ]
    assert len(changing) > 8
    unchecked = set()
    for route in changing:
        calls = [dependency.call for dependency in route.dependant.dependencies]
        if not any(isinstance(call, FormDemand) for call in calls):
            unchecked.add(route.path)
    assert unchecked == {"/login"}, "which compares its own token, and the origin"
    del opened


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
@pytest.mark.parametrize(
    "address", ["/account/log-out-everywhere", "/account/password", "/logout", "/login"]
)
def test_a_form_from_elsewhere_ends_nothing(
    plane: Plane, name: str, origin: str, address: str
) -> None:
    pages = logged_in(plane, name)
    csrf = pages.csrf(ACCOUNT)
    answer = pages.client.post(address, data={"csrf": csrf}, headers={"Origin": origin})
    assert answer.status_code == 403
    bare = pages.client.post(address, data={"csrf": "x" * 43})
    assert bare.status_code == 403
    assert pages.inside()


def test_the_cookie_is_secure_where_the_origin_is(tmp_path: Any) -> None:
    """Behind a proxy that speaks https, the browser ties the cookie to this very host."""
    with plane_in(tmp_path / "home", TRIMTAB_ORIGIN="https://trimtab.example.org") as plane:
        given, taken = Response(), Response()
        set_cookie(given, plane.parts, "x")
        clear_cookie(taken, plane.parts)
        for said in (given.headers["set-cookie"], taken.headers["set-cookie"]):
            assert said.startswith("__Host-trimtab=")
            for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
                assert word in said
            assert "Domain" not in said
