"""Gradient boosted trees for a yes / no question, as an ONNX model with raw inputs.

One model input for each feature (float or text, shape (n, 1)), so that the gateway sends
what the caller sent. The cut-off is chosen on rows that lie later in time than all the
training rows, for a false-positive rate that the caller allows; the quality is measured
there too, with the ONNX model itself.

    python -m trimtab.recipes.gradient_boosting --data rows.parquet --config c.json --out DIR

The configuration holds the keyword arguments of `train`. The last file written is
`result.json`: where it stands, the run succeeded. Otherwise the exit code is 1 and the
last line on standard error is a JSON object with `code`, `message` and `field`.

Source: Friedman (2001), Greedy function approximation: a gradient boosting machine.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, TrimtabError
from trimtab.recipes.frame import Column, Frame, checked, refuse_leaks, split_by_time

if TYPE_CHECKING:
    import pyarrow as pa

OPSET = 17
"""Of the default ONNX domain: new enough for every operator used, old enough for all runtimes."""


@dataclass(frozen=True)
class Hyperparameters:
    """Shape of the ensemble."""

    trees: int = 60
    depth: int = 4
    learning_rate: float = 0.1
    min_rows_per_leaf: int = 1


@dataclass(frozen=True)
class Limits:
    """What makes a run fail.

    `min_rows`: fewest rows to learn from, and fewest to measure on. `max_rows`: of more
    rows to learn from than this, a random sample of so many is taken. `max_parity`: the
    largest difference of probabilities between the ONNX model and the library.
    `max_single_auc`: the largest area under the ROC curve that one feature alone may
    have (above, it is taken for the label in disguise).
    """

    min_rows: int
    max_rows: int
    max_parity: float
    max_single_auc: float


@dataclass(frozen=True)
class Quality:
    """Shares measured on the validation slice, at the cut-off; each from 0 to 1."""

    precision: float
    recall: float
    f1: float
    false_positive_rate: float
    brier: float
    rows: int
    positives: int


@dataclass(frozen=True)
class TrainedModel:
    """What a run has made.

    The answer is yes where the second column of the output `probabilities` is at least
    `cutoff`. `parity` is the largest difference between the probabilities of the ONNX
    model and those of the library that trained it. `training_rows` were learnt from, out
    of `available_rows` that lay before the validation slice.
    """

    onnx: bytes
    cutoff: float
    quality: Quality
    parity: float
    training_rows: int
    available_rows: int
    data_digest: str
    hyperparameters: Hyperparameters
    features: dict[str, str]
    seed: int

    def result(self) -> dict[str, Any]:
        """Everything but the bytes, as JSON values, with the digest of the bytes."""
        fields = {name: value for name, value in asdict(self).items() if name != "onnx"}
        return fields | {"model_digest": "sha256:" + hashlib.sha256(self.onnx).hexdigest()}


def train(
    data: Mapping[str, Column] | pa.Table,
    *,
    features: Sequence[str],
    label: str,
    time: str,
    seed: int,
    max_fpr: float,
    validation_share: float,
    limits: Limits,
    hyperparameters: Hyperparameters | None = None,
) -> TrainedModel:
    """Train on the earlier rows, choose the cut-off and measure on the later ones.

    Args:
        data: Columns by name, or an Arrow table; rows in any order.
        features: Names of the model's inputs; text columns become categories, of which
            an unknown one is allowed when the model serves.
        label: Column of 0 / 1 or booleans.
        time: Column that orders the rows.
        seed: The same seed and rows give the same bytes.
        max_fpr: The highest false-positive rate allowed on the validation slice.
        validation_share: Share of the rows, the latest ones, that is held back.
        limits: What makes the run fail.
        hyperparameters: Shape of the ensemble.

    Raises:
        InvalidInput: unusable columns or arguments, one class, a leak, or no cut-off that
            lets a positive answer through.
        TooFewValues: fewer rows than `limits.min_rows` in either part.
        IntegrityFailed: the ONNX model does not answer as the trained one does, or a
            measured value is not finite.
    """
    shape = hyperparameters or Hyperparameters()
    _check_arguments(max_fpr, limits, shape)
    frame = checked(data, features=features, label=label, time=time)
    refuse_leaks(frame, max_single_auc=limits.max_single_auc)
    earlier, later = split_by_time(
        frame, validation_share=validation_share, min_rows=limits.min_rows
    )
    sample = _sample(earlier, limits.max_rows, seed)
    model, scores, parity = _trained(sample, later, shape, seed, limits.max_parity)
    cutoff = choose_cutoff(scores, later.label, max_fpr=max_fpr)
    return TrainedModel(
        onnx=model,
        cutoff=cutoff,
        quality=measure(scores, later.label, cutoff=cutoff),
        parity=parity,
        training_rows=len(sample),
        available_rows=len(earlier),
        data_digest=frame.digest,
        hyperparameters=shape,
        features={name: _kind(column) for name, column in frame.features.items()},
        seed=seed,
    )


def choose_cutoff(scores: NDArray[np.float64], label: Column, *, max_fpr: float) -> float:
    """The lowest cut-off at which no more than `max_fpr` of the negatives answer yes.

    Args:
        scores: Shape (n,), float32 values held as float64.
        label: Shape (n,), 0 / 1, with both classes.

    Raises:
        InvalidInput: at that cut-off no positive is left.
    """
    negatives = np.sort(scores[label == 0])[::-1]
    allowed = int(max_fpr * negatives.size)
    if allowed >= negatives.size:
        return float(scores.min())
    # One float32 step above the first negative that has to be turned away: the serving
    # process compares float32 scores.
    cutoff = float(np.nextafter(np.float32(negatives[allowed]), np.float32(2)))
    if not (scores[label == 1] >= cutoff).any():
        raise InvalidInput(
            f"no cut-off finds a positive at a false-positive rate of {max_fpr}", field="max_fpr"
        )
    return cutoff


def measure(scores: NDArray[np.float64], label: Column, *, cutoff: float) -> Quality:
    """Quality of `scores >= cutoff` against `label`.

    Raises:
        IntegrityFailed: a share is not finite (no positive answer, one class, a nan score).
    """
    yes, true = scores >= cutoff, label == 1
    hits, false_alarms = int((yes & true).sum()), int((yes & ~true).sum())
    positives, negatives = int(true.sum()), int((~true).sum())
    brier = float(np.mean((scores - label) ** 2))
    if not (hits and negatives and np.isfinite(brier)):
        raise IntegrityFailed("the quality cannot be measured: nothing found, or not a number")
    precision, recall = hits / (hits + false_alarms), hits / positives
    return Quality(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall),
        false_positive_rate=false_alarms / negatives,
        brier=brier,
        rows=int(label.size),
        positives=positives,
    )


def predict(model: bytes, features: Mapping[str, Column]) -> NDArray[np.float64]:
    """Probability of yes for each row, shape (n,), from the ONNX model on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {
        name: column.reshape(-1, 1).astype(object if column.dtype.kind == "U" else np.float32)
        for name, column in features.items()
    }
    (probabilities,) = session.run(["probabilities"], feed)
    return np.asarray(probabilities, dtype=np.float64)[:, 1]


