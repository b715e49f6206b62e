"""Waivers on the command line: granted, listed, ended, and refused in words."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest
from tests.cli.test_remote import ran
from tests.web import registries
from tests.web.conftest import PASSWORD, World
from tests.web.registries import stock

from trimtab.identity import service as identity
from trimtab.identity.model import Person
from trimtab.identity.passwords import hash_password

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]
WHY = ("--reason", "the team is being put together")
GAP = ("owner-named", "churn", "3")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Commands as somebody with the role `compliance`, or as the administrator."""
    world = World(tmp_path_factory.mktemp("waivers") / "home")
    world.cast()
    stock(world)
    with world.parts.records.begin(registries.somebody(world), reason="the cast") as work:
        lena = identity.add_person(
            work,
            email="lena@example.org",
            name="Lena",
            roles=("compliance",),
            password_hash=hash_password(PASSWORD),
            tenant=None,
        )

    def asked(*words: str, who: Person = lena) -> subprocess.CompletedProcess[str]:
        token = identity.token_for(world.parts.tokens, who)
        return ran("waivers", *words, TRIMTAB_URL=world.origin, TRIMTAB_TOKEN=token)

    asked.root = world.people["root"]  # type: ignore[attr-defined]
    yield asked
    world.close()


def test_a_waiver_is_granted_listed_and_ended(run: Run) -> None:
    made = run("grant", *GAP, "--until", "2015-03-31", *WHY, "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["model"], told["version"]) == ("churn", 3)
    assert told["expires_at"] == "2015-04-01T00:00:00Z"
    whole = run("grant", *GAP, "--until", "2015-03-31T12:00:00Z", "--whole-model", *WHY, "--json")
    assert json.loads(whole.stdout)["version"] is None
    table = run("list").stdout
    assert "every" in table
    assert "2015-04-01 00:00 UTC" in table
    newest_first = [json.loads(whole.stdout)["id"], told["id"]]
    assert [w["id"] for w in json.loads(run("list", "--json").stdout)] == newest_first
    ended = run("end", told["id"], "--reason", "the team is there", "--json")
    assert json.loads(ended.stdout)["revoked_at"] is not None
    assert [w["id"] for w in json.loads(run("list", "--json").stdout)] == newest_first[:1]
    assert len(json.loads(run("list", "--all", "--json").stdout)) == 2
    again = run("end", told["id"], "--reason", "the team is there")
    assert again.returncode == 2
    assert "revoked before" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*GAP, "--until", "soon", *WHY), "write the last day"),
        ((*GAP, "--until", "2014-01-01", *WHY), "a waiver ends after it was granted"),
        ((*GAP, "--until", "2099-01-01", *WHY), "a waiver lasts 180 days at most"),
        ((*GAP, "--until", "2015-03-31", "--reason", "because"), "a waiver needs a reason"),
        ((*GAP, "--until", "2015-03-31"), "Missing option '--reason'"),
        ((*GAP, *WHY), "Missing option '--until'"),
        (("owner-nmed", *GAP[1:], "--until", "2015-03-31", *WHY), "Did you mean"),
        ((GAP[0], "none-such", "1", "--until", "2015-03-31", *WHY), "no registry holds"),
    ],
)
def test_what_is_no_waiver_is_refused(run: Run, words: tuple[str, ...], said: str) -> None:
    before = run("list", "--all", "--json").stdout
    answer = run("grant", *words)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert run("list", "--all", "--json").stdout == before


def test_an_administrator_answers_for_nothing(run: Run) -> None:
    root = run.root  # type: ignore[attr-defined]
    answer = run("grant", *GAP, "--until", "2015-03-31", *WHY, who=root)
    assert answer.returncode == 2
    assert "compliance:waive" in answer.stderr
    assert len(answer.stderr.splitlines()) == 2
