"""Many questions at once: how many of the alarms may be false."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.sample import Sample, checked, checked_level


def benjamini_hochberg(p_values: ArrayLike, *, level: float) -> tuple[NDArray[np.bool_], Sample]:
    """Which hypotheses fall when at most a share `level` of the fallen may be false.

    Holds for independent p-values and for positively dependent ones, such as features that
    move together.

    Args:
        p_values: Shape (k,), each from 0 to 1.
        level: Acceptable share of false discoveries, such as 0.05; at most 0.5.

    Returns:
        Rejected, shape (k,), and the adjusted p-values, shape (k,), in the order given. A
        hypothesis falls where its adjusted p-value is at most `level`.

    Raises:
        TooFewValues: no p-values.
        InvalidInput: a p-value is NaN or outside 0..1, or the level is no false-alarm rate.

    Source: Benjamini and Hochberg (1995).
    """
    p = checked(p_values, at_least=1, field="p_values")
    checked_level(level)
    if p.min() < 0.0 or p.max() > 1.0:
        raise InvalidInput("a p-value lies outside 0 to 1", field="p_values")
    order = np.argsort(p)
    raised = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(raised[::-1])[::-1])
    return adjusted <= level, adjusted
