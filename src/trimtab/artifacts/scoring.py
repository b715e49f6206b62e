"""Running an ONNX model on columns: one score for each row.

The gateway, retraining and the checks all score through `Scorer`, so that a model is
judged by the code that serves it. Loads `onnxruntime` and `numpy` when called.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trimtab.artifacts.wire import ALLOWED_DOMAINS, guard_model
from trimtab.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Column = Any
"""A one-dimensional numpy array: numbers, booleans or text."""

_NUMPY_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint64)": "uint64",
    "tensor(uint32)": "uint32",
    "tensor(uint16)": "uint16",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
_SCORE_NAMES = ("probabilities", "output_probability", "score", "scores")


@dataclass(frozen=True)
class InputColumn:
    """One input of the graph: its name, numpy type, width (None: open) and rank."""

    name: str
    dtype: str
    width: int | None
    rank: int


@dataclass(frozen=True)
class InputSpec:
    """How a model takes its features.

    `matrix`: one tensor of shape [rows, features], in the order of the features.
    `columns`: one input per feature, of shape [rows, 1] or [rows].
    """

    layout: Literal["matrix", "columns"]
    inputs: tuple[InputColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the graph's inputs, which are the features in the `columns` layout."""
        return tuple(column.name for column in self.inputs)


def input_spec(inputs: Sequence[tuple[str, str, Sequence[int | str | None] | None]]) -> InputSpec:
    """How a graph with these inputs takes its features.

    Args:
        inputs: Name, type as ONNX Runtime writes it (`tensor(float)`), and shape of each.

    Raises:
        InvalidInput: an input that is neither a column nor the one matrix.
    """
    columns = []
    for name, kind, shape in inputs:
        if kind not in _NUMPY_TYPES or shape is None or len(shape) not in (1, 2):
            raise InvalidInput(
                f"input {name!r} is {kind} of shape {shape}, not rows of features",
                field="model",
                remedy="Convert the model with one [rows, features] tensor or one per feature.",
            )
        width = shape[1] if len(shape) == 2 else 1
        columns.append(
            InputColumn(
                name, _NUMPY_TYPES[kind], width if isinstance(width, int) else None, len(shape)
            )
        )
    if not columns:
        raise InvalidInput("the model takes no input", field="model")
    if len(columns) == 1 and columns[0].width != 1:
        return InputSpec("matrix", tuple(columns))
    if any(column.width not in (1, None) for column in columns):
        raise InvalidInput("the model takes several matrices", field="model")
    return InputSpec("columns", tuple(columns))


