"""Scoring a table with a model in a process of its own.

`python -m trimtab.artifacts.execution [REQUEST]` reads a request (JSON, from the file or
from standard input), writes the scores as `.npy` and one JSON answer to standard output.
Start it in a child process with limits of time and memory: a model may loop for ever.
"""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.artifacts import strictjson
from trimtab.artifacts.opening import read_untrusted
from trimtab.artifacts.scoring import InputColumn, InputSpec, Scorer, input_spec, score_rows
from trimtab.kernel.errors import IntegrityFailed, InvalidInput, TrimtabError, Unavailable
from trimtab.kernel.events import plain
from trimtab.kernel.ids import Digest

__all__ = [
    "InputColumn",
    "InputSpec",
    "Request",
    "Scorer",
    "execute",
    "input_spec",
    "main",
    "parse_request",
    "score_rows",
]

ANSWER_FORMAT = "trimtab.execution/1"
_MAX_REQUEST_BYTES = 1 << 20


@dataclass(frozen=True)
class Request:
    """What to score.

    Args:
        model: Path of the ONNX file.
        data: Path of a Parquet file.
        features: Columns of the data, in the order that the model was trained with.
        scores: Path that the scores are written to, `.npy`, float64 of shape (n,).
        artifact: Digest the model must have; None accepts any.
        label: Column with the outcome, 0 or 1; None: not wanted.
        labels: Path that the labels are written to, float64, nan where there is none.
        output: Output of the model to read; None as in `Scorer`.
        positive_class: As in `Scorer`.
        threshold: Scores from here on count as positive in the answer; None: not counted.
        max_model_bytes: A larger model is refused.
        max_rows: More rows are refused.
    """

    model: Path
    data: Path
    features: tuple[str, ...]
    scores: Path
    artifact: Digest | None = None
    label: str | None = None
    labels: Path | None = None
    output: str | None = None
    positive_class: int | None = None
    threshold: float | None = None
    max_model_bytes: int = 512 << 20
    max_rows: int = 10_000_000


def parse_request(text: bytes) -> Request:
    """The request in a JSON object with the members of `Request`.

    Raises:
        InvalidInput: members are missing, unknown, or of the wrong type.
    """
    try:
        parts = strictjson.parse(text, max_bytes=_MAX_REQUEST_BYTES, what="the request")
    except IntegrityFailed as error:
        raise InvalidInput(error.message, field="request") from error
    texts = {"model", "data", "scores", "artifact", "label", "labels", "output"}
    kinds: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(texts, str),
        "features": list,
        "positive_class": int,
        "threshold": (int, float),
        "max_model_bytes": int,
        "max_rows": int,
    }
    if not isinstance(parts, dict) or not {"model", "data", "scores", "features"} <= parts.keys():
        raise InvalidInput("a request names model, data, features and scores", field="request")
    given = {name: value for name, value in parts.items() if value is not None}
    for name, value in given.items():
        if name not in kinds or not isinstance(value, kinds[name]) or isinstance(value, bool):
            raise InvalidInput(f"{name!r} is no member of a request, or not one", field=name)
    if not all(isinstance(name, str) for name in given["features"]) or not given["features"]:
        raise InvalidInput("features are a list of column names", field="features")
    paths = {n: Path(v) for n, v in given.items() if n in ("model", "data", "scores", "labels")}
    return Request(**{**given, **paths, "features": tuple(given["features"])})


def execute(request: Request) -> dict[str, Any]:
    """Score the data and write scores (and labels) where the request says.

    Returns:
        The answer as JSON values: rows, output names, the output read, seconds for
        loading the model and for scoring, and the number of positives when asked for.

    Raises:
        IntegrityFailed, PolicyRefused: the model is not the one named, or is refused.
        InvalidInput: data or model do not fit each other; nothing is written then.
        OSError: a file cannot be read or written.
    """
    import numpy as np

    opened = read_untrusted(request.model, max_bytes=request.max_model_bytes)
    if opened.content is None:
        raise InvalidInput("the model is larger than allowed", field="model")
    if request.artifact is not None and opened.digest != request.artifact:
        raise IntegrityFailed("the model is not the one that was named", field="artifact")
    started = time.perf_counter()
    scorer = Scorer(opened.content, output=request.output, positive_class=request.positive_class)
    loaded = time.perf_counter()
    columns, labels = _read(request)
    read = time.perf_counter()
    scores = scorer.score(columns, feature_order=request.features)
    scored = time.perf_counter()
    try:
        if labels is not None and request.labels is not None:
            np.save(request.labels, labels, allow_pickle=False)
        np.save(request.scores, scores, allow_pickle=False)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        raise InvalidInput("the data has more rows than one answer holds", field="data") from error
    threshold = request.threshold
    return {
        "answer": ANSWER_FORMAT,
        "artifact": opened.digest,
        "rows": len(scores),
        "layout": scorer.spec.layout,
        "inputs": list(scorer.spec.names),
        "outputs": list(scorer.outputs),
        "output": scorer.output,
        "positives": None if threshold is None else int((scores >= threshold).sum()),
        "load_seconds": loaded - started,
        "score_seconds": scored - read,
    }


def _read(request: Request) -> tuple[dict[str, Any], Any]:
    """Columns by feature, as numpy arrays, and the labels when they are wanted."""
    from pyarrow import ArrowException, parquet

    names = list(request.features) + ([request.label] if request.label else [])
    try:
        with parquet.ParquetFile(request.data) as file:
            if file.metadata.num_rows > request.max_rows:
                raise InvalidInput("the data has more rows than allowed", field="data")
            missing = set(names) - set(file.schema_arrow.names)
            if missing:
                raise InvalidInput(
                    f"the data has no column {', '.join(sorted(missing))}", field="data"
                )
            table = file.read(columns=list(dict.fromkeys(names)))
    except (ArrowException, OSError) as error:
        # Arrow says OSError for damaged content too; only one of the machine has a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidInput("the data is not a readable Parquet file", field="data") from error
    columns = {name: _array(table.column(name)) for name in request.features}
    return columns, _labels(table, request.label) if request.label else None


def _array(column: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.to_numpy()


def _labels(table: Any, label: str) -> Any:
    import numpy as np
    import pyarrow as pa

    column = table.column(label)
    try:
        return column.cast(pa.float64()).to_numpy().astype(np.float64)
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"label {label!r} holds no numbers", field="label") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute the request in the named file, or on standard input; 0, or 1 with an error."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        text = Path(given[0]).read_bytes() if given else sys.stdin.buffer.read()
        answer = execute(parse_request(text))
    except TrimtabError as error:
        failure = {"code": error.code, "message": error.message, "field": error.field}
        return _say({"answer": ANSWER_FORMAT, "error": failure}, 1)
    except OSError as error:
        # Of the machine, not of the model: nobody may conclude anything from it.
        failure = {"code": Unavailable.code, "message": type(error).__name__, "field": None}
        return _say({"answer": ANSWER_FORMAT, "error": failure}, 1)
    return _say(answer, 0)


def _say(answer: dict[str, Any], code: int) -> int:
    sys.stdout.write(json.dumps(plain(answer), ensure_ascii=True, sort_keys=True) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
