"""Many questions at once: how many of the alarms may be false.

    holm                   the chance of any false alarm, under any dependence
    benjamini_hochberg     the share of false alarms among all, independent or moving together
    benjamini_yekutieli    the same under any dependence
    selective_families     features of many tenants: the share within the tenants that alarm

For the same question asked window after window, see `online`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import Sample, checked, checked_level

Decisions: TypeAlias = tuple[NDArray[np.bool_], Sample]
"""Rejected, shape (k,), and adjusted p-values, shape (k,), in the order given."""


def holm(p_values: ArrayLike, *, level: float) -> Decisions:
    """Which hypotheses fall when the chance of any false one may be `level`.

    Holds whatever the dependence, and rejects at least as much as Bonferroni's correction.

    Args:
        p_values: Shape (k,), each from 0 to 1.
        level: Acceptable chance of one false rejection or more; at most 0.5.

    Returns:
        Rejected, shape (k,), and the adjusted p-values, shape (k,), in the order given.

    Raises:
        TooFewValues: no p-values.
        InvalidInput: a p-value is NaN or outside 0..1, or the level is no false-alarm rate.

    Source: Holm (1979).

    Example:
        >>> rejected, adjusted = holm([0.01, 0.04, 0.03], level=0.05)
        >>> rejected.tolist(), adjusted.tolist()
        ([True, False, False], [0.03, 0.06, 0.06])
    """
    p = checked_p_values(p_values)
    checked_level(level)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    raised = p[order] * np.arange(p.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(raised))
    return adjusted <= level, adjusted


def benjamini_hochberg(p_values: ArrayLike, *, level: float) -> Decisions:
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

    Example:
        >>> rejected, adjusted = benjamini_hochberg([0.01, 0.04, 0.03, 0.5], level=0.05)
        >>> rejected.tolist(), adjusted.round(3).tolist()
        ([True, False, False, False], [0.04, 0.053, 0.053, 0.5])
    """
    p = checked_p_values(p_values)
    adjusted = _stepped_up(p, 1.0)
    return adjusted <= checked_level(level), adjusted


def benjamini_yekutieli(p_values: ArrayLike, *, level: float) -> Decisions:
    """Which hypotheses fall when at most a share `level` may be false, under any dependence.

    Pays for it with a factor of about log(k): 3.6 for 20 hypotheses.

    Args:
        p_values: Shape (k,), each from 0 to 1.
        level: Acceptable share of false discoveries, such as 0.05; at most 0.5.

    Returns:
        Rejected, shape (k,), and the adjusted p-values, shape (k,), in the order given.

    Raises:
        TooFewValues: no p-values.
        InvalidInput: a p-value is NaN or outside 0..1, or the level is no false-alarm rate.

    Source: Benjamini and Yekutieli (2001).

    Example:
        >>> rejected, adjusted = benjamini_yekutieli([0.001, 0.04, 0.03], level=0.05)
        >>> rejected.tolist(), adjusted.round(4).tolist()
        ([True, False, False], [0.0055, 0.0733, 0.0733])
    """
    p = checked_p_values(p_values)
    adjusted = _stepped_up(p, float((1.0 / np.arange(1, p.size + 1)).sum()))
    return adjusted <= checked_level(level), adjusted


def simes(p_values: ArrayLike) -> float:
    """One p-value for "nothing in this family has changed".

    Args:
        p_values: Shape (k,), each from 0 to 1; independent or positively dependent.

    Raises:
        TooFewValues: no p-values.
        InvalidInput: a p-value is NaN or outside 0..1.

    Source: Simes (1986).

    Example:
        >>> simes([0.01, 0.04, 0.5])
        0.03
    """
    return float(_stepped_up(checked_p_values(p_values), 1.0).min())


@dataclass(frozen=True)
class Families:
    """Result of `selective_families`: what fell in each family, and the families' own values.

    `rejected` has every family, with an array of shape (k,) in the order given; `selected` are
    the names of the families in which something may be sought; `family_p_values` are Simes'.
    """

    rejected: Mapping[str, NDArray[np.bool_]]
    selected: tuple[str, ...]
    family_p_values: Mapping[str, float]


def selective_families(
    families: Mapping[str, ArrayLike],
    *,
    level: float,
    within: Callable[..., Decisions] = benjamini_hochberg,
) -> Families:
    """Features of many tenants: which tenants to look at, and what has changed in each.

    A family (a tenant, say) is looked at if its Simes p-value falls by Benjamini and
    Hochberg's rule over all families. Within the R of T families looked at, the level is R / T
    of the full one, which pays for having chosen them. Then the share of false discoveries,
    averaged over the families looked at, is at most `level`: the tenants that are shown are
    right as often as promised, which one list of all p-values does not give a small tenant
    beside a large one that has moved. A window is one more dimension that does not end:
    `online`.

    Args:
        families: p-values of each family, shape (k,) each, of any length.
        level: Acceptable share of false discoveries, such as 0.05; at most 0.5.
        within: How features are judged within a family: `benjamini_hochberg`, `holm` or
            `benjamini_yekutieli`.

    Raises:
        TooFewValues: no family, or one without p-values.
        InvalidInput: a p-value is NaN or outside 0..1, or the level is no false-alarm rate.

    Source: Benjamini and Bogomolov (2014), "Selective inference on multiple families of
    hypotheses".

    Example:
        >>> found = selective_families({"a": [0.001, 0.4], "b": [0.6, 0.3]}, level=0.05)
        >>> found.selected, found.rejected["a"].tolist(), found.rejected["b"].tolist()
        (('a',), [True, False], [False, False])
    """
    checked_level(level)
    if not families:
        raise TooFewValues("no family of p-values", field="families")
    values = {name: checked_p_values(p, field=f"families.{name}") for name, p in families.items()}
    own = {name: float(_stepped_up(p, 1.0).min()) for name, p in values.items()}
    chosen, _adjusted = benjamini_hochberg(list(own.values()), level=level)
    selected = tuple(name for name, fell in zip(own, chosen, strict=True) if fell)
    share = level * len(selected) / len(own)
    rejected = {
        name: within(p, level=share)[0] if name in selected else np.zeros(p.size, dtype=np.bool_)
        for name, p in values.items()
    }
    return Families(rejected=rejected, selected=selected, family_p_values=own)


def checked_p_values(p_values: ArrayLike, *, field: str = "p_values") -> Sample:
    """p-values as an array, or a refusal.

    Args:
        p_values: Shape (k,), each from 0 to 1.
        field: What they are called in an error.

    Raises:
        TooFewValues: no p-values.
        InvalidInput: a p-value is NaN or outside 0..1.

    Example:
        >>> checked_p_values([0.5, 1])
        array([0.5, 1. ])
    """
    p = checked(p_values, at_least=1, field=field)
    if p.min() < 0.0 or p.max() > 1.0:
        raise InvalidInput("a p-value lies outside 0 to 1", field=field)
    return p


def _stepped_up(p: Sample, factor: float) -> Sample:
    """Adjusted p-values of a step-up procedure, in the order given."""
    order = np.argsort(p)
    raised = p[order] * (p.size * factor) / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(raised[::-1])[::-1])
    return adjusted
