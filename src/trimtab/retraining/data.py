"""The data before anything learns from them. What cannot be checked is not fit.

An export that was taken from a broken feed, or that carries the label in disguise, trains
a model that looks good until it serves. Each check gives a verdict of four.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.events import plain
from trimtab.kernel.verdict import Verdict, worst
from trimtab.stats.confusion import roc_auc

Column = NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Rows to learn from, in any order.

    `features` are number columns, NaN where empty, or text columns, "" where empty.
    `label` is float: 0, 1, or NaN where the outcome is not known. `time` is
    datetime64, NaT where empty. All of shape (n,).
    """

    features: Mapping[str, Column]
    label: Column
    time: Column

    def __len__(self) -> int:
        return int(self.label.size)


@dataclass(frozen=True)
class Demands:
    """What the data have to be. Shares are from 0 to 1.

    `time_from` and `time_until` (exclusive) bound the rows. `max_single_auc` is the largest
    area under the ROC curve that one feature alone may have. `outlier_reach` is the
    distance from the quartiles, in interquartile ranges, beyond which a value is noted.
    """

    min_rows: int
    min_rows_per_class: int
    max_null_rate: float
    min_label_coverage: float
    max_duplicate_share: float
    max_single_auc: float
    outlier_reach: float
    time_from: np.datetime64
    time_until: np.datetime64


