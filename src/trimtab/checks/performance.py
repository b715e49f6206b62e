"""The check of performance: a holdout scored in a limited child, judged by intervals.

An interval that lies wholly on the good side passes, wholly on the bad side fails, and
one that holds the limit says how little is known: inconclusive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.checks.model import Result
from trimtab.kernel.errors import TooFewValues, TrimtabError, Unavailable
from trimtab.kernel.ids import Digest
from trimtab.kernel.verdict import Verdict, worst
from trimtab.platform.child import Outcome, run_limited
from trimtab.policies.admission import ChildLimits, PerformanceDemands
from trimtab.stats.confusion import Confusion, brier, roc_auc
from trimtab.stats.intervals import clopper_pearson
from trimtab.stats.special import normal_quantile

NAME = "performance"
_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Scored:
    """Scores and labels of a holdout; both of shape (n,)."""

    scores: NDArray[np.float64]
    labels: NDArray[np.float64]
    seconds: float
    isolation: dict[str, str]


class ChildFailed(TrimtabError):
    """The child that was to run the model did not come back with an answer."""

    code = "child_failed"


def score(
    model: Path,
    digest: Digest,
    data: Path,
    *,
    features: Sequence[str],
    label: str,
    limits: ChildLimits,
    folder: Path,
) -> Scored:
    """Score a holdout with a model, in a limited child without network.

    `folder` is an empty one, in which the child works; the caller removes it.

    Raises:
        ChildFailed: it crashed, took too long or too much memory, or refused the model.
        Unavailable: it could not be carried out, and nothing follows for the model.
    """
    with _our_own_failures():
        request = {
            "model": str(model),
            "artifact": digest,
            "data": str(data),
            "features": list(features),
            "label": label,
            "scores": str(folder / "scores.npy"),
            "labels": str(folder / "labels.npy"),
        }
        (folder / "request.json").write_text(json.dumps(request))
        child = run_limited(
            "trimtab.artifacts.execution",
            [str(folder / "request.json")],
            max_seconds=limits.max_seconds,
            max_cpu_seconds=math.ceil(limits.max_seconds),
            max_memory_mib=int(limits.max_memory_mib),
            max_output_bytes=_ANSWER_BYTES,
            files_readable=[model, data],
            folder=folder,
        )
        if child.unanswered:
            raise Unavailable(f"the model was not run: the child ended with {child.outcome.value}")
        if child.outcome is not Outcome.OK:
            raise _failure(child.outcome, child.stdout)
        try:
            seconds = float(json.loads(child.stdout)["score_seconds"])
            scores = np.load(folder / "scores.npy", allow_pickle=False)
            labels = np.load(folder / "labels.npy", allow_pickle=False)
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise ChildFailed("the child said that it was done, and left no scores") from error
        return Scored(scores, labels, seconds, dict(child.isolation))


@contextmanager
def _our_own_failures() -> Iterator[None]:
    """What the machine refuses says nothing about the model."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the model could not be run here: {error.strerror}",
            remedy="free room on the disk for temporary files, then try again",
        ) from error


def judge(
    scored: Scored,
    cutoff: float,
    demands: PerformanceDemands,
    *,
    production: tuple[Scored, float] | None,
) -> Result:
    """Judge a holdout against the demands, and against production on the same rows.

    Args:
        scored: The new version on its holdout.
        cutoff: Scores from here on are decided as positive.
        demands: The policy's.
        production: The stable version on the same rows, with its cut-off; None if there
            is none.
    """
    usable = np.isin(scored.labels, (0.0, 1.0))
    rows = int(usable.sum())
    silent = int((~np.isfinite(scored.scores)).sum())
    if silent:  # to leave them out would let a model choose the rows it is judged on
        reason = f"{silent} of {scored.scores.size} rows got no finite score"
        return Result(NAME, Verdict.FAIL, reason, {"rows": rows, "without_score": silent})
    if rows < demands.min_holdout_rows:
        missing = int(demands.min_holdout_rows) - rows
        return Result(
            NAME, Verdict.INCONCLUSIVE, f"{missing} more labelled rows are needed", {"rows": rows}
        )
    labels = scored.labels[usable] == 1.0
    decided = scored.scores[usable] >= cutoff
    confusion = Confusion.from_arrays(decided, labels)
    findings = _demanded(confusion, demands)
    if production is not None:
        findings.append(_regression(decided, labels, usable, production, demands))
    verdict = worst(finding["verdict"] for finding in findings)
    lines = [f["reason"] for f in findings if f["verdict"] is verdict]
    numbers: dict[str, Any] = {
        "rows": rows,
        "cutoff": cutoff,
        "confusion": vars(confusion),
        "findings": findings,
        "metrics": metrics(confusion, scored.scores[usable], labels),
        "seconds": scored.seconds,
        "isolation": scored.isolation,
    }
    if production is not None:
        numbers["production_metrics"] = _metrics_of(production, labels, usable)
    return Result(NAME, verdict, "; ".join(lines), numbers)


