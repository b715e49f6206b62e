"""The recipe: time order, leaks, cut-off, parity with ONNX, and clear refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, TooFewValues
from trimtab.recipes import gradient_boosting as recipe
from trimtab.recipes.frame import checked, refuse_leaks, split_by_time
from trimtab.recipes.gradient_boosting import Hyperparameters, Limits, TrainedModel

Columns = dict[str, NDArray[Any]]

LIMITS = Limits(min_rows=50, max_rows=5_000, max_parity=1e-5, max_single_auc=0.995)
FEATURES = ("size", "colour")


def rows(n: int = 1_200, seed: int = 7) -> Columns:
    """Yes is likelier for large and for red things; moments are in no order."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    colour = rng.choice(np.array(["red", "green", "blue"]), size=n)
    odds = 2 * size + 1.5 * (colour == "red") + rng.normal(size=n)
    moment = np.datetime64("2015-01-01", "us") + rng.permutation(n).astype("timedelta64[h]")
    return {"size": size, "colour": colour, "yes": (odds > 0.5).astype(np.int8), "at": moment}


def trained(data: Columns | None = None, **changes: Any) -> TrainedModel:
    arguments: dict[str, Any] = {
        "features": FEATURES,
        "label": "yes",
        "time": "at",
        "seed": 1,
        "max_fpr": 0.1,
        "validation_share": 0.25,
        "limits": LIMITS,
    }
    return recipe.train(rows() if data is None else data, **(arguments | changes))


def test_quality_is_that_of_the_model_itself_on_the_latest_rows() -> None:
    data, model = rows(), trained()
    latest = np.argsort(data["at"])[-300:]
    scores = recipe.predict(model.onnx, {name: data[name][latest] for name in FEATURES})
    yes, label = scores >= model.cutoff, data["yes"][latest] == 1
    assert model.quality.rows == 300
    assert model.quality.recall == pytest.approx(yes[label].mean())
    assert model.quality.precision == pytest.approx(label[yes].mean())
    assert model.quality.false_positive_rate == pytest.approx(yes[~label].mean())
    assert model.quality.brier == pytest.approx(np.mean((scores - label) ** 2))
    assert model.training_rows == model.available_rows == 900


def test_it_learns_something() -> None:
    assert trained().quality.recall > 0.5
    assert trained().quality.brier < 0.15


@pytest.mark.parametrize("max_fpr", [0.02, 0.1, 0.3])
def test_the_cutoff_keeps_the_rate_and_no_lower_one_would(max_fpr: float) -> None:
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, size=400)
    scores = np.round(0.3 * label + 0.7 * rng.random(400), 2).astype(np.float32).astype(float)
    cutoff = recipe.choose_cutoff(scores, label, max_fpr=max_fpr)
    negatives = scores[label == 0]
    assert (negatives >= cutoff).mean() <= max_fpr
    lower = scores[scores < cutoff].max()
    assert (negatives >= lower).mean() > max_fpr


@pytest.mark.parametrize(("max_fpr", "false_alarms"), [(0.05, 5), (0.059, 5), (0.001, 0)])
def test_the_cutoff_spends_the_whole_allowance_and_no_more(
    max_fpr: float, false_alarms: int
) -> None:
    negatives = np.linspace(0.1, 0.8, 100, dtype=np.float32).astype(float)
    scores = np.append(negatives, np.full(10, 0.9))
    label = np.repeat([0, 1], [100, 10])
    cutoff = recipe.choose_cutoff(scores, label, max_fpr=max_fpr)
    assert (negatives >= cutoff).sum() == false_alarms


def test_no_cutoff_for_a_model_that_ranks_backwards() -> None:
    label = np.repeat([0, 1], 50)
    with pytest.raises(InvalidInput, match="no cut-off") as caught:
        recipe.choose_cutoff(1.0 - label, label, max_fpr=0.01)
    assert caught.value.field == "max_fpr"


@pytest.mark.parametrize(
    ("scores", "label"),
    [
        (np.zeros(4), np.array([0, 0, 1, 1])),
        (np.array([0.1, np.nan, 0.9, 0.9]), np.array([0, 0, 1, 1])),
        (np.full(4, 0.9), np.array([1, 1, 1, 1])),
    ],
)
def test_quality_that_cannot_be_measured_is_never_a_number(
    scores: NDArray[np.float64], label: NDArray[np.int64]
) -> None:
    with pytest.raises(IntegrityFailed):
        recipe.measure(scores, label, cutoff=0.5)


