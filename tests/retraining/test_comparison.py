"""Challenger against champion on the same rows: who may be promoted, and who never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import OnTie
from trimtab.retraining.comparison import Comparison, Scored, compare, exact_mcnemar
from trimtab.retraining.model import Decision

DEMANDS = load_preset("standard").tier(3).retraining


def demands(**changes: Any) -> Any:
    return DEMANDS.model_copy(update=changes)


def scored(right: np.ndarray[Any, Any], label: np.ndarray[Any, Any], digest: str) -> Scored:
    """Scores that are right exactly where `right` says so."""
    return Scored(digest, np.where(right == (label == 1), 0.9, 0.1), 0.5)


def judged(
    new: np.ndarray[Any, Any], old: np.ndarray[Any, Any], label: np.ndarray[Any, Any], **named: Any
) -> Comparison:
    chosen = named.pop("demands", DEMANDS)
    return compare(
        scored(new, label, "sha256:new"),
        scored(old, label, "sha256:old"),
        label.astype(np.float64),
        chosen,
        min_rows=named.pop("min_rows", 100),
        **named,
    )


LABEL = np.arange(1000) % 2


def right(*wrong: int) -> np.ndarray[Any, Any]:
    """Right everywhere but in the rows from wrong[0] to wrong[1]."""
    answer = np.ones(1000, dtype=bool)
    if wrong:
        answer[wrong[0] : wrong[1]] = False
    return answer


def test_a_shown_gain_is_promoted() -> None:
    found = judged(right(0, 50), right(0, 150), LABEL)
    assert found.decision is Decision.PROMOTE
    lead = found.changes[0]
    assert (lead.better, lead.worse, lead.gain_points) == (100, 0, 10.0)
    assert lead.low_points <= lead.gain_points <= lead.high_points
    assert found.plain()["decision"] == "promote"


def test_a_gain_smaller_than_asked_keeps() -> None:
    assert (
        judged(
            right(0, 50), right(0, 150), LABEL, demands=demands(min_gain_percent_points=10.0)
        ).decision
        is Decision.PROMOTE
    )
    assert (
        judged(
            right(0, 50), right(0, 150), LABEL, demands=demands(min_gain_percent_points=10.1)
        ).decision
        is Decision.KEEP
    )


def test_a_shown_loss_keeps_whatever_the_policy_says_of_ties() -> None:
    generous = demands(on_tie=OnTie.PROMOTE_CHALLENGER)
    assert judged(right(0, 150), right(0, 50), LABEL, demands=generous).decision is Decision.KEEP


def test_more_false_alarms_are_not_bought_with_accuracy() -> None:
    old, new = right(), right()
    old[1:600:2] = False  # the champion misses 300 positives
    new[0:60:2] = False  # the challenger raises 30 more false alarms
    found = judged(new, old, LABEL)
    assert found.changes[0].gain_points > 20
    assert found.decision is Decision.KEEP
    assert "specificity" in found.reason


@pytest.mark.parametrize(
    ("on_tie", "decision"),
    [(OnTie.KEEP_CHAMPION, Decision.KEEP), (OnTie.PROMOTE_CHALLENGER, Decision.PROMOTE)],
)
def test_on_a_tie_the_policy_decides(on_tie: OnTie, decision: Decision) -> None:
    found = judged(right(0, 50), right(2, 52), LABEL, demands=demands(on_tie=on_tie))
    assert found.decision is decision
    assert "neither" in found.reason


def test_fewer_false_alarms_lead_where_they_were_the_trigger() -> None:
    old, new = right(), right()
    old[0:200:2] = False  # 100 false alarms
    new[1:181:2] = False  # 90 missed positives instead
    assert judged(new, old, LABEL).decision is Decision.KEEP
    assert judged(new, old, LABEL, leading="specificity").decision is Decision.PROMOTE


def test_too_little_is_inconclusive_also_where_ties_promote() -> None:
    generous = demands(on_tie=OnTie.PROMOTE_CHALLENGER)
    few = judged(right(0, 1), right(), LABEL, min_rows=1001, demands=generous)
    assert few.decision is Decision.INCONCLUSIVE
    one_class = judged(right(), right(0, 500), np.zeros(1000, dtype=int), demands=generous)
    assert one_class.decision is Decision.INCONCLUSIVE


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_a_version_that_gave_no_number_is_not_compared(value: float, which: int) -> None:
    pair = [scored(right(), LABEL, "sha256:new"), scored(right(0, 300), LABEL, "sha256:old")]
    broken = pair[which].scores.copy()
    broken[3] = value
    pair[which] = replace(pair[which], scores=broken)
    found = compare(pair[0], pair[1], LABEL.astype(np.float64), DEMANDS, min_rows=100)
    assert found.decision is Decision.INCONCLUSIVE


def test_rows_without_a_label_do_not_count() -> None:
    label = LABEL.astype(np.float64)
    label[500:] = np.nan
    old, new = scored(right(0, 100), LABEL, "o"), scored(right(500, 1000), LABEL, "n")
    found = compare(new, old, label, DEMANDS, min_rows=100)
    assert found.rows == 500
    assert found.decision is Decision.PROMOTE


def test_other_rows_are_refused() -> None:
    with pytest.raises(InvalidInput, match="same rows"):
        compare(
            Scored("n", np.zeros(3), 0.5),
            Scored("o", np.zeros(4), 0.5),
            np.zeros(3),
            DEMANDS,
            min_rows=1,
        )


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_agrees_with_the_binomial_test(better: int, worse: int) -> None:
    expected = 1.0 if better + worse == 0 else oracle.binomtest(better, better + worse).pvalue
    assert exact_mcnemar(better, worse) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.3), st.floats(0.0, 0.3))
def test_who_is_promoted_would_not_be_kept_if_the_roles_changed(
    seed: int, new_wrong: float, old_wrong: float
) -> None:
    generator = np.random.default_rng(seed)
    new, old = generator.random(1000) >= new_wrong, generator.random(1000) >= old_wrong
    forth, back = judged(new, old, LABEL), judged(old, new, LABEL)
    assert not (forth.decision is Decision.PROMOTE and back.decision is Decision.PROMOTE)
    assert [c.gain_points for c in forth.changes] == pytest.approx(
        [-c.gain_points for c in back.changes]
    )


def test_equal_versions_are_rarely_called_better() -> None:
    """Two versions that err independently and alike, 400 times: the level is kept."""
    generator = np.random.default_rng(2015)
    promoted = 0
    for _ in range(400):
        new, old = generator.random(1000) >= 0.1, generator.random(1000) >= 0.1
        promoted += judged(new, old, LABEL).decision is Decision.PROMOTE
    assert promoted / 400 <= DEMANDS.max_p_value_share