def _check_arguments(max_fpr: float, limits: Limits, shape: Hyperparameters) -> None:
    if not 0 < max_fpr < 1:
        raise InvalidInput("the rate lies between 0 and 1", field="max_fpr")
    if limits.min_rows < 1 or limits.max_rows < limits.min_rows:
        raise InvalidInput("min_rows is at least 1, max_rows no less", field="limits")
    if min(shape.trees, shape.depth, shape.min_rows_per_leaf) < 1 or not shape.learning_rate > 0:
        raise InvalidInput("an ensemble needs positive sizes", field="hyperparameters")


def _trained(
    sample: Frame, later: Frame, shape: Hyperparameters, seed: int, max_parity: float
) -> tuple[bytes, NDArray[np.float64], float]:
    """The ONNX model, its scores of the later rows, and how far the library's differ."""
    if sample.label.min() == sample.label.max():
        raise InvalidInput("the sampled rows hold one class only", field="limits.max_rows")
    pipeline = _fit(sample, shape, seed)
    model = _to_onnx(pipeline, sample)
    scores = predict(model, later.features)
    parity = float(np.abs(scores - pipeline.predict_proba(_matrix(later))[:, 1]).max())
    if not parity <= max_parity:  # written so that nan fails
        raise IntegrityFailed(f"the ONNX model answers differently by {parity:.2g}")
    return model, scores, parity


