"""Scores from real models, in this process and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.execution import Scorer, input_spec, main, parse_request, score_rows
from trimtab.kernel.errors import IntegrityFailed, InvalidInput, PolicyRefused


def model_of(nodes: list[Any], outputs: list[Any], inputs: list[Any] | None = None) -> bytes:
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph(nodes, "g", inputs or [x], outputs)
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def floats(name: str, *dims: int | None) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims))


def a_score() -> bytes:
    """Adds its two features up, and calls the sum `score`."""
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1])
    total = helper.make_node("ReduceSum", ["X", "axes"], ["score"], keepdims=1)
    return model_of([axes, total], [floats("score", None, 1)])


def endless(trips: int) -> bytes:
    """Loops `trips` times before it answers."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["in"], ["out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            floats("in", None, 2),
        ],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), floats("out", None, 2)],
    )
    nodes = [
        helper.make_node("Constant", [], ["m"], value_int=trips),
        helper.make_node("Loop", ["m", "", "X"], ["score"], body=body),
    ]
    return model_of(nodes, [floats("score", None, 2)])


def test_a_matrix_model_scores_as_scikit_learn_does(numeric: Any) -> None:
    scores = score_rows(numeric.onnx, numeric.columns)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, numeric.probabilities, atol=1e-6)


def test_a_model_of_columns_scores_as_scikit_learn_does(mixed: Any) -> None:
    np.testing.assert_allclose(
        score_rows(mixed.onnx, mixed.columns), mixed.probabilities, atol=1e-5
    )


def test_columns_are_taken_by_name_and_a_matrix_by_order(numeric: Any, mixed: Any) -> None:
    turned = dict(reversed(mixed.columns.items()))
    np.testing.assert_allclose(score_rows(mixed.onnx, turned), mixed.probabilities, atol=1e-5)
    turned = dict(reversed(numeric.columns.items()))
    scores = score_rows(numeric.onnx, turned, feature_order="abcd")
    np.testing.assert_allclose(scores, numeric.probabilities, atol=1e-6)
    assert not np.allclose(score_rows(numeric.onnx, turned), numeric.probabilities)


def test_how_a_model_takes_its_features(numeric: Any, mixed: Any) -> None:
    matrix, columns = Scorer(numeric.onnx).spec, Scorer(mixed.onnx).spec
    assert (matrix.layout, matrix.names, matrix.inputs[0].width) == ("matrix", ("X",), 4)
    assert (columns.layout, columns.names) == ("columns", ("amount", "age", "country"))
    assert [c.dtype for c in columns.inputs] == ["float32", "float32", "object"]


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [("x", "tensor(float)", [None, 3, 3])],
        [("x", "tensor(float)", None)],
        [("x", "sequence(int64)", [None, 1])],
        [("x", "tensor(float)", [None, 3]), ("y", "tensor(float)", [None, 1])],
    ],
)
def test_graphs_that_take_no_rows_are_refused(inputs: list[Any]) -> None:
    with pytest.raises(InvalidInput):
        input_spec(inputs)


def test_unknown_categories_and_missing_text_still_score(mixed: Any) -> None:
    columns = {name: column[:2] for name, column in mixed.columns.items()}
    columns["country"] = np.array(["Atlantis", None], dtype=object)
    assert np.isfinite(score_rows(mixed.onnx, columns)).all()


def test_a_missing_number_is_an_error_and_no_score(numeric: Any) -> None:
    columns = {name: column.copy() for name, column in numeric.columns.items()}
    columns["a"][3] = np.nan
    with pytest.raises(InvalidInput, match="no finite score"):
        score_rows(numeric.onnx, columns)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("amount", np.array(["1", "2"], dtype=object)),
        ("amount", np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]")),
        ("amount", np.zeros((2, 2))),
        ("amount", np.zeros(3)),
    ],
)
def test_columns_of_the_wrong_kind_are_refused(mixed: Any, name: str, values: Any) -> None:
    columns = {n: c[:2] for n, c in mixed.columns.items()} | {name: values}
    with pytest.raises(InvalidInput) as refused:
        score_rows(mixed.onnx, columns)
    assert (refused.value.field or "").startswith("columns")


def test_missing_and_surplus_features(numeric: Any, mixed: Any) -> None:
    fewer = {n: c for n, c in mixed.columns.items() if n != "age"}
    with pytest.raises(InvalidInput, match="'age' is missing"):
        score_rows(mixed.onnx, fewer)
    score_rows(mixed.onnx, mixed.columns | {"extra": mixed.columns["age"]})
    with pytest.raises(InvalidInput, match="takes 4 features, not 5"):
        score_rows(numeric.onnx, numeric.columns | {"e": numeric.columns["a"]})


