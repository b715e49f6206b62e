"""Every lifecycle state with every deployment has a word in each vocabulary."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from trimtab.kernel.ids import Digest, PermitId
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Lifecycle
from trimtab.registry.vocabulary import Vocabulary, foremost, status

# Rows are lifecycle states; columns are none, shadow, canary, stable, rolled_back, retired.
# T Training, C Canary, S Stable, R Rolled Back.
ROLLOUT = """
development  T T C S R R
staging      T T C S R R
approved     T T C S R R
production   S S C S R S
rejected     R R R R R R
deprecated   R R C S R R
archived     R R R R R R
quarantined  R R R R R R
"""
# N None, S Staging, P Production, A Archived.
MLFLOW = """
development  N N N N N N
staging      S S S S S S
approved     S S S S S S
production   P P P P A P
rejected     A A A A A A
deprecated   A A A A A A
archived     A A A A A A
quarantined  A A A A A A
"""
# D Development, G Staging, A Approved, P Production, O Deprecated, X Archived.
LIFECYCLE = """
development  D D D D D D
staging      G G G G G G
approved     A A A A A A
production   P P P P P P
rejected     X X X X X X
deprecated   O O O O O O
archived     X X X X X X
quarantined  X X X X X X
"""
WORDS = {
    Vocabulary.ROLLOUT: (
        ROLLOUT,
        {"T": "Training", "C": "Canary", "S": "Stable", "R": "Rolled Back"},
    ),
    Vocabulary.MLFLOW: (
        MLFLOW,
        {"N": "None", "S": "Staging", "P": "Production", "A": "Archived"},
    ),
    Vocabulary.LIFECYCLE: (
        LIFECYCLE,
        {
            "D": "Development",
            "G": "Staging",
            "A": "Approved",
            "P": "Production",
            "O": "Deprecated",
            "X": "Archived",
        },
    ),
}
DEPLOYMENTS = (
    None,
    Deployment.SHADOW,
    Deployment.CANARY,
    Deployment.STABLE,
    Deployment.ROLLED_BACK,
    Deployment.RETIRED,
)
EVERY = list(itertools.product(Lifecycle, DEPLOYMENTS))
HEALTHY = {"Canary", "Stable", "Production", "Approved", "Staging"}


def test_the_tables_name_every_combination() -> None:
    assert set(DEPLOYMENTS) == {None, *Deployment}
    assert {*WORDS, Vocabulary.TRIMTAB} == set(Vocabulary)
    for table, _ in WORDS.values():
        rows = [line.split() for line in table.split("\n") if line]
        assert [row[0] for row in rows] == [state.value for state in Lifecycle]
        assert {len(row) for row in rows} == {1 + len(DEPLOYMENTS)}


@pytest.mark.parametrize("vocabulary", WORDS)
def test_each_combination_has_the_word_of_the_table(vocabulary: Vocabulary) -> None:
    table, letters = WORDS[vocabulary]
    said = dict[tuple[Lifecycle, Deployment | None], str]()
    for line in table.split("\n"):
        if line:
            state, *row = line.split()
            for deployment, letter in zip(DEPLOYMENTS, row, strict=True):
                said[Lifecycle(state), deployment] = letters[letter]
    found = {(state, deployed): status(state, deployed, vocabulary) for state, deployed in EVERY}
    assert found == said


def test_our_own_word_is_the_lifecycle() -> None:
    assert all(status(state, deployed) == state.value for state, deployed in EVERY)


@pytest.mark.parametrize("state", [Lifecycle.REJECTED, Lifecycle.QUARANTINED])
def test_what_was_refused_never_looks_healthy(state: Lifecycle) -> None:
    found = {status(state, deployed, words) for deployed in DEPLOYMENTS for words in WORDS}
    assert found.isdisjoint(HEALTHY)


def test_what_was_taken_back_from_production_is_nowhere_in_service() -> None:
    taken_back = (Lifecycle.PRODUCTION, Deployment.ROLLED_BACK)
    assert status(*taken_back, Vocabulary.ROLLOUT) == "Rolled Back"
    assert status(*taken_back, Vocabulary.MLFLOW) == "Archived"


def deployed(state: Deployment, day: int) -> Deployed:
    return Deployed(
        id=f"dep_{day}",
        model="m",
        tenant=None,
        environment="production",
        version="1.0.0",
        digest=Digest("sha256:" + "0" * 64),
        state=state,
        percent=0.0,
        salt="",
        permit=PermitId("per_1"),
        since=datetime(2015, 3, 1, tzinfo=UTC) + timedelta(days=day),
    )


@pytest.mark.parametrize(
    ("states", "first"),
    [
        ([], None),
        ([Deployment.ROLLED_BACK], Deployment.ROLLED_BACK),
        ([Deployment.STABLE, Deployment.CANARY], Deployment.STABLE),
        ([Deployment.CANARY, Deployment.SHADOW, Deployment.ROLLED_BACK], Deployment.CANARY),
        ([Deployment.SHADOW, Deployment.RETIRED], Deployment.SHADOW),
        ([Deployment.ROLLED_BACK, Deployment.RETIRED], Deployment.RETIRED),
        ([Deployment.RETIRED, Deployment.ROLLED_BACK], Deployment.ROLLED_BACK),
        ([Deployment.ROLLED_BACK, Deployment.RETIRED, Deployment.STABLE], Deployment.STABLE),
    ],
)
def test_traffic_comes_before_its_end_and_the_newest_end_before_others(
    states: list[Deployment], first: Deployment | None
) -> None:
    """The newest stands last; the order in which they are given does not matter."""
    placed = [deployed(state, day) for day, state in enumerate(states)]
    for order in itertools.permutations(placed):
        assert foremost(order) is first