def _sample(frame: Frame, max_rows: int, seed: int) -> Frame:
    if len(frame) <= max_rows:
        return frame
    chosen = np.random.default_rng(seed).choice(len(frame), size=max_rows, replace=False)
    return frame.rows(np.sort(chosen))


def _kind(column: Column) -> str:
    return "category" if column.dtype.kind == "U" else "number"


def _matrix(frame: Frame) -> NDArray[np.object_]:
    """The features side by side; objects, because numbers stand next to text."""
    matrix = np.empty((len(frame), len(frame.features)), dtype=object)
    for position, column in enumerate(frame.features.values()):
        matrix[:, position] = column
    return matrix


def _fit(frame: Frame, shape: Hyperparameters, seed: int) -> Any:
    # Not the histogram variant: its converter to ONNX fails with the onnx release pinned
    # here, and on some ten thousand rows it is no faster.
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    names = list(frame.features)
    texts = [names.index(name) for name in frame.categories]
    numbers = [position for position in range(len(names)) if position not in texts]
    parts: list[tuple[str, Any, list[int]]] = []
    if numbers:
        parts.append(("numbers", "passthrough", numbers))
    if texts:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        parts.append(("categories", encoder, texts))
    trees = GradientBoostingClassifier(
        n_estimators=shape.trees,
        max_depth=shape.depth,
        learning_rate=shape.learning_rate,
        min_samples_leaf=shape.min_rows_per_leaf,
        random_state=seed,
    )
    pipeline = Pipeline([("columns", ColumnTransformer(parts)), ("trees", trees)])
    return pipeline.fit(_matrix(frame), frame.label)


def _to_onnx(pipeline: Any, frame: Frame) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    inputs = [
        (
            name,
            StringTensorType([None, 1])
            if _kind(column) == "category"
            else FloatTensorType([None, 1]),
        )
        for name, column in frame.features.items()
    ]
    # Named, because the default name is random and the bytes have to be repeatable.
    model = convert_sklearn(
        pipeline,
        name="gradient_boosting",
        initial_types=inputs,
        options={id(pipeline): {"zipmap": False}},
        target_opset=OPSET,
    )
    # The converter collects the domains in a set, whose order changes with each process.
    domains = sorted((entry.domain, entry.version) for entry in model.opset_import)
    for entry, (domain, version) in zip(model.opset_import, domains, strict=True):
        entry.domain, entry.version = domain, version
    return bytes(model.SerializeToString(deterministic=True))


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, also after a power cut."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _configuration(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the configuration is unreadable: {error}", field="config") from error
    if not isinstance(config, dict):
        raise InvalidInput("the configuration is not an object", field="config")
    required = set(inspect.signature(train).parameters) - {"data", "hyperparameters"}
    missing, unknown = required - set(config), set(config) - required - {"hyperparameters"}
    if missing or unknown:
        raise InvalidInput(
            f"missing keys: {sorted(missing)}; unknown keys: {sorted(unknown)}", field="config"
        )
    try:
        config["limits"] = Limits(**config["limits"])
        config["hyperparameters"] = Hyperparameters(**config.get("hyperparameters", {}))
    except TypeError as error:
        raise InvalidInput(str(error), field="config") from error
    return config


def _table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(f"the data are unreadable: {error}", field="data") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one training; 0 when `result.json` was written, 1 with a JSON error otherwise."""
    parser = argparse.ArgumentParser(prog="trimtab.recipes.gradient_boosting")
    for name in ("data", "config", "out"):
        parser.add_argument("--" + name, type=Path, required=True)
    chosen = parser.parse_args(arguments)
    try:
        trained = train(_table(chosen.data), **_configuration(chosen.config))
        chosen.out.mkdir(parents=True, exist_ok=True)
        _write(chosen.out / "model.onnx", trained.onnx)
        report = json.dumps(trained.result(), indent=2, sort_keys=True, allow_nan=False)
        _write(chosen.out / "result.json", report.encode() + b"\n")
    except TrimtabError as error:
        told = {"code": error.code, "message": error.message, "field": error.field}
        sys.stderr.write(json.dumps(told) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