@dataclass(frozen=True)
class DataCheck:
    """One check: its verdict, a sentence, and its numbers."""

    name: str
    verdict: Verdict
    reason: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataReport:
    """All checks; the verdict is the worst of them. `notes` judge nothing."""

    verdict: Verdict
    reason: str
    rows: int
    checks: tuple[DataCheck, ...]
    notes: tuple[DataCheck, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        shown: dict[str, Any] = plain(asdict(self))
        return shown


def check_data(table: Table, demands: Demands) -> DataReport:
    """Whether `table` is fit to learn from, with every reason why not.

    Raises:
        InvalidInput: columns of different lengths, no features, or a label column that
            holds anything but 0, 1 and NaN.
    """
    _demand_shape(table)
    known = np.isfinite(table.label)
    checks = [_rows(table, known, demands), _coverage(known, demands)]
    if len(table):
        checks += [
            _classes(table.label[known], demands),
            _duplicates(table, demands),
            _time(table.time, demands),
        ]
        for name, column in table.features.items():
            checks += [_nulls(name, column, demands), _constant(name, column)]
            checks.append(_leak(name, column, table.label, demands))
    verdict = worst(check.verdict for check in checks)
    reasons = [check.reason for check in checks if check.verdict is verdict]
    reason = "fit to learn from" if verdict is Verdict.PASS else "; ".join(reasons)
    notes = [_outliers(name, x, demands) for name, x in table.features.items() if _numeric(x)]
    return DataReport(verdict, reason, len(table), tuple(checks), tuple(notes))


def _demand_shape(table: Table) -> None:
    if not table.features:
        raise InvalidInput("there is no feature to learn from", field="features")
    sizes = {column.shape for column in (*table.features.values(), table.label, table.time)}
    if len(sizes) != 1 or len(next(iter(sizes))) != 1:
        raise InvalidInput("the columns differ in length", field="features")
    if table.label.dtype.kind != "f" or table.time.dtype.kind != "M":
        raise InvalidInput("labels are floats, times are moments", field="label")
    if not np.isin(table.label[~np.isnan(table.label)], (0.0, 1.0)).all():
        raise InvalidInput("a label is 0, 1 or not known", field="label")


def _rows(table: Table, known: Column, demands: Demands) -> DataCheck:
    labelled = int(known.sum())
    numbers = {"rows": len(table), "labelled": labelled, "min_rows": demands.min_rows}
    if labelled < demands.min_rows:
        reason = f"{demands.min_rows - labelled} more labelled rows are needed"
        return DataCheck("rows", Verdict.INCONCLUSIVE, reason, numbers)
    return DataCheck("rows", Verdict.PASS, f"{labelled} labelled rows", numbers)


def _coverage(known: Column, demands: Demands) -> DataCheck:
    if not known.size:
        return DataCheck("label_coverage", Verdict.INCONCLUSIVE, "there are no rows")
    share = float(known.mean())
    good = share >= demands.min_label_coverage
    # Which outcomes are late is rarely a matter of chance: too few labels are no sample.
    verdict = Verdict.PASS if good else Verdict.INCONCLUSIVE
    reason = f"{share:.1%} of the rows have a label, {demands.min_label_coverage:.1%} are needed"
    return DataCheck("label_coverage", verdict, reason, {"share": share})


def _classes(label: Column, demands: Demands) -> DataCheck:
    positives = int((label == 1).sum())
    fewest = min(positives, label.size - positives)
    numbers = {"positives": positives, "negatives": int(label.size) - positives}
    if fewest < demands.min_rows_per_class:
        reason = f"the rarer class has {fewest} rows; {demands.min_rows_per_class} are needed"
        return DataCheck("classes", Verdict.INCONCLUSIVE, reason, numbers)
    return DataCheck("classes", Verdict.PASS, f"the rarer class has {fewest} rows", numbers)


def _duplicates(table: Table, demands: Demands) -> DataCheck:
    columns = [*table.features.values(), table.label, table.time]
    codes = [np.unique(column, return_inverse=True)[1] for column in columns]
    distinct = np.unique(np.stack(codes, axis=1), axis=0).shape[0]
    share = 1 - distinct / len(table)
    good = share <= demands.max_duplicate_share
    reason = (
        f"{share:.1%} of the rows repeat another, {demands.max_duplicate_share:.1%} are allowed"
    )
    verdict = Verdict.PASS if good else Verdict.FAIL
    return DataCheck("duplicates", verdict, reason, {"share": share, "distinct": distinct})


def _time(time: Column, demands: Demands) -> DataCheck:
    if np.isnat(time).any():
        empty = int(np.isnat(time).sum())
        return DataCheck("time", Verdict.FAIL, f"{empty} rows have no time", {"empty": empty})
    outside = int(((time < demands.time_from) | (time >= demands.time_until)).sum())
    numbers = {"first": str(time.min()), "last": str(time.max()), "outside": outside}
    if outside:
        reason = f"{outside} rows lie outside the stretch that was asked for"
        return DataCheck("time", Verdict.FAIL, reason, numbers)
    if time.min() == time.max():
        reason = "all rows are of one moment: nothing later is left to judge on"
        return DataCheck("time", Verdict.FAIL, reason, numbers)
    return DataCheck("time", Verdict.PASS, f"from {time.min()} to {time.max()}", numbers)


def _nulls(name: str, column: Column, demands: Demands) -> DataCheck:
    rate = float(_empty(column).mean())
    good = rate <= demands.max_null_rate
    reason = f"{rate:.2%} of {name} are empty, {demands.max_null_rate:.2%} are allowed"
    verdict = Verdict.PASS if good else Verdict.FAIL
    return DataCheck(f"null_rate.{name}", verdict, reason, {"rate": rate})


def _constant(name: str, column: Column) -> DataCheck:
    values = column[~_empty(column)]
    distinct = int(np.unique(values).size)
    if distinct < 2:
        reason = f"{name} has one value only: it teaches nothing, and a feed may have frozen"
        return DataCheck(f"constant.{name}", Verdict.FAIL, reason, {"distinct": distinct})
    return DataCheck(f"constant.{name}", Verdict.PASS, f"{name} varies", {"distinct": distinct})


def _leak(name: str, column: Column, label: Column, demands: Demands) -> DataCheck:
    """Whether one feature alone tells the label: mostly the outcome, filled in afterwards."""
    usable = np.isfinite(label) & ~_empty(column)
    outcome = label[usable]
    if outcome.size == 0 or outcome.min() == outcome.max():
        reason = f"whether {name} gives the label away cannot be told: one class only"
        return DataCheck(f"leakage.{name}", Verdict.INCONCLUSIVE, reason)
    area = roc_auc(_ranks(column[usable], outcome), outcome)
    area = max(area, 1 - area)
    numbers = {"auc": area, "max_single_auc": demands.max_single_auc}
    if area > demands.max_single_auc:
        reason = f"{name} alone tells the label (area {area:.4f}): is it known beforehand?"
        return DataCheck(f"leakage.{name}", Verdict.FAIL, reason, numbers)
    reason = f"{name} alone does not tell the label (area {area:.3f})"
    return DataCheck(f"leakage.{name}", Verdict.PASS, reason, numbers)


def _ranks(values: Column, label: Column) -> Column:
    """Numbers as they are; a category as the share of positives among its rows."""
    if _numeric(values):
        return values.astype(np.float64)
    _, codes = np.unique(values, return_inverse=True)
    shares = np.bincount(codes, weights=label) / np.bincount(codes)
    return np.asarray(shares[codes])


def _outliers(name: str, column: Column, demands: Demands) -> DataCheck:
    """Values far outside the quartiles; a note, for a heavy tail is no fault.

    Source: Tukey (1977), fences at a multiple of the interquartile range.
    """
    values = column[~_empty(column)].astype(np.float64)
    if values.size == 0:
        return DataCheck(f"outliers.{name}", Verdict.INCONCLUSIVE, f"{name} is empty")
    low, high = np.quantile(values, (0.25, 0.75))
    reach = demands.outlier_reach * (high - low)
    beyond = int(((values < low - reach) | (values > high + reach)).sum())
    numbers = {"beyond": beyond, "low": float(low - reach), "high": float(high + reach)}
    reason = f"{beyond / values.size:.2%} of {name} lie far outside its quartiles"
    return DataCheck(f"outliers.{name}", Verdict.PASS, reason, numbers)


def _numeric(column: Column) -> bool:
    return column.dtype.kind in "biuf"


def _empty(column: Column) -> Column:
    if column.dtype.kind == "f":
        return np.asarray(~np.isfinite(column))
    if _numeric(column):
        return np.zeros(column.shape, dtype=np.bool_)
    return np.asarray([value is None or value == "" for value in column], dtype=np.bool_)


def failed_names(checks: Sequence[DataCheck]) -> list[str]:
    """Names of the checks that did not pass."""
    return [check.name for check in checks if check.verdict is not Verdict.PASS]
