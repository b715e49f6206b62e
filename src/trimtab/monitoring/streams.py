"""Detectors on the course of a feature: window after window, has its level changed?

The detectors of a window ask how far it is from the reference. These ask something else of the
same windows, so that they are witnesses of another kind: whether the distance itself jumped
somewhere. A feature that has always been a little off is calm here; one that leaves its own
level is not, though it may still be near the reference.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from trimtab.monitoring.drift import FeatureDrift, Vote
from trimtab.policies.operation import Detector, Monitoring
from trimtab.stats.adwin import ADWIN
from trimtab.stats.self_starting import SelfStartingPageHinkley

_LEAST_ON_A_SIDE = 5  # windows beside a cut; River's default


def step(look: FeatureDrift) -> float | None:
    """What one window adds to the course of a feature: its distance from the reference, with a
    sign where it has a direction, in units that sampling noise has: times the root of its rows.
    None where nothing was measured."""
    m = look.measures
    distance = next(
        (d for d in (m.wasserstein_scaled, m.category_mass, m.ks_d) if d is not None), None
    )
    if distance is None:
        return None
    sign = -1.0 if m.direction == "down" else 1.0
    return sign * distance * math.sqrt(look.n_current)


def with_stream_votes(
    look: FeatureDrift, course: Sequence[FeatureDrift], demands: Monitoring
) -> FeatureDrift:
    """A look at a feature with the votes of the detectors on streams, and the quorum anew.

    Args:
        look: The feature as a whole, judged.
        course: The looks at it in its windows, in order of time.
        demands: The monitoring slice of the policy.
    """
    steps = [value for value in map(step, course) if value is not None]
    heard = {"adwin": _adwin, "page_hinkley": _page_hinkley}
    votes = tuple(
        heard[vote.detector](steps, detector, demands) if vote.detector in heard else vote
        for vote, detector in zip(look.votes, demands.quorum.detectors, strict=True)
    )
    if look.insufficient is not None:
        return dataclasses.replace(look, votes=votes)
    cast = demands.quorum.votes([vote.detector for vote in votes if vote.alarmed])
    confirmed = cast >= demands.quorum.min_votes
    return dataclasses.replace(look, votes=votes, votes_cast=cast, confirmed=confirmed)


def _page_hinkley(steps: Sequence[float], detector: Detector, demands: Monitoring) -> Vote:
    """Votes with the larger of its two sums, in standard deviations of the course itself."""
    wanted = demands.streams
    watch = SelfStartingPageHinkley(
        allowance=wanted.page_hinkley_allowance_scaled,
        threshold=wanted.page_hinkley_threshold_scaled,
        warm_up=max(3, wanted.warm_up_windows),
    )
    if len(steps) <= watch.warm_up:
        return _silent(detector, len(steps), watch.warm_up + 1 - len(steps))
    largest, at = 0.0, None
    for number, value in enumerate(steps):
        watch.update(value)
        largest = max(largest, watch.up, watch.down)
        if watch.alarmed and at is None:
            at = number
    return _vote(detector, largest, watch.threshold, len(steps), at)


def _adwin(steps: Sequence[float], detector: Detector, demands: Monitoring) -> Vote:
    """Votes with the number of cuts it made; one is an alarm."""
    wanted = demands.streams
    least = max(wanted.warm_up_windows, 2 * _LEAST_ON_A_SIDE)
    watch = ADWIN(
        delta=wanted.adwin_error_share,
        clock=1,
        min_window_length=_LEAST_ON_A_SIDE,
        grace_period=least,
    )
    if len(steps) <= least:
        return _silent(detector, len(steps), least + 1 - len(steps))
    cuts = watch.update_many(list(steps))
    at = int(cuts[0]) if len(cuts) else None
    return _vote(detector, float(len(cuts)), 1.0, len(steps), at)


def _vote(detector: Detector, value: float, threshold: float, windows: int, at: int | None) -> Vote:
    said = "its level did not change" if at is None else f"its level changed by window {at + 1}"
    return Vote(
        detector=detector.name,
        group=detector.group,
        weight=detector.votes,
        value=value,
        threshold=threshold,
        alarmed=at is not None,
        rows=windows,
        reason=f"{said}, of {windows}",
    )


def _silent(detector: Detector, windows: int, missing: int) -> Vote:
    return Vote(
        detector=detector.name,
        group=detector.group,
        weight=detector.votes,
        value=None,
        threshold=None,
        alarmed=False,
        rows=windows,
        reason=f"{missing} more windows needed",
    )