class Scorer:
    """A model loaded for scoring, on one thread of the CPU.

    Args:
        model: The model's bytes; verified before, if anybody will act on the scores.
        output: The output to read; None looks for probabilities or the only float output.
        positive_class: Column of the positive class where there are several columns;
            None is the second of two.
        max_depth, max_fields: Bounds on the model's structure, as for `wire.guard_model`.

    Raises:
        IntegrityFailed, PolicyRefused: as `wire.guard_model`.
        InvalidInput: not a model that ONNX Runtime can load, or not one of rows.
    """

    def __init__(
        self,
        model: bytes,
        *,
        output: str | None = None,
        positive_class: int | None = None,
        max_depth: int = 40,
        max_fields: int = 20_000_000,
    ):
        # Given bytes, the runtime would look for external data in the working directory.
        guard_model(
            model, max_depth=max_depth, max_fields=max_fields, allowed_domains=ALLOWED_DOMAINS
        )
        self._session = _session(model)
        self._positive_class = positive_class
        self.spec = input_spec([(i.name, i.type, i.shape) for i in self._session.get_inputs()])
        self.outputs: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())
        self.output = self._choose_output(output)

    def score(
        self, columns: Mapping[str, Column], *, feature_order: Sequence[str] | None = None
    ) -> NDArray[np.float64]:
        """The score of each row; of a classifier, the probability of the positive class.

        Args:
            columns: Feature name -> array of shape (n,). Features the model does not take
                are an error in the matrix layout and ignored in the columns layout.
            feature_order: Order of the matrix's columns; that of `columns` by default.

        Returns:
            Shape (n,), finite.

        Raises:
            InvalidInput: a feature is missing or of the wrong type or length, or the
                model fails on these rows or answers with something else than one finite
                score for each; never a score of 0 or nan instead.
        """
        import numpy as np

        rows = _row_count(columns)
        feeds = (
            self._matrix(columns, feature_order or tuple(columns))
            if self.spec.layout == "matrix"
            else {c.name: _feed(c, columns) for c in self.spec.inputs}
        )
        try:
            answer = self._session.run([self.output], feeds)[0]
        except _runtime_errors() as error:
            raise InvalidInput(
                f"the model failed on these rows: {type(error).__name__}", field="columns"
            ) from error
        scores = self._positive(answer)
        if scores.shape != (rows,) or not np.isfinite(scores).all():
            raise InvalidInput("the model gave no finite score for some rows", field="columns")
        return scores

    def _matrix(self, columns: Mapping[str, Column], order: Sequence[str]) -> dict[str, Any]:
        import numpy as np

        target = self.spec.inputs[0]
        if set(order) != set(columns) or target.width not in (None, len(order)):
            raise InvalidInput(
                f"the model takes {target.width or 'other'} features, not {len(order)}",
                field="columns",
            )
        parts = [_converted(name, columns[name], target.dtype) for name in order]
        return {target.name: np.column_stack(parts)}

    def _choose_output(self, wanted: str | None) -> str:
        kinds = {o.name: o.type for o in self._session.get_outputs()}
        if wanted is not None:
            if wanted not in kinds:
                raise InvalidInput(f"the model has no output {wanted!r}", field="output")
            return wanted
        named = [name for name in _SCORE_NAMES if name in kinds]
        floats = [n for n, kind in kinds.items() if "float" in kind or "double" in kind]
        if not named and len(floats) != 1:
            raise InvalidInput(
                "several outputs could be the score",
                field="output",
                remedy=f"Name one of {', '.join(kinds)}.",
            )
        return (named or floats)[0]

    def _positive(self, answer: Any) -> NDArray[np.float64]:
        import numpy as np

        if isinstance(answer, list):  # zipmap: one {class: probability} for each row
            answer = [list(row.values()) for row in answer]
        try:
            table = np.asarray(answer, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput("the output holds no numbers", field="output") from error
        if table.ndim == 2 and table.shape[1] > 1:
            return _probability(table, self._positive_class)
        return table.reshape(-1)


def score_rows(
    model: bytes, columns: Mapping[str, Column], *, feature_order: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """Scores of rows by a model that is loaded for this one call; see `Scorer`.

    Raises:
        IntegrityFailed, PolicyRefused, InvalidInput: as `Scorer` and `Scorer.score`.
    """
    return Scorer(model).score(columns, feature_order=feature_order)


def _session(model: bytes) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # its messages quote the model's text
    # Otherwise the runtime guesses, and also takes its own format, which is not inspected.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise InvalidInput(
            f"ONNX Runtime does not load the model: {type(error).__name__}", field="model"
        ) from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its classes share no base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception))
    return (*own, RuntimeError, ValueError, IndexError, TypeError)


def _row_count(columns: Mapping[str, Column]) -> int:
    import numpy as np

    shapes = {np.shape(column) for column in columns.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise InvalidInput("columns are arrays of one dimension and one length", field="columns")
    return int(next(iter(shapes))[0])


def _feed(target: InputColumn, columns: Mapping[str, Column]) -> Any:
    if target.name not in columns:
        raise InvalidInput(f"feature {target.name!r} is missing", field=f"columns.{target.name}")
    values = _converted(target.name, columns[target.name], target.dtype)
    return values.reshape(-1, 1) if target.rank == 2 else values


def _converted(name: str, values: Column, dtype: str) -> Any:
    """`values` in the type that the model takes, refusing what would lose its meaning."""
    import numpy as np

    array = np.asarray(values)
    field = f"columns.{name}"
    if dtype == "object":
        texts = ["" if _is_missing(v) else str(v) for v in array.tolist()]
        return np.array(texts, dtype=object)
    if array.dtype.kind == "O":
        held = [np.nan if v is None else v for v in array.tolist()]
        if all(isinstance(v, int | float) for v in held):
            array = np.array(held, dtype=np.float64)
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"feature {name!r} holds no numbers, the model takes some", field=field)
    target = np.dtype(dtype)
    if target.kind == "f":
        return array.astype(target)
    with np.errstate(invalid="ignore", over="ignore"):
        converted = array.astype(target)
    if not np.array_equal(converted, array):
        raise InvalidInput(
            f"feature {name!r} holds missing, fractional or too large values, "
            f"the model takes {dtype}",
            field=field,
        )
    return converted


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _probability(table: NDArray[np.float64], positive: int | None) -> NDArray[np.float64]:
    classes = table.shape[1]
    if positive is None and classes != 2:
        raise InvalidInput(
            f"the model knows {classes} classes",
            field="positive_class",
            remedy="Say which one is positive.",
        )
    column = 1 if positive is None else positive
    if not 0 <= column < classes:
        raise InvalidInput(f"there is no class {column}", field="positive_class")
    scores = table[:, column]
    if ((scores < -_ROUNDING) | (scores > 1 + _ROUNDING)).any():
        raise InvalidInput("the output holds no probabilities", field="output")
    return scores.clip(0, 1)


_ROUNDING = 1e-5  # ours: sums of float32 leave [0, 1] by a few units in the last place
