"""What became of the answers: harm, its split over score and outcome, and version by version."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.diagnosis.evidence import Column, Stretch
from trimtab.kernel.errors import TooFewValues
from trimtab.policies.operation import Monitoring
from trimtab.stats.confusion import Confusion

_BINS = 10


@dataclass(frozen=True)
class Answers:
    """Rows whose label, score and cut-off are known; columns of shape (k,). `distinct` is how
    many different rows are behind them."""

    score: Column
    yes: Column
    label: Column
    who: Column
    distinct: int

    def __len__(self) -> int:
        return int(self.label.size)

    @property
    def confusion(self) -> Confusion:
        """Answers against outcomes."""
        return Confusion.from_arrays(self.yes, self.label)


@dataclass(frozen=True)
class Harm:
    """How much worse the answers became; `worst` in units of what the policy tolerates.

    `decays` are losses in percentage points; a false-positive rate above its limit counts
    by its rise over that limit. Only what can be measured on both sides is there.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    worst: float
    sentences: tuple[str, ...]

    @property
    def harmed(self) -> bool:
        """Whether more was lost than the policy tolerates."""
        return self.worst > 1.0


@dataclass(frozen=True)
class ErrorSplit:
    """The rise of the error rate, as a difference of shares.

    `mix` is the part of rows with other scores than before, `conditional` that of rows
    with the same score and another outcome. `noise` is the standard error of the rise; rows that
    are copies of one another count once.
    """

    rise: float
    mix: float
    conditional: float
    noise: float


def answers(stretch: Stretch, cutoffs: Mapping[str, float]) -> Answers:
    """The rows that can be judged: label known, score finite, cut-off known."""
    limits = np.asarray([cutoffs.get(str(v), np.nan) for v in stretch.version], dtype=np.float64)
    score = np.asarray(stretch.score, dtype=np.float64)
    use = (stretch.label >= 0) & np.isfinite(score) & np.isfinite(limits)
    who = np.asarray(
        [f"{v} ({d})" for v, d in zip(stretch.version[use], stretch.deployment[use], strict=True)],
        dtype=np.str_,
    )
    used = stretch.where(use)
    label = used.label == 1
    return Answers(score[use], score[use] >= limits[use], label, who, used.distinct_rows())


def harm(before: Confusion, after: Confusion, watch: Monitoring) -> Harm:
    """The losses from `before` to `after` against what `watch` tolerates."""
    limits = {
        "accuracy": watch.triggers.accuracy_decay_percent_points / 100.0,
        "precision": watch.triggers.precision_decay_percent_points / 100.0,
        "recall": watch.triggers.recall_decay_percent_points / 100.0,
    }
    old, new = rates(before), rates(after)
    worst, sentences = 0.0, []
    for name, limit in limits.items():
        if name in old and name in new:
            worst = max(worst, (old[name] - new[name]) / limit)
            sentences.append(f"{name} {old[name]:.1%} before, {new[name]:.1%} now")
    name = "false_positive_rate"
    if name in old and name in new:
        sentences.append(f"false-positive rate {old[name]:.1%} before, {new[name]:.1%} now")
        # Only a rate above its limit is harm; then by how much it rose over what is allowed.
        if new[name] > max(watch.max_false_positive_rate, old[name]):
            worst = max(worst, new[name] / max(watch.max_false_positive_rate, old[name]))
    return Harm(old, new, worst, tuple(sentences))


def rates(confusion: Confusion) -> dict[str, float]:
    """Every rate that has a denominator, by name."""
    found = {}
    for name in ("accuracy", "precision", "recall", "false_positive_rate"):
        try:
            found[name] = float(getattr(confusion, name)())
        except TooFewValues:
            continue
    return found


def error_split(before: Answers, after: Answers) -> ErrorSplit:
    """Where the rise of the error rate comes from, over bins of the score.

    Errors per bin of the score, with the bins' shares then and now: the sum of
    (share now - share then) x error then is the mix, the sum of share now x (error now -
    error then) the conditional part. A bin that was empty before adds to the mix.

    Source: the standardisation of rates, Kitagawa (1955).
    """
    edges = np.unique(np.quantile(before.score, np.linspace(0, 1, _BINS + 1)[1:-1]))
    old_share, old_error = _binned(before, edges)
    new_share, new_error = _binned(after, edges)
    met = old_share > 0.0
    rise = float(new_share @ new_error - old_share @ old_error)
    conditional = float((new_share * (new_error - old_error))[met].sum())
    variance = sum(
        error * (1.0 - error) / max(found.distinct, 1)
        for found, error in (
            (before, float(old_share @ old_error)),
            (after, float(new_share @ new_error)),
        )
    )
    return ErrorSplit(rise, rise - conditional, conditional, math.sqrt(variance))


def _binned(found: Answers, edges: Column) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    place = np.searchsorted(edges, found.score)
    rows = np.bincount(place, minlength=edges.size + 1)
    wrong = np.bincount(place, found.yes != found.label, minlength=edges.size + 1)
    return rows / max(rows.sum(), 1), np.asarray(wrong / np.maximum(rows, 1), dtype=np.float64)
