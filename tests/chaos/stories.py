"""Two short stories on real rows, which together pass through every job there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tests.chaos import candidates
from tests.chaos.stage import Stage

from trimtab.demo import data
from trimtab.demo.story import Fault
from trimtab.sdk import shapes

FIRST = date(2015, 3, 1)
SEED = 2015
HOUR = timedelta(hours=1)
FLIGHTS, HOMES = "flight-air-time", "home-value"
STRICT, LAX = 0.02, 0.10
"""False-positive rates that the cut-off of the homes' first version is chosen for."""


@dataclass(frozen=True)
class Scene:
    """Something that happens; before it, nothing is left to do."""

    name: str
    play: Callable[[Stage], None]


@dataclass(frozen=True)
class Story:
    """Scenes in order; the clock begins at `start`."""

    name: str
    start: datetime
    scenes: Sequence[Scene]


def repair() -> Story:
    """A release; a bad one, taken back, and the next one, no better; a broken feed, repaired."""
    broken = Fault("distance_miles", 1.609344)

    def day(number: int, *faults: Fault) -> Scene:
        return Scene(f"day {number}", lambda stage: _flights(stage, number, faults))

    return Story(
        "repair",
        at(0),
        (
            Scene("the first version is handed in", first_flights),
            Scene("it is signed", lambda stage: stage.sign("1.0.0")),
            day(0),
            day(1),
            Scene("a broken one is handed in", lambda stage: _hand_in_flights(stage, 2, "1.1.0")),
            Scene("it is signed", lambda stage: stage.sign("1.1.0")),
            Scene("another one is handed in", lambda stage: _hand_in_flights(stage, 2, "1.2.0")),
            Scene("it is signed, and waits", lambda stage: stage.sign("1.2.0")),
            day(2),
            day(3),
            day(4),
            day(5, broken),
            day(6, broken),
            day(7),
            day(8),
            day(9),
            Scene("the last morning", lambda stage: stage.step(at(10))),
        ),
    )


def retrain() -> Story:
    """A release; the homes asked about lie elsewhere; a challenger takes over, and it helps."""
    return Story(
        "retrain",
        at(0),
        (
            Scene("the first version is handed in", lambda stage: _first_homes(stage, LAX)),
            Scene("it is signed", lambda stage: stage.sign("1.0.0")),
            *(_homes(number) for number in range(6)),
            Scene("a challenger is trained", lambda stage: stage.step(at(6))),
            Scene("it is signed", lambda stage: stage.sign("1.1.0")),
            *(_homes(number) for number in range(6, 11)),
            Scene("the last morning", lambda stage: stage.step(at(11))),
        ),
    )


def kept() -> Story:
    """The same homes, a better first version, and a challenger that raises more false alarms;
    at the end some rows come late."""
    return Story(
        "kept",
        at(0),
        (
            Scene("the first version is handed in", lambda stage: _first_homes(stage, STRICT)),
            Scene("it is signed", lambda stage: stage.sign("1.0.0")),
            *(_homes(number) for number in range(6)),
            Scene("the last morning", lambda stage: stage.step(at(6))),
            Scene("the last day is settled", lambda stage: stage.step(at(6) + 2 * HOUR)),
            Scene("some of its rows come late", lambda stage: _late_homes(stage, 5)),
            Scene("it is judged again", lambda stage: stage.step(at(6) + 3 * HOUR)),
        ),
    )


def at(day: int) -> datetime:
    return datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC) + timedelta(days=day)


def first_flights(stage: Stage) -> None:
    stage.register(
        _model(
            FLIGHTS,
            data.LONG_FLIGHT,
            [(n, "category" if n == "airline" else "numeric") for n in candidates.FLIGHTS.features],
            customers=True,
        )
    )
    stage.hand_in(FLIGHTS, candidates.flights("1.0.0"))


def _first_homes(stage: Stage, max_fpr: float) -> None:
    features = [(n, "numeric") for n in candidates.HOMES.features]
    stage.register(_model(HOMES, data.VALUABLE_HOME, features, customers=False))
    stage.hand_in(HOMES, candidates.homes("1.0.0", max_fpr=max_fpr))


def _hand_in_flights(stage: Stage, day: int, version: str) -> None:
    stage.step(at(day))
    stage.hand_in(FLIGHTS, candidates.flights(version))


def _flights(stage: Stage, number: int, faults: Sequence[Fault]) -> None:
    stage.step(at(number))
    day = FIRST + timedelta(days=number)
    rows = data.flight_traffic(day, story=candidates.FLIGHTS, seed=SEED, faults=faults)
    stage.traffic(FLIGHTS, rows, at(number))


def _homes(number: int) -> Scene:
    day = FIRST + timedelta(days=number)

    def play(stage: Stage) -> None:
        stage.step(at(number))
        rows = data.home_traffic(day, story=candidates.HOMES, seed=SEED)
        stage.traffic(HOMES, rows, at(number))

    return Scene(f"day {number}", play)


def _late_homes(stage: Stage, number: int) -> None:
    day = FIRST + timedelta(days=number)
    rows = data.home_traffic(day, story=candidates.HOMES, seed=SEED + 1)
    stage.late(HOMES, rows, at(number))


def _model(
    name: str, label: str, features: Sequence[tuple[str, str]], *, customers: bool
) -> shapes.NewModel:
    facts = shapes.RiskFactsShape(
        customer_facing=customers,
        pii=False,
        sensitive_data=False,
        annual_financial_impact_usd=250_000 if customers else 0,
        regulated_domain=False,
        criticality="important" if customers else "ordinary",
        reversible=True,
        environment_cap="none",
    )
    return shapes.NewModel(
        name=name,
        owner="Operations",
        description="A model of the story.",
        risk_facts=facts,
        features=[
            shapes.FeatureShape.model_validate({"name": n, "kind": kind}) for n, kind in features
        ],
        label=label,
        reason="first registration",
    )


STORIES: dict[str, Callable[[], Story]] = {"repair": repair, "retrain": retrain, "kept": kept}
"""In the order in which a step is looked for in them."""
