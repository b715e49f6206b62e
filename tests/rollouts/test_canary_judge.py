"""The canary judge against simulated traffic: how often it is wrong, and how soon it is right.

Many thousand looks are needed to know a rate of one in a hundred, so the paths are judged by
a vectorised second implementation, written from the rules and checked against the judge
itself on looks drawn from every scenario. `docs/reference/canary-judge.md` holds the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, binom

from trimtab.kernel.verdict import Verdict
from trimtab.policies.admission import Rollout as Demands
from trimtab.policies.loader import load_preset
from trimtab.rollouts.analysis import Analysis, Evidence, Look, judge

pytestmark = pytest.mark.slow

Array = NDArray[np.float64]
WAIT, PASS, FAIL = 0, 1, 2
NAMES = {WAIT: Verdict.INCONCLUSIVE, PASS: Verdict.PASS, FAIL: Verdict.FAIL}

TIER_2 = load_preset("standard").tier(2).rollout


@dataclass(frozen=True)
class Scenario:
    """True rates, and the known negatives of each side at every look."""

    canary_rate: float
    active_rate: float | None
    canary_per_look: int = 20
    active_per_look: int = 180
    looks: int = 48


@dataclass(frozen=True)
class Paths:
    """Counts up to each look, each of shape (paths, looks)."""

    scenario: Scenario
    canary_events: Array
    canary_rows: Array
    active_events: Array
    active_rows: Array


def simulate(scenario: Scenario, paths: int, seed: int) -> Paths:
    rng = np.random.default_rng(seed)
    shape = (paths, scenario.looks)
    rows = np.broadcast_to(np.arange(1, scenario.looks + 1), shape)
    canary = rng.binomial(scenario.canary_per_look, scenario.canary_rate, shape).cumsum(axis=1)
    active_rate = 0.0 if scenario.active_rate is None else scenario.active_rate
    active = rng.binomial(scenario.active_per_look, active_rate, shape).cumsum(axis=1)
    return Paths(
        scenario,
        canary.astype(float),
        (rows * scenario.canary_per_look).astype(float),
        active.astype(float),
        (rows * scenario.active_per_look).astype(float),
    )


def each_once(events: Array, rows: Array) -> tuple[Array, Array, NDArray[np.intp]]:
    """The pairs of two counts, each once, and where each of them stands: they come again and
    again."""
    pairs, place = np.unique(events + 1j * rows, return_inverse=True)
    return pairs.real, pairs.imag, place.reshape(events.shape)


def mean_of_exponentials(events: Array, gains: Array, rows: Array, costs: Array) -> Array:
    """log of the mean over the alternatives of exp(events * gain - rows * cost), shaped as
    `events`; so many at a time as a processor has at hand."""
    every, of, place = each_once(events, rows)
    found = np.empty(every.size)
    for start in range(0, every.size, 1024):
        some = slice(start, start + 1024)
        terms = np.multiply.outer(every[some], gains) - np.multiply.outer(of[some], costs)
        top = terms.max(axis=1)
        found[some] = top + np.log(np.exp(terms - top[:, None]).mean(axis=1))
    return np.asarray(found[place])


def logs(spread: float, sign: float) -> Array:
    return np.asarray(sign * np.log(spread) * (np.arange(200) + 0.5) / 200)


def log_rate_evidence(events: Array, rows: Array, limit: float, sign: float) -> Array:
    gains = logs(20.0, sign)
    return mean_of_exponentials(events, gains, rows, np.log1p(limit * np.expm1(gains)))


def log_ratio_evidence(paths: Paths, ratio: float, sign: float) -> Array:
    """The split is the same at every look here, so totals are all that matters."""
    gains = logs(10.0, sign)
    canary = ratio * paths.scenario.canary_per_look
    share = canary / (canary + paths.scenario.active_per_look)
    both = paths.canary_events + paths.active_events
    costs = np.log1p(np.expm1(gains) * share)
    return mean_of_exponentials(paths.canary_events, gains, both, costs)


def lower_end(events: Array, rows: Array, confidence: float) -> Array:
    """The exact lower end of a rate."""
    some, of, place = each_once(events, rows)
    return np.asarray(beta.ppf(1 - confidence, np.maximum(some, 1), of - some + 1)[place])


def verdicts(paths: Paths, demands: Demands) -> NDArray[np.int_]:
    """WAIT, PASS or FAIL at every look, shape (paths, looks)."""
    compared = paths.scenario.active_rate is not None
    events, rows = paths.canary_events, paths.canary_rows
    limit = demands.max_false_positive_rate
    against = [log_rate_evidence(events, rows, limit, 1.0)]
    in_favour = [log_rate_evidence(events, rows, limit, -1.0)]
    if compared:
        against.append(log_ratio_evidence(paths, demands.max_ratio_to_active, 1.0))
        in_favour.append(log_ratio_evidence(paths, demands.max_ratio_to_active, -1.0))
    bar = np.log(len(against) / demands.max_wrong_rollback_rate)
    harm = np.any([evidence >= bar for evidence in against], axis=0)
    low = lower_end(events, rows, demands.gross_harm_confidence)
    gross = (events >= demands.gross_harm_min_errors) & (low > limit)
    bar = np.log(1 / demands.max_wrong_promotion_rate)
    health = np.all([evidence >= bar for evidence in in_favour], axis=0)
    age = np.arange(1, paths.scenario.looks + 1) * demands.look_interval_minutes / 60
    ripe = (rows >= demands.min_events_per_step) & (age >= demands.min_hold_hours)
    return np.where(harm | gross, FAIL, np.where(health & ripe, PASS, WAIT))


def first_decision(found: NDArray[np.int_]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Of each path: the first verdict that decides (or WAIT), and the look it came at."""
    decided = found != WAIT
    at = np.where(decided.any(axis=1), decided.argmax(axis=1), found.shape[1] - 1)
    return found[np.arange(len(found)), at], at


