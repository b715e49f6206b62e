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
from trimtab.stats.intervals import difference_of_rates

_BINS = 10
_FALSE_POSITIVES = "false_positive_rate"


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

    def tally(self, mask: Column | None = None) -> Tally:
        """Answers against outcomes, of the rows for which `mask` holds."""
        use = np.ones(len(self), dtype=bool) if mask is None else mask
        counted = Confusion.from_arrays(self.yes[use], self.label[use])
        return Tally(counted, self.distinct / max(len(self), 1))


@dataclass(frozen=True)
class Tally:
    """Answers against outcomes; `distinct` is the share of the rows that are no copies."""

    confusion: Confusion
    distinct: float


@dataclass(frozen=True)
class Harm:
    """How much worse the answers became; `worst` in units of what the policy tolerates.

    A loss counts if it is more than chance makes of as many different rows; a false-positive
    rate counts by its rise over its limit. Only what can be measured on both sides is there.
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
    known = {v: cutoffs.get(str(v), np.nan) for v in set(stretch.version)}
    limits = np.asarray([known[v] for v in stretch.version], dtype=np.float64)
    score = np.asarray(stretch.score, dtype=np.float64)
    use = (stretch.label >= 0) & np.isfinite(score) & np.isfinite(limits)
    served = list(zip(stretch.version[use], stretch.deployment[use], strict=True))
    names = {pair: f"{pair[0]} ({pair[1]})" for pair in set(served)}
    who = np.asarray([names[pair] for pair in served], dtype=np.str_)
    used = stretch.where(use)
    label = used.label == 1
    return Answers(score[use], score[use] >= limits[use], label, who, used.distinct_rows())


def harm(before: Tally, after: Tally, watch: Monitoring, *, confidence: float) -> Harm:
    """The losses from `before` to `after` against what `watch` tolerates.

    Four rates are looked at, so each has to be as sure as four looks ask for.

    Args:
        before: The calm answers.
        after: The answers in question.
        watch: What is tolerated.
        confidence: How sure one has to be that a rate became worse at all, from 0.5 to 1.
    """
    limits = {
        "accuracy": watch.triggers.accuracy_decay_percent_points / 100.0,
        "precision": watch.triggers.precision_decay_percent_points / 100.0,
        "recall": watch.triggers.recall_decay_percent_points / 100.0,
    }
    old, new = rates(before.confusion), rates(after.confusion)
    measured = [name for name in (*limits, _FALSE_POSITIVES) if name in old and name in new]
    each = 1.0 - (1.0 - confidence) / (len(limits) + 1)
    worst = 0.0
    for name in measured:
        if not _surely_worse(before, after, name, each):
            continue
        if name in limits:
            worst = max(worst, (old[name] - new[name]) / limits[name])
        # Only a rate above its limit is harm; then by how much it rose over what is allowed.
        elif new[name] > watch.max_false_positive_rate:
            worst = max(worst, new[name] / max(watch.max_false_positive_rate, old[name]))
    told = tuple(f"{_named(name)} {old[name]:.1%} before, {new[name]:.1%} now" for name in measured)
    return Harm(old, new, worst, told)


def _named(rate: str) -> str:
    return "false-positive rate" if rate == _FALSE_POSITIVES else rate


def _surely_worse(before: Tally, after: Tally, rate: str, confidence: float) -> bool:
    """Whether more of what was asked went wrong than chance makes of as many different rows."""
    bad, asked = _wrong(after, rate)
    bad_before, asked_before = _wrong(before, rate)
    rise = difference_of_rates(bad, asked, bad_before, asked_before, confidence=confidence)
    return rise.low > 0.0


def _wrong(tally: Tally, rate: str) -> tuple[int, int]:
    """How many rows count against a rate, of how many; copies of a row count once."""
    found = tally.confusion
    bad, asked = {
        "accuracy": (found.fp + found.fn, found.total),
        "precision": (found.fp, found.tp + found.fp),
        "recall": (found.fn, found.tp + found.fn),
        _FALSE_POSITIVES: (found.fp, found.fp + found.tn),
    }[rate]
    different = max(1, round(asked * tally.distinct))
    return round(different * bad / asked), different


def rates(confusion: Confusion) -> dict[str, float]:
    """Every rate that has a denominator, by name."""
    found = {}
    for name in ("accuracy", "precision", "recall", _FALSE_POSITIVES):
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
