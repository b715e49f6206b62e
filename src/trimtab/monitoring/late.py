"""Rows that come after their window was judged: which are, and which of them still count.

Whether a row is late is decided by the phase of its window and not by a clock: predictions are
late once the input was looked at, labels once the output was judged. What comes within the
allowance re-opens the window; what comes later is kept and counted as too late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.monitoring.model import Phase, Window
from trimtab.policies.operation import Monitoring

Moments: TypeAlias = NDArray[np.datetime64]
"""When predictions were made: datetime64 in UTC, shape (n,)."""


class What(StrEnum):
    """What kind of rows came."""

    PREDICTIONS = "predictions"
    LABELS = "labels"


@dataclass(frozen=True)
class Late:
    """What came late for one window of the fleet.

    `came` counts the batches that re-open it and `judged` those of them that it was judged
    with; `due_at` is when it is to be judged again, None while the two are equal. The rest
    are rows: those that re-open it, and those that came too late for that.
    """

    model: str
    window: str
    came: int = 0
    judged: int = 0
    due_at: datetime | None = None
    predictions: int = 0
    labels: int = 0
    predictions_too_late: int = 0
    labels_too_late: int = 0

    @property
    def any(self) -> bool:
        """Whether anything came late at all."""
        rows = self.predictions + self.labels
        return bool(rows + self.predictions_too_late + self.labels_too_late)


@dataclass(frozen=True)
class Counted:
    """Rows of one batch that came late: those that re-open a window, and those too late."""

    late: int = 0
    too_late: int = 0

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.late + other.late, self.too_late + other.too_late)


def received_by(window: Window, demands: Monitoring) -> datetime:
    """Rows that came later than this do not count in a revision of `window`."""
    allowed = window.end + timedelta(hours=demands.late_allowance_hours)
    return max(allowed, window.settled_at or allowed)


def is_late(window: Window, what: What) -> bool:
    """Whether rows of `window` that come now come late."""
    if what is What.LABELS:
        return window.phase is Phase.SETTLED
    return window.phase is not Phase.SCHEDULED


def reopens(window: Window, now: datetime, demands: Monitoring) -> bool:
    """Whether late rows of `window` still count. One that is not settled is judged with
    everything there is when its labels have been waited for, however late that is."""
    return window.phase is not Phase.SETTLED or now <= received_by(window, demands)


def rows_inside(moments: Moments, start: datetime, end: datetime) -> int:
    """How many of these moments lie in [start, end)."""
    return int(((moments >= _bare(start)) & (moments < _bare(end))).sum())


def rows_before(moments: Moments, start: datetime) -> int:
    """How many of these moments lie before `start`."""
    return int((moments < _bare(start)).sum())


def _bare(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "us")