def judged(paths: Paths, path: int, look: int, demands: Demands) -> Analysis:
    """What the judge itself says of one path at one look."""

    def added(total: Array) -> list[int]:
        return [int(n) for n in np.diff(total[path, : look + 1], prepend=0)]

    columns = zip(
        added(paths.canary_events),
        added(paths.canary_rows),
        added(paths.active_events),
        added(paths.active_rows),
        strict=True,
    )
    evidence = Evidence(
        looks=tuple(Look(*column) for column in columns),
        step_events=int(paths.canary_rows[path, look]),
        step_age=timedelta(minutes=(look + 1) * demands.look_interval_minutes),
        has_active=paths.scenario.active_rate is not None,
    )
    return judge(evidence, demands)


SCENARIOS = [
    Scenario(0.02, 0.02),
    Scenario(0.02, 0.02, looks=250),
    Scenario(0.04, 0.02, looks=250),
    Scenario(0.06, 0.02, looks=250),
    Scenario(0.018, 0.006, looks=250),
    Scenario(0.10, 0.02),
    Scenario(0.30, 0.02),
    Scenario(0.02, None, looks=250),
    Scenario(0.06, None, looks=250),
    Scenario(0.0, 0.0, looks=100),
]


def share_at_most(count: int, paths: int, rate: float) -> bool:
    """Whether `count` of `paths` is what a true rate of at most `rate` can give (1 in 10000)."""
    return bool(count <= binom.ppf(0.9999, paths, rate))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_the_second_implementation_agrees_with_the_judge(scenario: Scenario) -> None:
    paths = simulate(scenario, 30, seed=11)
    found = verdicts(paths, TIER_2)
    rng = np.random.default_rng(5)
    seen = [(p, int(rng.integers(scenario.looks))) for p in range(30)]
    _, at = first_decision(found)
    seen += [(p, int(at[p])) for p in range(10)]
    for path, look in seen:
        assert judged(paths, path, look, TIER_2).verdict is NAMES[int(found[path, look])]


@pytest.mark.parametrize("preset", ["standard", "tiered"])
@pytest.mark.parametrize("rate", [0.002, 0.01, 0.02])
def test_a_healthy_canary_is_not_rolled_back_for_being_looked_at(preset: str, rate: float) -> None:
    """Twenty known negatives a look, every half hour for a day: at most 1 %."""
    demands = load_preset(preset).tier(2).rollout
    found = verdicts(simulate(Scenario(rate, rate), 2000, seed=1), demands)
    rolled_back = int((found == FAIL).any(axis=1).sum())
    assert share_at_most(rolled_back, 2000, 0.01)


@pytest.mark.slow
def test_the_error_stays_as_stated_at_the_limit_itself() -> None:
    """Exactly twice the active rate: neither verdict is right, neither may be frequent."""
    found = verdicts(simulate(Scenario(0.04, 0.02, looks=250), 1000, seed=2), TIER_2)
    promoted = int((found == PASS).any(axis=1).sum())
    rolled_back = int((found == FAIL).any(axis=1).sum())
    assert share_at_most(promoted, 1000, TIER_2.max_wrong_promotion_rate)
    assert share_at_most(rolled_back, 1000, TIER_2.max_wrong_rollback_rate)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [Scenario(0.06, 0.02, looks=250), Scenario(0.018, 0.006, looks=250), Scenario(0.10, 0.02)],
    ids=str,
)
def test_a_harmful_canary_is_not_promoted(scenario: Scenario) -> None:
    decision, _ = first_decision(verdicts(simulate(scenario, 1000, seed=3), TIER_2))
    promoted = int((decision == PASS).sum())
    assert share_at_most(promoted, 1000, TIER_2.max_wrong_promotion_rate / 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "events", "power"),
    [
        (Scenario(0.06, 0.02, looks=250), 5000, 0.90),
        (Scenario(0.10, 0.02), 960, 0.97),
        (Scenario(0.30, 0.02), 100, 0.95),
    ],
    ids=str,
)
def test_harm_is_found_in_time(scenario: Scenario, events: int, power: float) -> None:
    decision, at = first_decision(verdicts(simulate(scenario, 500, seed=4), TIER_2))
    soon = (decision == FAIL) & ((at + 1) * scenario.canary_per_look <= events)
    assert soon.mean() >= power


@pytest.mark.slow
def test_a_healthy_canary_does_get_through() -> None:
    decision, at = first_decision(
        verdicts(simulate(Scenario(0.01, 0.02, looks=250), 500, seed=6), TIER_2)
    )
    assert (decision == PASS).mean() >= 0.95
    assert (at + 1).min() >= 25, "nobody gets through before the minimum of events"
