"""Detectors on the course of a feature: how often they cry at nothing, and what they find."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from trimtab.monitoring.comparison import Comparison, Counted, compare
from trimtab.monitoring.drift import Vote
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import Monitoring
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.parts import Windows, profile_parts
from trimtab.profiles.sources import frame_source

WINDOWS, ROWS = 40, 250


@pytest.fixture(scope="module")
def wanted() -> Monitoring:
    return load_preset("standard").tier(1).monitoring


def course(
    seed: int, wanted: Monitoring, *, jump: float = 0.0, windows: int = WINDOWS
) -> Comparison:
    """A table whose one column jumps after 60 % of its windows, window by window."""
    rng = np.random.default_rng(seed)
    before = pa.table({"x": rng.normal(size=5_000), "c": rng.choice(list("abc"), 5_000)})
    rows = windows * ROWS
    late = np.arange(rows) >= 0.6 * rows
    now = pa.table({"x": rng.normal(size=rows) + jump * late, "c": rng.choice(list("abc"), rows)})
    kept = profile_of(before)
    found, _ = profile_parts(
        frame_source(now), ["x", "c"], like=kept.columns, windows=Windows.parse(str(ROWS), None)
    )
    parts = [Counted(p.segment, p.begin, p.end, p.profile, None) for p in found]
    return compare(kept, profile_of(now, like=kept.columns), wanted, parts=parts)


def votes(found: Comparison, feature: str) -> dict[str, Vote]:
    (look,) = (one for one in found.looks if one.feature == feature)
    return {vote.detector: vote for vote in look.votes}


def test_a_jump_is_heard_and_dated(wanted: Monitoring) -> None:
    cast = votes(course(1, wanted, jump=0.4), "x")
    for name in ("page_hinkley", "adwin"):
        assert cast[name].alarmed
        assert cast[name].rows == WINDOWS
    assert cast["page_hinkley"].value is not None
    assert cast["page_hinkley"].value > wanted.streams.page_hinkley_threshold_scaled
    place = int(cast["page_hinkley"].reason.split("window ")[1].split(",")[0])
    assert 25 <= place <= 30  # the first window that jumped is the 25th
    assert not votes(course(1, wanted, jump=0.4), "c")["page_hinkley"].alarmed


def test_calm_courses_are_calm(wanted: Monitoring) -> None:
    """Forty windows: Page-Hinkley at 8 deviations cries in well under 5 % of courses."""
    alarms = {"page_hinkley": 0, "adwin": 0}
    for seed in range(40):
        found = course(100 + seed, wanted)
        for feature in ("x", "c"):
            for name in alarms:
                alarms[name] += votes(found, feature)[name].alarmed
    assert max(alarms.values()) <= 8  # of 80; twice the level has a chance of 1 in 40


def test_too_short_a_course_says_so_and_does_not_vote(wanted: Monitoring) -> None:
    cast = votes(course(1, wanted, jump=2.0, windows=6), "x")
    assert cast["page_hinkley"].value is None
    assert not cast["page_hinkley"].alarmed
    assert cast["page_hinkley"].reason == "3 more windows needed"


def test_a_course_is_a_witness_of_its_own(wanted: Monitoring) -> None:
    """One detector of a window and one of the course together confirm; either alone does not."""
    effects = wanted.effects_dataset.model_copy(
        update={"psi_nats": 1.0, "wasserstein_scaled": 10.0}
    )
    deaf = wanted.model_copy(update={"effects_dataset": effects})
    (hit,) = (one for one in course(1, deaf, jump=0.5).looks if one.feature == "x")
    assert {vote.detector for vote in hit.votes if vote.alarmed} >= {"ks", "page_hinkley"}
    assert hit.confirmed
    short = course(1, deaf, jump=0.5, windows=6).looks
    (alone,) = (one for one in short if one.feature == "x")
    assert not alone.confirmed