def metrics(
    confusion: Confusion, scores: NDArray[np.float64], labels: NDArray[np.bool_]
) -> dict[str, float | None]:
    """The usual figures of a holdout; None where one cannot be given."""
    found: dict[str, float | None] = {}
    for name in ("precision", "recall", "f1", "accuracy", "false_positive_rate"):
        try:
            found[name] = getattr(confusion, name)()
        except TooFewValues:
            found[name] = None
    in_range = bool(((scores >= 0) & (scores <= 1)).all())
    found["brier"] = brier(scores, labels.astype(float)) if in_range else None
    both = bool(labels.any() and not labels.all())
    found["roc_auc"] = roc_auc(scores, labels.astype(float)) if both else None
    return found


def _metrics_of(
    production: tuple[Scored, float], labels: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> dict[str, float | None]:
    """The figures of production on the same rows."""
    theirs, cutoff = production
    scores = theirs.scores[usable]
    return metrics(Confusion.from_arrays(scores >= cutoff, labels), scores, labels)


def _demanded(confusion: Confusion, demands: PerformanceDemands) -> list[dict[str, Any]]:
    flagged, positive = confusion.tp + confusion.fp, confusion.tp + confusion.fn
    negative = confusion.fp + confusion.tn
    at = demands.interval_confidence
    return [
        _bounded("precision", confusion.tp, flagged, demands.min_precision, at, floor=True),
        _bounded("recall", confusion.tp, positive, demands.min_recall, at, floor=True),
        _bounded(
            "false_positive_rate",
            confusion.fp,
            negative,
            demands.max_false_positive_rate,
            at,
            floor=False,
        ),
    ]


def _bounded(
    name: str, part: int, whole: int, limit: float, confidence: float, *, floor: bool
) -> dict[str, Any]:
    if whole == 0:
        reason = f"{name} cannot be measured: there are no such rows"
        return {"name": name, "verdict": Verdict.INCONCLUSIVE, "reason": reason, "limit": limit}
    interval = clopper_pearson(part, whole, confidence=confidence)
    good = interval.low >= limit if floor else interval.high <= limit
    bad = interval.high < limit if floor else interval.low > limit
    verdict = Verdict.PASS if good else Verdict.FAIL if bad else Verdict.INCONCLUSIVE
    asked = f"{'at least' if floor else 'at most'} {limit:.2%}"
    reason = f"{name} {part / whole:.2%} ({interval.low:.2%} to {interval.high:.2%}), asked {asked}"
    return {
        "name": name,
        "verdict": verdict,
        "reason": reason,
        "value": part / whole,
        "interval": [interval.low, interval.high],
        "limit": limit,
    }


def _regression(
    decided: NDArray[np.bool_],
    labels: NDArray[np.bool_],
    usable: NDArray[np.bool_],
    production: tuple[Scored, float],
    demands: PerformanceDemands,
) -> dict[str, Any]:
    """Paired change of accuracy on the same rows, in percentage points.

    Source: the normal interval of a difference of paired proportions.
    """
    theirs, their_cutoff = production
    if theirs.scores.shape != usable.shape:
        raise Unavailable("production was scored on other rows")
    right = decided == labels
    was_right = (theirs.scores[usable] >= their_cutoff) == labels
    change = right.astype(float) - was_right.astype(float)
    points = 100 * float(change.mean())
    error = 100 * float(change.std(ddof=1)) / np.sqrt(change.size)
    reach = normal_quantile(0.5 + demands.interval_confidence / 2) * error
    low, high = points - reach, points + reach
    limit = -demands.max_regression_percent_points
    verdict = (
        Verdict.PASS if low >= limit else Verdict.FAIL if high < limit else Verdict.INCONCLUSIVE
    )
    return {
        "name": "accuracy_against_production",
        "verdict": verdict,
        "reason": (
            f"accuracy {points:+.2f} points against production ({low:+.2f} to {high:+.2f}), "
            f"asked no worse than {limit:+.2f}"
        ),
        "value": points,
        "interval": [low, high],
        "limit": limit,
    }


def _failure(outcome: Outcome, stdout: bytes) -> TrimtabError:
    """What a child that answered nothing, or an error, ended in: whose failure it is."""
    try:
        told = json.loads(stdout)["error"]
        code, message = told["code"], str(told["message"])
    except (ValueError, KeyError, TypeError):
        return ChildFailed(f"the model could not be run: the child ended with {outcome.value}")
    if code == Unavailable.code:
        return Unavailable(f"a file of ours could not be used: {message}")
    return ChildFailed(message)
