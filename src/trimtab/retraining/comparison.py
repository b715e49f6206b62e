"""Challenger against champion, row by row, on the same later data.

A challenger's own holdout is a part of what it was chosen by. Here both answer the same
rows, which lie after everything that either has learnt from, and only the rows on which
they differ speak: McNemar's test, exact, and a paired interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.kernel.events import plain
from trimtab.policies.operation import OnTie
from trimtab.policies.operation import Retraining as Demands
from trimtab.retraining.model import Decision
from trimtab.stats.confusion import Confusion
from trimtab.stats.rates import binomial_tail
from trimtab.stats.special import normal_quantile

_EVEN = 0.5  # under no difference, a row on which they differ favours either alike


@dataclass(frozen=True)
class Scored:
    """Scores of shape (n,) of one version, and the cut-off from which they are positive."""

    digest: str
    scores: NDArray[np.float64]
    cutoff: float


@dataclass(frozen=True)
class Paired:
    """A change of a rate on the same rows, in percentage points; more is better.

    `better` and `worse` count the rows that only the challenger, or only the champion, got
    right; `p_value` is two-sided.
    """

    name: str
    rows: int
    champion: float
    challenger: float
    gain_points: float
    low_points: float
    high_points: float
    better: int
    worse: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """The decision, its reason, and all numbers it rests on."""

    decision: Decision
    reason: str
    rows: int
    positives: int
    champion_digest: str
    challenger_digest: str
    changes: tuple[Paired, ...]
    figures: dict[str, dict[str, float | None]]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        shown: dict[str, Any] = plain(asdict(self))
        return shown


def compare(
    challenger: Scored,
    champion: Scored,
    label: NDArray[np.float64],
    demands: Demands,
    *,
    min_rows: int,
    leading: str = "accuracy",
) -> Comparison:
    """Whether the challenger is to be submitted.

    It has to gain in the leading figure, by enough and not by chance, and may lose in
    none: a fall of accuracy, or of the share of negatives that are left alone, that is
    shown, keeps the champion. Neither shown: a tie, on which the policy decides.

    Args:
        challenger: The new version on the later rows.
        champion: The stable version on the same rows.
        label: Shape (n,): 0, 1, or NaN where the outcome is not known.
        demands: The policy's slice.
        min_rows: Fewest labelled rows to compare on.
        leading: `accuracy`, or `specificity` where false positives were the trigger.

    Raises:
        InvalidInput: the versions were not scored on the same rows, or an unknown figure.
    """
    if not challenger.scores.shape == champion.scores.shape == label.shape:
        raise InvalidInput("both versions have to answer the same rows", field="scores")
    known = np.isin(label, (0.0, 1.0))
    true = label[known] == 1.0
    numbers: dict[str, Any] = {
        "rows": int(known.sum()),
        "positives": int(true.sum()),
        "champion_digest": champion.digest,
        "challenger_digest": challenger.digest,
    }
    missing = _missing(challenger, champion, known, true, min_rows)
    if missing is not None:
        return Comparison(Decision.INCONCLUSIVE, missing, **numbers, changes=(), figures={})
    new = challenger.scores[known] >= challenger.cutoff
    old = champion.scores[known] >= champion.cutoff
    everywhere = np.ones(true.size, dtype=np.bool_)
    level = demands.max_p_value_share
    changes = {
        name: _paired(name, new[rows] == true[rows], old[rows] == true[rows], level)
        for name, rows in (("accuracy", everywhere), ("specificity", ~true), ("recall", true))
    }
    if leading not in ("accuracy", "specificity"):
        raise InvalidInput(f"{ascii(leading)[:40]} cannot lead a comparison", field="leading")
    decision, reason = _decided(changes, demands, leading)
    figures = {"champion": _figures(old, true), "challenger": _figures(new, true)}
    return Comparison(decision, reason, **numbers, changes=tuple(changes.values()), figures=figures)


def _missing(
    challenger: Scored,
    champion: Scored,
    known: NDArray[np.bool_],
    true: NDArray[np.bool_],
    min_rows: int,
) -> str | None:
    """What stands in the way of a comparison, or None."""
    if true.size < min_rows:
        return f"{min_rows - true.size} more labelled rows are needed after the training data"
    if true.all() or not true.any():
        return "the later rows hold one class only"
    for name, scored in (("challenger", challenger), ("champion", champion)):
        unusable = int((~np.isfinite(scored.scores[known])).sum())
        if unusable or not np.isfinite(scored.cutoff):
            return f"the {name} gave no number for {unusable} of {true.size} rows"
    return None


def _decided(changes: Mapping[str, Paired], demands: Demands, leading: str) -> tuple[Decision, str]:
    for name in ("accuracy", "specificity"):
        change = changes[name]
        if change.worse > change.better and change.p_value <= demands.max_p_value_share:
            return Decision.KEEP, f"{_told(change)}: worse, and not by chance"
    lead = changes[leading]
    gained = lead.better > lead.worse and lead.p_value <= demands.max_p_value_share
    if gained and lead.gain_points >= demands.min_gain_percent_points:
        return Decision.PROMOTE, f"{_told(lead)}: better, and not by chance"
    if gained:
        asked = demands.min_gain_percent_points
        return Decision.KEEP, f"{_told(lead)}: better, but {asked:g} points are asked"
    tie = f"{_told(lead)}: neither better nor worse can be shown"
    if demands.on_tie is OnTie.PROMOTE_CHALLENGER:
        return Decision.PROMOTE, f"{tie}; the policy then takes the challenger"
    return Decision.KEEP, f"{tie}; the policy then keeps the champion"


def _told(change: Paired) -> str:
    return (
        f"{change.name} {change.gain_points:+.2f} points ({change.low_points:+.2f} to "
        f"{change.high_points:+.2f}, p = {change.p_value:.3g}) on {change.rows} rows"
    )


def _paired(
    name: str, new_right: NDArray[np.bool_], old_right: NDArray[np.bool_], level: float
) -> Paired:
    """The change of a share of right answers on the same rows.

    Source: McNemar (1947), in its exact form; the normal interval of a difference of
    paired proportions.
    """
    if new_right.size == 0:
        raise TooFewValues(f"no rows for {name}", field="label")
    better = int((new_right & ~old_right).sum())
    worse = int((~new_right & old_right).sum())
    rows = int(new_right.size)
    gain = (better - worse) / rows
    spread = np.sqrt(max(0.0, (better + worse) / rows - gain**2) / rows)
    confidence = 1 - level if level > 0 else 1 - 1e-9
    reach = float(normal_quantile(0.5 + confidence / 2) * spread)
    return Paired(
        name=name,
        rows=rows,
        champion=float(old_right.mean()),
        challenger=float(new_right.mean()),
        gain_points=100 * gain,
        low_points=100 * (gain - reach),
        high_points=100 * (gain + reach),
        better=better,
        worse=worse,
        p_value=exact_mcnemar(better, worse),
    )


def exact_mcnemar(better: int, worse: int) -> float:
    """Two-sided p-value of `better` against `worse` rows; 1 where they never differ.

    Raises:
        InvalidInput: a count is negative or not whole.

    Source: McNemar (1947); the binomial test of the discordant pairs.
    """
    if better + worse == 0:
        return 1.0
    return min(1.0, 2 * binomial_tail(max(better, worse), better + worse, _EVEN))


def _figures(decided: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, float | None]:
    confusion = Confusion.from_arrays(decided, true)
    found: dict[str, float | None] = {}
    for name in ("accuracy", "precision", "recall", "f1", "false_positive_rate"):
        try:
            found[name] = getattr(confusion, name)()
        except TooFewValues:
            found[name] = None
    return found