def test_one_input_for_each_feature_and_no_custom_operator() -> None:
    model = onnx.load_from_string(trained().onnx)
    inputs = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    assert inputs == {"size": onnx.TensorProto.FLOAT, "colour": onnx.TensorProto.STRING}
    assert [output.name for output in model.graph.output] == ["label", "probabilities"]
    assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx", "ai.onnx.ml"}


def test_an_unknown_category_gets_an_answer() -> None:
    features = {"size": np.zeros(1, np.float32), "colour": np.array(["violet"])}
    (score,) = recipe.predict(trained().onnx, features)
    assert 0 < score < 1


@pytest.mark.parametrize("features", [("size",), ("colour",), ("colour", "size")])
def test_numbers_or_text_alone_and_in_any_order(features: tuple[str, ...]) -> None:
    assert list(trained(features=features, max_fpr=0.5).features) == list(features)


def test_the_same_seed_and_rows_give_the_same_bytes() -> None:
    data = rows()
    shuffled = np.random.default_rng(0).permutation(len(data["yes"]))
    again = trained({name: column[shuffled] for name, column in data.items()})
    assert again == trained(data)


def test_other_rows_have_another_digest() -> None:
    data = rows()
    changed = data | {"size": data["size"].copy()}
    changed["size"][0] += 1
    assert trained(changed).data_digest != trained(data).data_digest


def test_too_many_rows_are_sampled_and_the_result_says_so() -> None:
    model = trained(limits=replace(LIMITS, max_rows=200))
    assert (model.training_rows, model.available_rows) == (200, 900)
    assert model == trained(limits=replace(LIMITS, max_rows=200))


def test_a_difference_between_onnx_and_library_is_refused() -> None:
    assert 0 < trained().parity < 1e-5
    with pytest.raises(IntegrityFailed, match="answers differently"):
        trained(limits=replace(LIMITS, max_parity=0.0))


def test_the_later_part_lies_later_even_when_moments_repeat() -> None:
    data = rows()
    data["at"] = data["at"].astype("datetime64[D]")
    frame = checked(data, features=FEATURES, label="yes", time="at")
    earlier, later = split_by_time(frame, validation_share=0.25, min_rows=50)
    assert earlier.time.max() < later.time.min()
    assert len(earlier) + len(later) == 1_200


def test_one_single_moment_cannot_be_split() -> None:
    data = rows() | {"at": np.zeros(1_200)}
    with pytest.raises(TooFewValues, match="0 earlier rows"):
        trained(data)


@pytest.mark.parametrize("leak", ["label_as_number", "label_as_text"])
def test_the_label_in_disguise_is_refused(leak: str) -> None:
    data = rows()
    copy = {
        "label_as_number": 5.0 - data["yes"],
        "label_as_text": np.where(data["yes"] == 1, "paid", "unpaid"),
    }
    with pytest.raises(InvalidInput, match="alone tells the label") as caught:
        trained(data | {leak: copy[leak]}, features=(*FEATURES, leak))
    assert caught.value.field == f"features.{leak}"


def test_a_good_honest_feature_is_no_leak() -> None:
    refuse_leaks(checked(rows(), features=FEATURES, label="yes", time="at"), max_single_auc=0.995)


@pytest.mark.parametrize("forbidden", ["yes", "at"])
def test_label_and_time_are_no_features(forbidden: str) -> None:
    with pytest.raises(InvalidInput, match="not known when"):
        trained(features=("size", forbidden))


def broken(name: str) -> Columns:
    data = rows()
    size, label = data["size"].copy(), data["yes"].copy()
    size[3] = np.nan
    one_class_later = np.where(np.argsort(np.argsort(data["at"])) >= 900, 1, label)
    changes: dict[str, Columns] = {
        "nan": {"size": size},
        "one class": {"yes": np.ones_like(label)},
        "one class later": {"yes": one_class_later},
        "three classes": {"yes": label + (np.arange(label.size) == 5) * 2},
        "lengths": {"size": size[:-1]},
        "no moment": {"at": np.full(label.size, "NaT", dtype="datetime64[us]")},
        "objects": {"colour": np.array([None, *data["colour"][1:]], dtype=object)},
    }
    return data | changes[name]


