"""Real training in a real child: what comes back, and every way in which nothing does."""

from __future__ import annotations

import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trimtab.demo.data import DAY, LONG_FLIGHT, flights
from trimtab.demo.story import FlightStory
from trimtab.kernel.errors import IntegrityFailed
from trimtab.kernel.verdict import Verdict
from trimtab.platform.child import NOTHING_KNOWN, ChildResult, Outcome
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import Retraining
from trimtab.recipes.gradient_boosting import predict
from trimtab.retraining import training
from trimtab.retraining.comparison import Scored, compare
from trimtab.retraining.data import Demands, Table, check_data
from trimtab.retraining.model import Decision
from trimtab.retraining.training import Challenger, NoChallenger, Recipe, _read

STORY = FlightStory()
POLICY = load_preset("standard").tier(3).retraining
DEMANDS = POLICY.model_copy(update={"max_seconds": 120})
RECIPE = Recipe(
    features=STORY.features,
    label=LONG_FLIGHT,
    time=DAY,
    seed=2015,
    max_rows=4000,
    max_parity=1e-5,
    max_single_auc=0.999,
    hyperparameters={"trees": 20, "depth": 3},
)


def train(
    table: pa.Table, recipe: Recipe, demands: Retraining, *, max_model_mib: int
) -> Challenger | NoChallenger:
    """Train in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return training.train(
            table, recipe, demands, max_model_mib=max_model_mib, folder=Path(folder)
        )


def rows_of(start: date, end: date) -> tuple[dict[str, Any], Any, Any]:
    """Features, label and day of the real flights of a stretch of days."""
    rows = flights(STORY.tenants)
    chosen = (rows.day >= np.datetime64(start)) & (rows.day < np.datetime64(end))
    return (
        {name: column[chosen] for name, column in rows.features.items()},
        rows.label[chosen],
        rows.day[chosen],
    )


def a_table(start: date, end: date) -> pa.Table:
    features, label, day = rows_of(start, end)
    return pa.table({**features, LONG_FLIGHT: label, DAY: day})


JANUARY = a_table(date(2015, 1, 1), date(2015, 2, 1))


@pytest.fixture(scope="module")
def challenger() -> Challenger:
    made = train(JANUARY, RECIPE, DEMANDS, max_model_mib=16)
    assert isinstance(made, Challenger), made
    return made


@pytest.mark.slow
def test_a_child_comes_back_with_a_model(challenger: Challenger) -> None:
    assert challenger.digest.startswith("sha256:")
    assert 0 < challenger.cutoff < 1
    assert challenger.metrics["false_positive_rate"] <= DEMANDS.max_false_positive_rate
    assert challenger.training_rows <= RECIPE.max_rows
    assert "network" in challenger.isolation


@pytest.mark.slow
def test_the_same_rows_give_the_same_bytes(challenger: Challenger) -> None:
    again = train(JANUARY, RECIPE, DEMANDS, max_model_mib=16)
    assert isinstance(again, Challenger)
    assert again.digest == challenger.digest


@pytest.mark.slow
def test_data_in_another_unit_lose_against_the_champion(challenger: Challenger) -> None:
    """The way from an export in another unit to the champion that is kept."""
    features, label, day = rows_of(date(2015, 1, 1), date(2015, 2, 1))
    features["distance_miles"] = features["distance_miles"] * np.float32(0.868976)
    export = pa.table({**features, LONG_FLIGHT: label, DAY: day})
    broken = train(export, RECIPE, DEMANDS, max_model_mib=16)
    assert isinstance(broken, Challenger)
    assert broken.metrics["f1"] == pytest.approx(challenger.metrics["f1"], abs=0.02)
    later, truth, _day = rows_of(date(2015, 2, 1), date(2015, 3, 1))
    found = compare(
        Scored(broken.digest, predict(broken.onnx, later), broken.cutoff),
        Scored(challenger.digest, predict(challenger.onnx, later), challenger.cutoff),
        truth.astype(np.float64),
        DEMANDS,
        min_rows=DEMANDS.min_rows,
    )
    assert found.decision is Decision.KEEP


@pytest.mark.slow
def test_too_long_is_no_challenger() -> None:
    recipe = Recipe(**{**vars(RECIPE), "hyperparameters": {"trees": 2000, "depth": 6}})
    demands = DEMANDS.model_copy(update={"max_seconds": 1})
    made = train(JANUARY, recipe, demands, max_model_mib=16)
    assert made == NoChallenger("training took longer than 1 seconds", True)


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [450, 600])
def test_too_little_memory_is_no_challenger(mebibytes: int) -> None:
    # Which library meets the limit, and what it says, differs: all that counts is the end.
    demands = DEMANDS.model_copy(update={"max_memory_mib": mebibytes, "max_seconds": 20})
    made = train(JANUARY, RECIPE, demands, max_model_mib=16)
    assert isinstance(made, NoChallenger)
    assert made.reason


@pytest.mark.slow
def test_a_refusal_of_the_recipe_is_told() -> None:
    features, label, day = rows_of(date(2015, 1, 1), date(2015, 2, 1))
    one_class = pa.table({**features, LONG_FLIGHT: np.zeros_like(label), DAY: day})
    made = train(one_class, RECIPE, DEMANDS, max_model_mib=16)
    assert made == NoChallenger(f"training refused: {LONG_FLIGHT!r} holds one class only", False)


@pytest.mark.slow
def test_a_model_too_large_to_write_is_no_challenger() -> None:
    recipe = Recipe(**{**vars(RECIPE), "hyperparameters": {"trees": 150, "depth": 8}})
    made = train(JANUARY, recipe, DEMANDS, max_model_mib=1)
    assert isinstance(made, NoChallenger)


def test_real_flights_are_fit_to_learn_from() -> None:
    features, label, day = rows_of(date(2015, 1, 1), date(2015, 2, 1))
    demands = Demands(
        min_rows=POLICY.min_rows,
        min_rows_per_class=100,
        max_null_rate=POLICY.max_null_rate,
        min_label_coverage=0.9,
        max_duplicate_share=0.05,
        max_single_auc=0.999,
        outlier_reach=3.0,
        time_from=np.datetime64("2015-01-01"),
        time_until=np.datetime64("2015-02-01"),
    )
    report = check_data(Table(features, label.astype(np.float64), day), demands)
    assert report.verdict is Verdict.PASS, report.reason


OK = ChildResult(Outcome.OK, 0, b"", "", 1.0, NOTHING_KNOWN)


@pytest.fixture
def written(tmp_path: Path, challenger: Challenger) -> tuple[Path, dict[str, Any]]:
    """A folder as the recipe leaves it, and its report, to be spoilt."""
    (tmp_path / "model.onnx").write_bytes(challenger.onnx)
    report = {
        "model_digest": challenger.digest,
        "quality": dict(challenger.metrics),
        "cutoff": challenger.cutoff,
        "data_digest": challenger.data_digest,
        "training_rows": challenger.training_rows,
    }
    return tmp_path, report


def read(folder: Path, report: dict[str, Any]) -> Challenger:
    (folder / "result.json").write_text(json.dumps(report))
    return _read(folder, OK, 1 << 24)


@pytest.mark.slow
def test_what_was_written_is_read(
    written: tuple[Path, dict[str, Any]], challenger: Challenger
) -> None:
    assert read(*written).digest == challenger.digest


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1, None, "0.9", True])
@pytest.mark.parametrize("name", ["f1", "brier", "cutoff"])
def test_a_figure_that_is_none_is_a_failure(
    written: tuple[Path, dict[str, Any]], name: str, value: Any
) -> None:
    folder, report = written
    place = report if name == "cutoff" else report["quality"]
    place[name] = value
    with pytest.raises(IntegrityFailed):
        read(folder, report)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model_digest", "quality", "data_digest", "training_rows"])
def test_a_report_without_a_part_is_a_failure(
    written: tuple[Path, dict[str, Any]], name: str
) -> None:
    folder, report = written
    del report[name]
    with pytest.raises(IntegrityFailed):
        read(folder, report)


@pytest.mark.slow
def test_other_bytes_than_reported_are_a_failure(written: tuple[Path, dict[str, Any]]) -> None:
    folder, report = written
    (folder / "model.onnx").write_bytes(b"something else")
    with pytest.raises(IntegrityFailed, match="not the one"):
        read(folder, report)


@pytest.mark.slow
def test_a_link_is_not_followed(
    written: tuple[Path, dict[str, Any]], tmp_path: Path, challenger: Challenger
) -> None:
    folder, report = written
    elsewhere = tmp_path / "elsewhere"
    (folder / "model.onnx").rename(elsewhere)
    (folder / "model.onnx").symlink_to(elsewhere)
    with pytest.raises(IntegrityFailed, match="missing"):
        read(folder, report)
