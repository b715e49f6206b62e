"""A group leaves: named at once, and over when its outcomes say that the rest is well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from tests.chaos import candidates
from tests.chaos.gateway import Shipment
from tests.chaos.rehearsal import rehearse
from tests.chaos.stage import Stage
from tests.chaos.stories import FIRST, FLIGHTS, SEED, Scene, Story, at, first_flights

from trimtab.demo import data
from trimtab.demo.data import Traffic
from trimtab.sdk import shapes

LEAVING, LEAVES_ON, LAST = "DL", 5, 9
"""Delta carries about a seventh of the flights; the days are those of the story."""


@dataclass
class Seen:
    """The incident of the group that left, day by day, and what the team was told."""

    days: dict[int, shapes.IncidentShape] = field(default_factory=dict)
    withheld: list[Shipment] = field(default_factory=list)
    diagnoses: list[dict[str, Any]] = field(default_factory=list)
    """In the order in which they were made."""


def rows_of(number: int) -> Traffic:
    day = FIRST + timedelta(days=number)
    rows = data.flight_traffic(day, story=candidates.FLIGHTS, seed=SEED)
    return rows if number < LEAVES_ON else without(rows, LEAVING)


def without(rows: Traffic, airline: str) -> Traffic:
    stays = rows.features["airline"] != airline
    return replace(
        rows,
        ids=rows.ids[stays],
        endpoints=rows.endpoints[stays],
        tenants=None if rows.tenants is None else rows.tenants[stays],
        features={name: column[stays] for name, column in rows.features.items()},
        labels=rows.labels[stays],
        at=rows.at[stays],
        labels_at=rows.labels_at[stays],
    )


def play(stage: Stage, number: int, seen: Seen) -> None:
    """A day; from the one on which the group leaves, outcomes are kept back for two."""
    stage.step(at(number))
    answered = stage.predictions(FLIGHTS, rows_of(number), at(number))
    if LEAVES_ON <= number < LEAVES_ON + 2:
        seen.withheld += answered
    else:
        stage.label(FLIGHTS, [*seen.withheld, *answered])
        seen.withheld.clear()
    stage.settle()
    about = [
        incident
        for incident in stage.cast.auditor.monitoring.incidents(all_of_them=True)
        if incident.feature == "airline" and incident.tenant is None
    ]
    if about:
        seen.days[number] = about[0]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    found = Seen()
    story = Story(
        "a group leaves",
        at(0),
        (
            Scene("the first version is handed in", first_flights),
            Scene("it is signed", lambda stage: stage.sign("1.0.0")),
            *(
                Scene(f"day {n}", lambda stage, n=n: play(stage, n, found))  # type: ignore[misc]
                for n in range(LAST + 1)
            ),
        ),
    )
    rehearsal = rehearse(story, tmp_path_factory.mktemp("leaves") / "story")
    assert rehearsal.ending is not None
    made = sorted(rehearsal.ending.rows["diagnoses"], key=lambda row: row["made_at"])
    found.diagnoses += [row["analysis"] for row in made]
    yield found
    rehearsal.troupe.cast.close()


@pytest.mark.slow
def test_without_outcomes_the_question_stays_open(seen: Seen) -> None:
    opened = min(seen.days)
    assert opened >= LEAVES_ON
    assert seen.days[opened].phase == "diagnosed"
    first = seen.diagnoses[0]["causes"][0]
    assert first["type"] == "population_change"
    assert list(first["values"]["vanished"]) == [LEAVING]
    assert first["values"]["harmed"] is None
    assert any("is not known" in words for words in first["evidence_against"])


@pytest.mark.slow
def test_with_outcomes_it_is_asked_again_and_is_over(seen: Seen) -> None:
    assert [d["causes"][0]["values"]["harmed"] for d in seen.diagnoses] == [None, False]
    ended = seen.days[LAST]
    assert ended.phase == "resolved"
    assert ended.resolution is not None
    assert LEAVING in ended.resolution
    assert "no harm is shown" in ended.resolution
