"""Four verdicts, everywhere: not knowing is never good news."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What a look at evidence can end in."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """The evidence does not decide; the reason says what is missing."""
    ERROR = "error"
    """The look itself failed: a crash, a timeout, unreadable data."""


_ORDER = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several; of none at all, inconclusive: nothing was looked at."""
    return max(verdicts, key=_ORDER.index, default=Verdict.INCONCLUSIVE)
