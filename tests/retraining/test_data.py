"""Each check of the data, just below and just above its limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.verdict import Verdict
from trimtab.retraining.data import DataReport, Demands, Table, check_data, failed_names

START = np.datetime64("2015-01-01T00:00", "us")
DEMANDS = Demands(
    min_rows=200,
    min_rows_per_class=20,
    max_null_rate=0.01,
    min_label_coverage=0.9,
    max_duplicate_share=0.05,
    max_single_auc=0.99,
    outlier_reach=3.0,
    time_from=START,
    time_until=START + np.timedelta64(400, "m"),
)


def a_table(rows: int = 300, seed: int = 7) -> Table:
    generator = np.random.default_rng(seed)
    distance = generator.gamma(2.0, 300.0, rows)
    label = (distance + generator.normal(0, 300, rows) > 600).astype(np.float64)
    return Table(
        features={
            "distance": distance,
            "airline": generator.choice(["AA", "UA", "WN"], rows),
        },
        label=label,
        time=START + np.arange(rows) * np.timedelta64(1, "m"),
    )


def changed(table: Table, name: str, column: Any) -> Table:
    return replace(table, features={**table.features, name: column})


def not_passed(report: DataReport) -> list[str]:
    return failed_names(report.checks)


def test_sound_data_pass_and_say_what_was_looked_at() -> None:
    report = check_data(a_table(), DEMANDS)
    assert report.verdict is Verdict.PASS
    assert {check.name for check in report.checks} >= {
        "rows",
        "label_coverage",
        "classes",
        "duplicates",
        "time",
        "null_rate.distance",
        "constant.airline",
        "leakage.distance",
    }
    assert report.plain()["checks"][0]["numbers"]["labelled"] == 300


def test_the_order_of_the_rows_does_not_matter() -> None:
    table = a_table()
    order = np.random.default_rng(1).permutation(len(table))
    shuffled = Table(
        {name: column[order] for name, column in table.features.items()},
        table.label[order],
        table.time[order],
    )
    assert check_data(shuffled, DEMANDS) == check_data(table, DEMANDS)


@pytest.mark.parametrize(("rows", "verdict"), [(199, Verdict.INCONCLUSIVE), (200, Verdict.PASS)])
def test_too_few_rows_are_not_a_pass(rows: int, verdict: Verdict) -> None:
    assert check_data(a_table(rows), DEMANDS).verdict is verdict


def test_no_rows_at_all_are_inconclusive() -> None:
    empty = Table({"x": np.array([])}, np.array([]), np.array([], dtype="datetime64[us]"))
    assert check_data(empty, DEMANDS).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("empty", "passes"), [(3, True), (4, False)])
def test_null_rate_at_its_limit(empty: int, passes: bool) -> None:
    table = a_table()
    column = table.features["distance"].copy()
    column[:empty] = np.nan
    report = check_data(changed(table, "distance", column), DEMANDS)
    assert (report.verdict is Verdict.PASS) == passes
    assert not_passed(report) == ([] if passes else ["null_rate.distance"])


def test_empty_text_counts_as_empty() -> None:
    table = a_table()
    column = table.features["airline"].copy()
    column[:30] = ""
    assert not_passed(check_data(changed(table, "airline", column), DEMANDS)) == [
        "null_rate.airline"
    ]


@pytest.mark.parametrize(("missing", "passes"), [(30, True), (31, False)])
def test_label_coverage_at_its_limit(missing: int, passes: bool) -> None:
    table = a_table()
    label = table.label.copy()
    label[:missing] = np.nan
    report = check_data(replace(table, label=label), DEMANDS)
    assert ("label_coverage" not in not_passed(report)) == passes


def test_one_class_is_inconclusive() -> None:
    table = a_table()
    report = check_data(replace(table, label=np.zeros(len(table))), DEMANDS)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "classes" in not_passed(report)


def test_injected_copies_fail() -> None:
    table = a_table()
    rows = np.concatenate([np.arange(300), np.zeros(30, dtype=int)])
    doubled = Table(
        {name: column[rows] for name, column in table.features.items()},
        table.label[rows],
        table.time[rows],
    )
    report = check_data(doubled, DEMANDS)
    assert report.verdict is Verdict.FAIL
    assert not_passed(report) == ["duplicates"]


def test_rows_without_a_time_outside_or_of_one_moment_fail() -> None:
    table = a_table()
    empty, early, late = table.time.copy(), table.time.copy(), table.time.copy()
    empty[5] = np.datetime64("NaT")
    early[5] = START - np.timedelta64(1, "us")
    late[5] = DEMANDS.time_until
    still = np.full(len(table), START)
    for time in (empty, early, late, still):
        report = check_data(replace(table, time=time), DEMANDS)
        assert report.verdict is Verdict.FAIL
        assert not_passed(report) == ["time"]


def test_a_frozen_feed_fails() -> None:
    table = a_table()
    for column in (np.full(300, 4.2), np.array(["AA"] * 300)):
        report = check_data(changed(table, "frozen", column), DEMANDS)
        assert report.verdict is Verdict.FAIL
        assert not_passed(report) == ["constant.frozen"]


@pytest.mark.parametrize("disguise", ["same", "opposite", "text", "noisy"])
def test_the_label_in_disguise_fails(disguise: str) -> None:
    table = a_table()
    columns: dict[str, Any] = {
        "same": table.label,
        "opposite": 1 - table.label,
        "text": np.where(table.label == 1, "late", "on time"),
        "noisy": table.label * 100 + np.random.default_rng(2).normal(0, 1, 300),
    }
    report = check_data(changed(table, "arrived", columns[disguise]), DEMANDS)
    assert report.verdict is Verdict.FAIL
    assert not_passed(report) == ["leakage.arrived"]


def test_outliers_are_noted_and_judge_nothing() -> None:
    table = a_table()
    column = table.features["distance"].copy()
    column[0] = 1e9
    report = check_data(changed(table, "distance", column), DEMANDS)
    assert report.verdict is Verdict.PASS
    assert report.notes[0].numbers["beyond"] >= 1


def test_columns_that_are_none_are_refused() -> None:
    table = a_table()
    for broken in (
        replace(table, features={}),
        changed(table, "short", np.zeros(3)),
        replace(table, label=table.label + 0.5),
        replace(table, label=table.label.astype(int)),
    ):
        with pytest.raises(InvalidInput):
            check_data(broken, DEMANDS)
