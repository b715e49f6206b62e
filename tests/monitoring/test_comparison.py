"""Two tables compared: what has moved, what could not be compared, and in which part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.comparison import Comparison, Counted, compare, nearness, reasons
from trimtab.monitoring.drift import Scope, Severity
from trimtab.monitoring.report import document
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import Monitoring
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.parts import Windows, profile_parts
from trimtab.profiles.sources import frame_source

ROWS = 5_000
PRESET = "standard"


@pytest.fixture(scope="module")
def wanted() -> Monitoring:
    return load_preset(PRESET).tier(1).monitoring


def table(seed: int, rows: int = ROWS, **changed: Any) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "amount": np.exp(rng.normal(size=rows)),
        "age": rng.integers(18, 90, rows),
        "score": rng.normal(10.0, 2.0, rows),
        "city": rng.choice(["Bern", "Basel", "Chur"], rows, p=[0.5, 0.4, 0.1]),
        "active": rng.random(rows) < 0.3,
    }
    return pa.table({**columns, **changed})


def look(before: pa.Table, now: pa.Table, wanted: Monitoring, **more: Any) -> Comparison:
    kept = profile_of(before)
    return compare(kept, profile_of(now, like=kept.columns), wanted, **more)


def names(found: Comparison) -> list[str]:
    return [one.feature for one in found.affected]


def test_two_draws_of_one_law_are_the_same(wanted: Monitoring) -> None:
    found = look(table(1), table(2), wanted)
    assert (found.verdict, found.affected) == (Verdict.PASS, [])
    assert "none of 5 columns" in found.reason
    assert 0.0 < found.drift_score < 0.05


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("score", np.random.default_rng(3).normal(10.5, 2.0, ROWS)),
        ("score", np.random.default_rng(3).normal(10.0, 2.8, ROWS)),
        ("amount", np.exp(np.random.default_rng(3).normal(0.0, 1.4, ROWS))),
        ("amount", 1.609344 * np.exp(np.random.default_rng(3).normal(size=ROWS))),
        ("age", np.random.default_rng(3).integers(22, 94, ROWS)),
        ("city", np.random.default_rng(3).choice(["Bern", "Basel"], ROWS)),
        ("active", np.random.default_rng(3).random(ROWS) < 0.4),
    ],
)
def test_what_moves_is_named_and_nothing_else(
    column: str, values: np.ndarray[Any, Any], wanted: Monitoring
) -> None:
    found = look(
        table(1), table(2).drop_columns([column]).append_column(column, pa.array(values)), wanted
    )
    assert found.verdict is Verdict.FAIL
    assert names(found) == [column]
    assert found.looks[0].feature == column
    assert found.drift_score == found.looks[0].magnitude


def test_three_answers_are_kept_apart(wanted: Monitoring) -> None:
    shifted = np.random.default_rng(3).normal(10.5, 2.0, ROWS)
    (hit,) = look(table(1), table(2, score=shifted), wanted).affected
    told = document(look(table(1), table(2, score=shifted), wanted), wanted)["features"]["score"]
    assert hit.moved
    assert told["severity"] == "none"  # a quarter of a deviation: PSI of about 0.06
    assert told["psi"] < wanted.psi_bands.low_nats
    assert told["confirmed"] is hit.confirmed
    assert {vote["detector"] for vote in told["votes"]} == {
        detector.name for detector in wanted.quorum.detectors
    }
    assert all(vote["rows"] == ROWS for vote in told["votes"] if vote["value"] is not None)


def test_a_category_that_came_and_one_that_went_are_named(wanted: Monitoring) -> None:
    rng = np.random.default_rng(4)
    now = table(2, city=rng.choice(["Bern", "Basel", "Genf"], ROWS, p=[0.5, 0.4, 0.1]))
    told = document(look(table(1), now, wanted), wanted)["features"]["city"]
    assert (told["new_categories"], told["vanished_categories"]) == (["Genf"], ["Chur"])
    assert told["verdict"] == "fail"


def test_a_single_unseen_row_is_no_finding(wanted: Monitoring) -> None:
    cities = table(2)["city"].to_pylist()
    found = look(table(1), table(2, city=["Genf", *cities[1:]]), wanted)
    assert found.verdict is Verdict.PASS


def test_nulls_that_rise_are_a_finding_though_the_values_stay(wanted: Monitoring) -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(10.0, 2.0, ROWS)
    holes = pa.array(values, mask=rng.random(ROWS) < 0.08)
    found = look(table(1), table(2, score=holes), wanted)
    assert names(found) == ["score"]
    assert found.affected[0].moved is False
    assert "lack a value" in reasons(found.affected[0], wanted, Scope.DATASET)


def test_a_null_rate_never_hides_a_shift(wanted: Monitoring) -> None:
    rng = np.random.default_rng(6)
    mask = rng.random(ROWS) < 0.02
    before = table(1, score=pa.array(rng.normal(size=ROWS), mask=mask))
    now = table(2, score=pa.array(rng.normal(1.0, size=ROWS), mask=mask))
    assert look(before, now, wanted).affected[0].moved


def test_nan_and_infinity_are_missing_values(wanted: Monitoring) -> None:
    values = np.random.default_rng(7).normal(10.0, 2.0, ROWS)
    values[:250], values[250:500] = np.nan, np.inf
    (hit,) = look(table(1), table(2, score=values), wanted).affected
    assert hit.null_rate_current == pytest.approx(0.1)


def test_constant_columns(wanted: Monitoring) -> None:
    three, four = np.full(ROWS, 3.0), np.full(ROWS, 4.0)
    assert look(table(1, score=three), table(2, score=three), wanted).verdict is Verdict.PASS
    assert names(look(table(1, score=three), table(2, score=four), wanted)) == ["score"]
    assert names(look(table(1, score=three), table(2), wanted)) == ["score"]
    assert names(look(table(1), table(2, score=three), wanted)) == ["score"]


def test_a_column_that_froze_is_a_finding(wanted: Monitoring) -> None:
    values = np.random.default_rng(8).normal(10.0, 2.0, ROWS)
    values[-150:] = values[-150]
    (hit,) = look(table(1), table(2, score=values), wanted).affected
    assert hit.structural[0].finding.value == "frozen"


@pytest.mark.parametrize("cardinality", [2, 50, 1000, 5000])
@pytest.mark.parametrize("rows", [200, 5_000, 50_000])
def test_many_categories_are_not_drift(cardinality: int, rows: int, wanted: Monitoring) -> None:
    def draw(seed: int) -> pa.Table:
        rng = np.random.default_rng(seed)
        return pa.table({"v": rng.integers(0, cardinality, rows).astype(str)})

    found = look(draw(1), draw(2), wanted)
    assert found.affected == []
    assert {one.severity for one in found.looks} <= {Severity.NONE}  # PSI may be 0.2 by chance


@pytest.mark.parametrize("rows", [(10_000, 2_000), (400, 400)])
def test_what_noise_may_do_is_stated_for_the_very_counts(
    rows: tuple[int, int], wanted: Monitoring
) -> None:
    shares = 1.0 / np.arange(1, 5001)
    rng = np.random.default_rng(5)
    before, now = (
        pa.table({"v": rng.choice(5000, n, p=shares / shares.sum()).astype(str)}) for n in rows
    )
    (found,) = look(before, now, wanted).looks
    psi, noise = found.measures.psi, found.measures.psi_noise
    assert psi is not None
    assert noise is not None
    assert 0.9 * noise < psi < 1.1 * noise  # the limit is near: hundreds of terms add up


def test_too_few_rows_are_said_and_not_guessed(wanted: Monitoring) -> None:
    found = look(table(1), table(2, rows=5), wanted)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert f"{wanted.min_rows_dataset - 5} more rows needed" in found.reason


def drop(name: str) -> pa.Table:
    return table(2).drop_columns([name])


@pytest.mark.parametrize(
    ("now", "column", "words"),
    [
        (drop("score"), "score", "missing in the current table"),
        (table(2, score=["high"] * ROWS), "score", "changed its type: numeric"),
        (table(2, score=pa.nulls(ROWS, pa.float64())), "score", "has no value"),
        (table(2, score=np.full(ROWS, np.nan)), "score", "has no value"),
    ],
)
def test_what_cannot_be_compared_is_an_error_that_names_the_column(
    now: pa.Table, column: str, words: str, wanted: Monitoring
) -> None:
    found = look(table(1), now, wanted)
    assert found.verdict is Verdict.ERROR
    assert [problem.column for problem in found.problems] == [column]
    assert words in found.problems[0].message
    assert found.problems[0].remedy
    assert len(found.looks) == 4  # the others were looked at all the same


def test_an_error_does_not_hide_what_has_moved(wanted: Monitoring) -> None:
    shifted = np.random.default_rng(3).normal(100, 5.0, ROWS)
    found = look(table(1), table(2, amount=shifted).drop_columns(["city"]), wanted)
    assert (found.verdict, names(found)) == (Verdict.ERROR, ["amount"])


def test_a_table_without_rows_is_refused(wanted: Monitoring) -> None:
    with pytest.raises(InvalidInput, match="the current table has no rows"):
        look(table(1), table(2, rows=0), wanted)
    with pytest.raises(InvalidInput, match="the reference has no rows"):
        look(table(1, rows=0), table(2), wanted)


def test_only_the_features_that_were_asked_for(wanted: Monitoring) -> None:
    found = look(table(1), table(2, score=np.zeros(ROWS)), wanted, features=["age", "city"])
    assert {one.feature for one in found.looks} == {"age", "city"}
    with pytest.raises(InvalidInput, match="there is no column heigth"):
        look(table(1), table(2), wanted, features=["heigth"])


def test_a_new_column_is_told_and_judged_by_nobody(wanted: Monitoring) -> None:
    found = look(table(1), table(2, extra=np.zeros(ROWS)), wanted)
    assert (found.verdict, found.new_columns) == (Verdict.PASS, ("extra",))


def test_times_are_left_out_with_the_reason(wanted: Monitoring) -> None:
    days = pa.array([20_000] * ROWS, type=pa.date32())
    found = look(table(1, day=days), table(2, day=days), wanted)
    assert list(found.skipped) == ["day"]
    assert "--time" in found.skipped["day"]


def parts_of(
    before: pa.Table, now: pa.Table, *, by: str | None = None, windows: Windows | None = None
) -> Sequence[Counted]:
    like = profile_of(before).columns
    columns = [name for name in like if name != by]
    found, lost = profile_parts(frame_source(now), columns, like=like, by=by, windows=windows)
    assert lost == 0
    own = {}
    if by is not None:
        own = {
            part.segment: part.profile
            for part in profile_parts(frame_source(before), columns, like=like, by=by)[0]
        }
    return [Counted(p.segment, p.begin, p.end, p.profile, own.get(p.segment)) for p in found]


def test_the_window_in_which_it_began_is_found(wanted: Monitoring) -> None:
    values = np.random.default_rng(9).normal(10.0, 2.0, ROWS)
    values[3_000:] += 3.0
    now = table(2, score=values)
    parts = parts_of(table(1), now, windows=Windows.parse("500 rows", None))
    found = look(table(1), now, wanted, parts=parts)
    changed = [part.begin for part in found.parts if part.verdict is Verdict.FAIL]
    assert changed == ["3000", "3500", "4000", "4500"]


def test_calm_windows_stay_calm_together(wanted: Monitoring) -> None:
    now = table(2, rows=20_000)
    parts = parts_of(table(1), now, windows=Windows.parse("200", None))
    found = look(table(1), now, wanted, parts=parts)
    assert len(found.parts) == 100
    assert sum(one.changed for part in found.parts for one in part.looks) <= 1


def test_a_segment_that_moves_against_another_is_seen(wanted: Monitoring) -> None:
    """The whole is calm: what one segment gains, another loses."""
    rng = np.random.default_rng(10)
    side = np.where(np.arange(ROWS) % 2, "east", "west")
    before = table(1, side=side, score=rng.normal(10.0 + 2.0 * (side == "east"), 1.0))
    now = table(2, side=side, score=rng.normal(10.0 + 2.0 * (side == "west"), 1.0))
    columns = ["score", "age"]
    found = look(before, now, wanted, features=columns)
    assert found.affected == []
    found = look(before, now, wanted, features=columns, parts=parts_of(before, now, by="side"))
    assert found.verdict is Verdict.FAIL
    assert {part.segment for part in found.parts if part.verdict is Verdict.FAIL} == {
        "east",
        "west",
    }


def test_a_segment_that_the_reference_does_not_have_is_compared_with_the_whole(
    wanted: Monitoring,
) -> None:
    before, now = table(1, side=["east"] * ROWS), table(2, side=["south"] * ROWS)
    found = look(before, now, wanted, features=["score"], parts=parts_of(before, now, by="side"))
    (part,) = found.parts
    assert (part.segment, part.reference_segment) == ("south", False)
    assert part.verdict is Verdict.PASS


def test_nearness_is_one_at_the_limit(wanted: Monitoring) -> None:
    effects = wanted.effects_dataset.model_copy(update={"wasserstein_scaled": 50.0, "ks_d": 0.0625})
    exact = wanted.model_copy(update={"effects_dataset": effects})
    before = table(1, age=np.repeat([1, 2], ROWS // 2))
    half = np.repeat([1, 2], [ROWS // 2 - ROWS // 16, ROWS // 2 + ROWS // 16 + 1])[:ROWS]
    (hit,) = look(before, table(2, age=half), exact, features=["age"]).looks
    near = nearness(hit, exact, Scope.DATASET)
    assert near == pytest.approx(1.0, abs=0.01)


def test_a_few_rows_very_far_out_are_not_taken_for_noise(wanted: Monitoring) -> None:
    values = np.random.default_rng(8).normal(10.0, 2.0, ROWS)
    values[:: ROWS // 30] = 1e6  # 30 rows, which D cannot tell from noise
    (hit,) = look(table(1), table(2, score=values), wanted).affected
    assert hit.moved
    assert hit.measures.p_value is not None
    assert hit.measures.p_value > wanted.false_discovery_rate
    assert hit.measures.tail_p_value is not None
    assert hit.measures.tail_p_value < 1e-5


def test_one_row_very_far_out_is_no_drift(wanted: Monitoring) -> None:
    values = np.random.default_rng(8).normal(10.0, 2.0, ROWS)
    values[0] = 1e9
    found = look(table(1), table(2, score=values), wanted)
    assert not found.affected


@pytest.mark.parametrize("rows", [120, 300])
def test_few_rows_that_may_show_as_much_by_chance_are_not_called_calm(
    rows: int, wanted: Monitoring
) -> None:
    found = look(table(1), table(2, rows=rows), wanted)
    unsure = [one for one in found.looks if one.moved is None]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert unsure
    assert all("more rows needed" in (one.insufficient or "") for one in unsure)


def test_triggers_fire_beyond_noise_only(wanted: Monitoring) -> None:
    def fires(now: pa.Table) -> bool:
        told = document(look(table(1, rows=150), now, wanted), wanted)["features"]["score"]
        trigger = next(one for one in told["triggers"] if one["name"] == "data_psi")
        assert trigger["of_limit"] > 1.0
        return bool(trigger["fires"])

    assert not fires(table(2, rows=150))
    assert fires(table(2, rows=150, score=np.random.default_rng(3).normal(16.0, 2.0, 150)))


def test_what_is_new_in_the_current_table_is_said_only_of_what_was_asked(
    wanted: Monitoring,
) -> None:
    before, now = table(1), table(2)
    lists = pa.array([[1]] * ROWS)
    more = now.append_column("extra", now["age"]).append_column("other", now["age"])
    found = look(before.append_column("other", lists), more, wanted)
    assert found.new_columns == ("extra",)
    profiles = profile_of(before), profile_of(more)
    assert compare(*profiles, wanted, features=["age"]).new_columns == ()


def test_a_column_that_was_renamed_is_guessed(wanted: Monitoring) -> None:
    now = table(2).rename_columns(
        ["scores" if name == "score" else name for name in table(2).column_names]
    )
    (problem,) = look(table(1), now, wanted).problems
    assert "is it scores now?" in problem.remedy


def test_names_that_were_too_many_to_keep_are_said(wanted: Monitoring) -> None:
    rng = np.random.default_rng(9)
    names = np.array([f"n{i}" for i in range(12_000)])
    before, now = (
        pa.table({"id": np.concatenate([names, rng.choice(names, 3_000)])}) for _ in "ab"
    )
    (one,) = look(before, now, wanted).looks
    said = reasons(one, wanted, Scope.DATASET)
    assert said.startswith("over groups of more than 10,000 names, category mass")