def test_whole_numbers_are_not_rounded_into_place() -> None:
    x = helper.make_tensor_value_info("X", TensorProto.INT64, [None, 2])
    nodes = [
        helper.make_node("Cast", ["X"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["f"], ["score"], keepdims=1),
    ]
    model = model_of(nodes, [floats("score", None, 1)], [x])
    one = np.array([1.0])
    assert score_rows(model, {"a": one, "b": np.array([2.0])}) == [2.0]
    assert score_rows(model, {"a": one, "b": np.array([True])}) == [1.0]
    for bad in (1.5, np.nan, 1e300, None):
        with pytest.raises(InvalidInput, match="missing, fractional"):
            score_rows(model, {"a": one, "b": np.array([bad])})


def test_a_single_score_column_is_taken_as_it_is() -> None:
    scores = score_rows(a_score(), {"a": np.array([1.0, 20.0]), "b": np.array([2.0, 30.0])})
    np.testing.assert_array_equal(scores, [3.0, 50.0])


def test_a_map_for_each_row_is_read_too() -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    rows = rng.normal(size=(80, 2)).astype(np.float32)
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    data = to_onnx(model, rows[:1], target_opset=18).SerializeToString()
    assert Scorer(data).output == "output_probability"
    scores = score_rows(data, {"a": rows[:, 0], "b": rows[:, 1]})
    np.testing.assert_allclose(scores, model.predict_proba(rows)[:, 1], atol=1e-6)


def test_several_classes_need_a_positive_one() -> None:
    wide = helper.make_node("Concat", ["X", "X"], ["four"], axis=1)
    soft = helper.make_node("Softmax", ["four"], ["probabilities"], axis=1)
    model = model_of([wide, soft], [floats("probabilities", None, 4)])
    columns = {"a": np.array([0.0]), "b": np.array([1.0])}
    with pytest.raises(InvalidInput, match="knows 4 classes"):
        score_rows(model, columns)
    assert 0 < Scorer(model, positive_class=3).score(columns)[0] < 1
    with pytest.raises(InvalidInput, match="no class 4"):
        Scorer(model, positive_class=4).score(columns)


def test_two_columns_that_are_no_probabilities_are_refused() -> None:
    model = model_of([helper.make_node("Identity", ["X"], ["Y"])], [floats("Y", None, 2)])
    with pytest.raises(InvalidInput, match="no probabilities"):
        score_rows(model, {"a": np.array([0.0]), "b": np.array([7.0])})


def test_an_output_is_named_or_clear() -> None:
    nodes = [helper.make_node("Identity", ["X"], [name]) for name in ("p", "q")]
    model = model_of(nodes, [floats("p", None, 2), floats("q", None, 2)])
    with pytest.raises(InvalidInput, match="several outputs"):
        Scorer(model)
    assert Scorer(model, output="q").output == "q"
    with pytest.raises(InvalidInput, match="no output"):
        Scorer(model, output="r")


def test_a_model_that_answers_with_another_number_of_rows_is_refused() -> None:
    twice = helper.make_node("Concat", ["X", "X"], ["Y"], axis=0)
    with pytest.raises(InvalidInput, match="no finite score"):
        score_rows(
            model_of([twice], [floats("Y", None, 2)]), {"a": np.array([0.1]), "b": np.array([0.2])}
        )


def test_external_data_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime itself would read `weights` from the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(np.zeros(2, dtype=np.float32).tobytes())
    model = onnx.load_from_string(
        model_of([helper.make_node("Add", ["X", "w"], ["score"])], [floats("score", None, 2)])
    )
    tensor = model.graph.initializer.add(name="w", data_type=1, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    with pytest.raises(PolicyRefused) as refused:
        Scorer(model.SerializeToString())
    assert refused.value.field == "external_data"
    assert refused.value.remedy is not None


def test_other_domains_and_broken_models_are_refused(numeric: Any) -> None:
    node = helper.make_node("Gelu", ["X"], ["score"], domain="com.microsoft")
    with pytest.raises(PolicyRefused):
        Scorer(model_of([node], [floats("score", None, 2)]))
    for broken in (b"", numeric.onnx[:-10], b"\x80\x04.", b"ORTM" * 8):
        with pytest.raises((IntegrityFailed, InvalidInput)):
            Scorer(broken)
    node = helper.make_node("NoSuchOperator", ["X"], ["score"])
    with pytest.raises(InvalidInput, match="does not load"):
        Scorer(model_of([node], [floats("score", None, 2)]))


def request_for(tmp_path: Path, model: bytes, columns: dict[str, Any], **more: Any) -> Path:
    (tmp_path / "model.onnx").write_bytes(model)
    pq.write_table(pa.table(columns), tmp_path / "data.parquet")
    parts = {
        "model": str(tmp_path / "model.onnx"),
        "data": str(tmp_path / "data.parquet"),
        "scores": str(tmp_path / "scores.npy"),
        "features": [name for name in columns if name != "outcome"],
        **more,
    }
    (tmp_path / "request.json").write_text(json.dumps(parts))
    return tmp_path / "request.json"


def test_a_table_is_scored_in_a_process_of_its_own(tmp_path: Path, mixed: Any) -> None:
    outcome = pa.array([1, 0, None] * 100)
    columns = {n: list(c) for n, c in mixed.columns.items()} | {"outcome": outcome}
    request = request_for(
        tmp_path,
        mixed.onnx,
        columns,
        label="outcome",
        labels=str(tmp_path / "labels.npy"),
        threshold=0.5,
        artifact=sha256_of(mixed.onnx),
    )
    command = [sys.executable, "-m", "trimtab.artifacts.execution"]
    done = subprocess.run(
        command, input=request.read_bytes(), capture_output=True, check=True, timeout=60
    )
    answer = json.loads(done.stdout)
    assert done.stderr == b""
    scores = np.load(tmp_path / "scores.npy", allow_pickle=False)
    np.testing.assert_allclose(scores, mixed.probabilities, atol=1e-5)
    labels = np.load(tmp_path / "labels.npy", allow_pickle=False)
    assert (labels[0], labels[1], np.isnan(labels[2])) == (1.0, 0.0, True)
    assert (answer["rows"], answer["layout"], answer["output"]) == (300, "columns", "probabilities")
    assert answer["outputs"] == ["label", "probabilities"]
    assert answer["positives"] == int((scores >= 0.5).sum())
    assert answer["load_seconds"] > 0
    assert answer["score_seconds"] > 0


def answered(capsys: pytest.CaptureFixture[str], request: Path) -> tuple[int, Any]:
    code = main([str(request)])
    return code, json.loads(capsys.readouterr().out)


def test_refusals_are_answers_too(
    tmp_path: Path, numeric: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {n: list(c) for n, c in numeric.columns.items()}
    for more, code in (
        ({"artifact": sha256_of(b"another")}, "integrity_failed"),
        ({"label": "nothing"}, "invalid_input"),
        ({"max_rows": 10}, "invalid_input"),
        ({"max_model_bytes": 10}, "invalid_input"),
        ({"data": str(tmp_path / "nothing")}, "unavailable"),
        ({"data": str(tmp_path / "request.json")}, "invalid_input"),
    ):
        request = request_for(tmp_path, numeric.onnx, columns, **more)
        status, answer = answered(capsys, request)
        assert (status, answer["error"]["code"]) == (1, code)
        assert not (tmp_path / "scores.npy").exists()
    os.link(tmp_path / "model.onnx", tmp_path / "second")
    assert answered(capsys, request_for(tmp_path, numeric.onnx, columns))[0] == 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"model": "m", "data": "d", "scores": "s"}',
        b'{"model": "m", "data": "d", "scores": "s", "features": []}',
        b'{"model": "m", "data": "d", "scores": "s", "features": [1]}',
        b'{"model": 1, "data": "d", "scores": "s", "features": ["a"]}',
        b'{"model": "m", "data": "d", "scores": "s", "features": ["a"], "threads": 4}',
        b'{"model": "m", "data": "d", "scores": "s", "features": ["a"], "max_rows": true}',
        b'{"model": "m", "model": "n", "data": "d", "scores": "s", "features": ["a"]}',
    ],
)
def test_requests_are_read_strictly(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_request(text)


@pytest.mark.slow
def test_a_model_that_loops_for_ever_is_ended_from_outside(tmp_path: Path) -> None:
    columns = {"a": [1.0], "b": [2.0]}
    command = [sys.executable, "-m", "trimtab.artifacts.execution"]
    request = request_for(tmp_path, endless(3), columns, positive_class=1, output="score")
    quick = subprocess.run([*command, str(request)], capture_output=True, timeout=60, check=False)
    assert b"no probabilities" in quick.stdout  # three trips end, with 2.0 as the answer
    request = request_for(tmp_path, endless(10**12), columns, positive_class=1, output="score")
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([*command, str(request)], capture_output=True, timeout=3, check=False)
    assert time.monotonic() - started < 10
    assert not (tmp_path / "scores.npy").exists()
