"""Whoever guesses waits; whoever is known does not wait for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.plane import BECAUSE, MODELS, PASSWORD, Plane, plane_in

from trimtab.identity.brakes import ACCOUNT, KEY, Brakes

NEW = "seven unrelated small words"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane_in(tmp_path_factory.mktemp("plane") / "home") as found:
        yield found


@pytest.fixture
def plane(opened: Plane) -> Plane:
    """The house, after its limits have forgotten everybody; for these, time stands still."""
    object.__setattr__(opened.parts, "brakes", Brakes(lambda: 1000.0))
    return opened


@pytest.fixture
def ann(plane: Plane) -> str:
    name = f"p{time.monotonic_ns()}"
    plane.person(name)
    return name


def waits(answer: Any, refuses: Any) -> int:
    refuses(answer, 429, "too_many_requests")
    seconds = int(answer.headers["retry-after"])
    assert 1 <= seconds <= 60
    return seconds


@pytest.mark.slow
def test_passwords_are_guessed_slower_and_slower_and_their_owner_gets_in(
    plane: Plane, ann: str, refuses: Any
) -> None:
    assert plane.log_in(ann, address="192.0.2.1").status_code == 200
    for i in range(ACCOUNT.free):
        answer = plane.log_in(ann, f"a wrong one {i}", address=f"198.51.100.{i}")
        refuses(answer, 401, "not_authenticated")
    waits(plane.log_in(ann, "a wrong one", address="198.51.100.77"), refuses)
    waits(plane.log_in(ann, address="198.51.100.78"), refuses)
    assert plane.log_in(ann, address="192.0.2.1").status_code == 200, "they were there before"


def test_who_does_not_get_in_reads_what_to_do_and_not_what_was_wrong(
    plane: Plane, ann: str, refuses: Any
) -> None:
    said = []
    for number, name in enumerate((ann, f"nobody{ann}")):
        answer = plane.log_in(name, "a wrong one", address=f"203.0.113.{number}")
        refuses(answer, 401, "not_authenticated")
        said.append({k: v for k, v in answer.json().items() if k != "request_id"})
    assert said[0] == said[1]
    assert said[0]["field"] is None
    assert "check both" in said[0]["remedy"]
    assert "administrator" in said[0]["remedy"]
    assert "X-Api-Key" not in said[0]["remedy"]


@pytest.mark.slow
def test_somebody_unknown_is_answered_alike(plane: Plane, ann: str, refuses: Any) -> None:
    said: dict[str, list[Any]] = {}
    for name in (ann, f"nobody{ann}"):
        said[name] = [
            plane.log_in(name, "a wrong one", address="198.51.100.7")
            for _ in range(ACCOUNT.free + 2)
        ]
    ours, nobodys = said.values()
    assert [a.status_code for a in ours] == [a.status_code for a in nobodys]
    assert [a.json()["code"] for a in ours] == [a.json()["code"] for a in nobodys]
    assert ours[0].json()["detail"] == nobodys[0].json()["detail"]
    assert ours[-1].headers.keys() == nobodys[-1].headers.keys()


@pytest.mark.slow
def test_the_form_says_how_long_to_wait(plane: Plane, ann: str) -> None:
    client = plane.http("198.51.100.9", Origin=plane.origin, Accept="text/html")
    csrf = client.get("/login").text.split('name="csrf" value="', 1)[1].split('"', 1)[0]
    form = {"email": f"{ann}@example.org", "password": "a wrong one", "csrf": csrf}
    answers = [client.post("/login", data=form) for _ in range(ACCOUNT.free + 1)]
    assert [a.status_code for a in answers] == [401] * ACCOUNT.free + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "too many attempts" in answers[-1].text


def test_a_key_is_guessed_a_few_times(plane: Plane, refuses: Any) -> None:
    issued = plane.account(f"a{time.monotonic_ns()}")
    guess = plane.http("198.51.100.4", **{"X-Api-Key": issued["key_id"] + "." + "x" * 43})
    for _ in range(KEY.free):
        refuses(guess.get(MODELS), 401, "not_authenticated")
    waits(guess.get(MODELS), refuses)
    good = {"X-Api-Key": issued["key"]}
    waits(plane.http("198.51.100.4", **good).get(MODELS), refuses)
    assert plane.http("192.0.2.1", **good).get(MODELS).status_code == 200


def test_a_good_key_goes_on_behind_an_address_that_guesses(plane: Plane, refuses: Any) -> None:
    issued = plane.account(f"a{time.monotonic_ns()}")
    good = plane.http("198.51.100.5", **{"X-Api-Key": issued["key"]})
    assert good.get(MODELS).status_code == 200
    said = []
    bare = plane.http("198.51.100.5")
    for i in range(100):
        key = f"ak_{i:016}." + "x" * 43
        said.append(bare.get(MODELS, headers={"X-Api-Key": key}).status_code)
    assert said[0] == 401
    assert said[-1] == 429
    assert good.get(MODELS).status_code == 200


@pytest.mark.slow
def test_a_person_changes_their_own_password(plane: Plane, ann: str, refuses: Any) -> None:
    before = plane.as_person(ann)
    body = {"email": f"{ann}@example.org", "password": PASSWORD, "new_password": NEW}
    wrong = plane.http().post("/api/v1/password", json={**body, "password": NEW})
    refuses(wrong, 401, "not_authenticated")
    weak = plane.http().post("/api/v1/password", json={**body, "new_password": "password1234"})
    assert refuses(weak, 422, "invalid_input")["field"] == "new_password"
    same = plane.http().post("/api/v1/password", json={**body, "new_password": PASSWORD})
    refuses(same, 422, "invalid_input")
    assert before.get(MODELS).status_code == 200
    answer = plane.http().post("/api/v1/password", json=body)
    assert answer.status_code == 200, answer.text
    fresh = plane.http(Authorization=f"Bearer {answer.json()['access_token']}")
    assert fresh.get(MODELS).status_code == 200
    refuses(before.get(MODELS), 401, "not_authenticated")
    refuses(plane.log_in(ann), 401, "not_authenticated")
    assert plane.log_in(ann, NEW).status_code == 200
    entry = plane.entries("person.password_changed")[-1]
    assert entry.actor == entry.subject == plane.people[ann].id


@pytest.mark.slow
def test_an_administrator_resets_a_password(plane: Plane, ann: str, refuses: Any) -> None:
    before, person = plane.as_person(ann), plane.people[ann].id
    address = f"/api/v1/people/{person}/password"
    assert plane.admin.put(address, json={"new_password": NEW, **BECAUSE}).status_code == 204
    refuses(before.get(MODELS), 401, "not_authenticated")
    refuses(plane.log_in(ann), 401, "not_authenticated")
    assert plane.log_in(ann, NEW).status_code == 200
    entry = plane.entries("person.password_reset")[-1]
    assert (entry.subject, entry.actor) == (person, plane.people["root"].id)
    refuses(before.put(address, json={"new_password": NEW, **BECAUSE}), 401, "not_authenticated")
    refuses(
        plane.as_person(ann).put(address, json={"new_password": NEW, **BECAUSE}),
        403,
        "not_permitted",
    )
    own = f"/api/v1/people/{plane.people['root'].id}/password"
    refuses(plane.admin.put(own, json={"new_password": NEW, **BECAUSE}), 409, "conflict")


def test_everything_of_somebody_is_ended_at_once(plane: Plane, ann: str, refuses: Any) -> None:
    before = plane.as_person(ann)
    address = f"/api/v1/people/{plane.people[ann].id}/end-credentials"
    assert plane.admin.post(address, json=BECAUSE).status_code == 204
    refuses(before.get(MODELS), 401, "not_authenticated")
    assert plane.as_person(ann).get(MODELS).status_code == 200