@pytest.mark.parametrize(
    "name",
    ["nan", "one class", "one class later", "three classes", "lengths", "no moment", "objects"],
)
def test_unusable_rows_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        trained(broken(name))


def test_empty_cells_of_a_table_are_refused() -> None:
    table = pa.table(rows())
    holes = pa.array([None, *table["size"].to_pylist()[1:]])
    with pytest.raises(InvalidInput, match="empty cells"):
        recipe.train(
            table.set_column(0, "size", holes),
            features=FEATURES,
            label="yes",
            time="at",
            seed=1,
            max_fpr=0.1,
            validation_share=0.25,
            limits=LIMITS,
        )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"max_fpr": 0.0}, "max_fpr"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"features": ()}, "features"),
        ({"features": ("size", "size")}, "features"),
        ({"features": ("size", "shape")}, "data.shape"),
        ({"limits": replace(LIMITS, max_rows=10)}, "limits"),
        ({"hyperparameters": Hyperparameters(trees=0)}, "hyperparameters"),
    ],
)
def test_unusable_arguments_name_their_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        trained(**change)
    assert caught.value.field == field


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(TooFewValues):
        trained({name: column[:80] for name, column in rows().items()})


CONFIG = {
    "features": list(FEATURES),
    "label": "yes",
    "time": "at",
    "seed": 1,
    "max_fpr": 0.1,
    "validation_share": 0.25,
    "limits": {"min_rows": 50, "max_rows": 5_000, "max_parity": 1e-5, "max_single_auc": 0.995},
    "hyperparameters": {"trees": 20, "depth": 3},
}


def files(folder: Path, config: object = CONFIG, data: Columns | None = None) -> list[str]:
    pq.write_table(pa.table(rows() if data is None else data), folder / "rows.parquet")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    named = {"--data": "rows.parquet", "--config": "config.json", "--out": "out"}
    return [part for name, file in named.items() for part in (name, str(folder / file))]


@pytest.mark.slow
def test_it_runs_as_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "trimtab.recipes.gradient_boosting"]
    done = subprocess.run(
        [*command, *files(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    told = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    model = trained(hyperparameters=Hyperparameters(trees=20, depth=3))
    assert (tmp_path / "out" / "model.onnx").read_bytes() == model.onnx
    assert told == json.loads(json.dumps(model.result()))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model.onnx", "result.json"]


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_order_of_hashes(tmp_path: Path) -> None:
    made = set()
    for seed in range(6):  # the chance that six orders of two domains agree is 1 in 32
        command = [sys.executable, "-m", "trimtab.recipes.gradient_boosting", *files(tmp_path)]
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        subprocess.run(command, check=True, timeout=60, env=environment)
        made.add((tmp_path / "out" / "model.onnx").read_bytes())
    assert len(made) == 1


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ([], "config"),
        ({}, "config"),
        (CONFIG | {"learning_speed": 1}, "config"),
        (CONFIG | {"limits": {"min_rows": 5}}, "config"),
        (CONFIG | {"hyperparameters": {"branches": 3}}, "config"),
        (CONFIG | {"features": ["shape"]}, "data.shape"),
    ],
)
def test_a_refusal_is_one_line_of_json_and_leaves_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: object, field: str
) -> None:
    assert recipe.main(files(tmp_path, config)) == 1
    told = json.loads(capsys.readouterr().err)
    assert (told["code"], told["field"]) == ("invalid_input", field)
    assert not (tmp_path / "out").exists()


def test_unreadable_data_are_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = files(tmp_path)
    (tmp_path / "rows.parquet").write_bytes(b"not a table")
    assert recipe.main(arguments) == 1
    assert json.loads(capsys.readouterr().err)["field"] == "data"


@pytest.mark.slow
def test_importing_the_recipe_loads_no_training_library() -> None:
    code = (
        "import sys, trimtab.recipes.gradient_boosting\n"
        "heavy = {'sklearn', 'skl2onnx', 'onnx', 'onnxruntime', 'pyarrow', 'pandas'}\n"
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
