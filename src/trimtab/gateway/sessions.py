"""One loaded version: an ONNX Runtime session, its tensors, and what a run costs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from trimtab.gateway.tensors import Array, TensorSpec, datatype_of
from trimtab.kernel.errors import IntegrityFailed, InvalidInput, Unavailable
from trimtab.sdk.routing import InputSpec, VersionEntry

log = logging.getLogger(__name__)

_LOAD_ERRORS = (
    ort.EPFail,
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NoModel,
    ort.NoSuchFile,
    ort.NotImplemented,
    ort.RuntimeException,
)
_RUN_ERRORS = (ort.Fail, ort.InvalidArgument, ort.NotImplemented, ort.RuntimeException)
_FEATURE_NAMES = "feature_names"
_QUIET = 4  # ONNX Runtime: fatal only; what fails is raised, and said by us
_SMOOTHING = 0.2


@dataclass(frozen=True)
class SessionSettings:
    """How sessions are made: threads of one inference, and an empty folder.

    External data of a model is looked for in `empty_folder` alone, so it is never found:
    only the bytes that were verified are read.
    """

    threads: int
    empty_folder: Path


@dataclass(frozen=True)
class VersionSchema:
    """What is known of a version without its session: enough to ship its predictions."""

    entry: VersionEntry
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    columns: Mapping[str, tuple[str, ...]]
    """Names of the features of an `[N, F]` input."""


class LoadedVersion:
    """A verified version, ready to answer. Safe to run from many threads at once."""

    def __init__(self, entry: VersionEntry, model: bytes, settings: SessionSettings):
        """Build the session from verified bytes.

        Raises:
            IntegrityFailed: ONNX Runtime does not take the model: malformed, custom
                operators, external data, or tensors that the protocol has no name for.
        """
        self.entry = entry
        self._session = _session(model, settings)
        self.inputs = tuple(_input_spec(arg) for arg in self._session.get_inputs())
        self.outputs = tuple(_output_spec(arg) for arg in self._session.get_outputs())
        self.inputs_by_name = {spec.name: spec for spec in self.inputs}
        self._output_names = [spec.name for spec in self.outputs]
        stated = self._session.get_modelmeta().custom_metadata_map.get(_FEATURE_NAMES)
        columns = {s.name: names for s in self.inputs if (names := self._columns(s, stated))}
        self.schema = VersionSchema(entry, self.inputs, self.outputs, columns)
        self._seconds_per_row: float | None = None

    def _columns(self, spec: TensorSpec, stated: str | None) -> tuple[str, ...] | None:
        """Names of the columns of an `[N, F]` input: the model's own, or `name.0` and on."""
        if len(spec.shape) != 2 or spec.shape[1] in (-1, 1):
            return None
        width = spec.shape[1]
        try:
            # Of one input only: else two might claim the same column.
            names = json.loads(stated or "null") if len(self.inputs) == 1 else None
        except ValueError:
            names = None
        if isinstance(names, list) and len(set(map(str, names))) == len(names) == width:
            return tuple(map(str, names))
        return tuple(f"{spec.name}.{i}" for i in range(width))

    def require_inputs(self, wanted: Sequence[InputSpec]) -> None:
        """Check that the model takes what its callers were told to send.

        Raises:
            IntegrityFailed: another name, datatype or fixed size.
        """
        told = {(w.name, w.datatype, _fixed(w.shape)) for w in wanted}
        takes = {(s.name, s.datatype, _fixed(s.shape)) for s in self.inputs}
        if told != takes:
            names = ", ".join(sorted({name for name, *_ in told ^ takes}))
            raise IntegrityFailed(f"the inputs are not those of the routing table: {names}")

    def expected_seconds(self, rows: int) -> float | None:
        """What a run of `rows` should take by the runs so far; None before the first."""
        return None if self._seconds_per_row is None else rows * self._seconds_per_row

    def run(self, inputs: Mapping[str, Array], rows: int, stop: Stop | None = None) -> list[Array]:
        """Compute all outputs, each an array in the order of `outputs`.

        Raises:
            InvalidInput: the model has no answer for these values.
            Unavailable: `stop` was pulled before the answer was there.
        """
        started = time.perf_counter()
        options = None if stop is None else stop.options
        try:
            raw = self._session.run(self._output_names, inputs, options)
        except _RUN_ERRORS as error:
            if stop is not None and stop.pulled:
                raise Unavailable("the inference took longer than allowed") from error
            log.warning("%s %s: %s", self.entry.model, self.entry.version, error)
            raise InvalidInput("the model has no answer for these values") from error
        seconds = (time.perf_counter() - started) / rows
        known = self._seconds_per_row
        self._seconds_per_row = seconds if known is None else known + _SMOOTHING * (seconds - known)
        return [_as_array(value) for value in raw]


class Stop:
    """A cord to end a run from another thread."""

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()
        self.pulled = False

    def pull(self) -> None:
        """Ask ONNX Runtime to stop between two operators."""
        self.pulled = True
        self.options.terminate = True


def _session(model: bytes, settings: SessionSettings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(settings.empty_folder)
    )
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        log.warning("a model does not load: %s", error)
        raise IntegrityFailed("ONNX Runtime does not take the model") from error


def _shape(sizes: Sequence[Any]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) and size >= 0 else -1 for size in sizes)


def _fixed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[1:])


def _input_spec(arg: Any) -> TensorSpec:
    datatype = datatype_of(arg.type)
    if datatype is None or not arg.shape:
        raise IntegrityFailed(f"input {arg.name!r} is {arg.type} {arg.shape}, no tensor of rows")
    return TensorSpec(arg.name, datatype, _shape(arg.shape))


def _output_spec(arg: Any) -> TensorSpec:
    datatype = datatype_of(arg.type)
    if datatype is None:  # seq(map(class, tensor(float))): the class scores of scikit-learn
        if not arg.type.startswith("seq(map("):
            raise IntegrityFailed(f"output {arg.name!r} is {arg.type}, no tensor")
        return TensorSpec(arg.name, "FP32", (-1, -1))
    return TensorSpec(arg.name, datatype, _shape(arg.shape))


def _as_array(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    # One map of class to score for each row; the classes are the same in every row.
    return np.array([[row[c] for c in value[0]] for row in value], dtype=np.float32)


def metadata(loaded: LoadedVersion, versions: Sequence[str]) -> dict[str, Any]:
    """The model's metadata as the protocol gives it."""
    return {
        "name": loaded.entry.model,
        "versions": list(versions),
        "platform": "onnxruntime_onnx",
        "inputs": [_described(spec) for spec in loaded.inputs],
        "outputs": [_described(spec) for spec in loaded.outputs],
        "parameters": {"version": loaded.entry.version, "digest": loaded.entry.digest},
    }


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
