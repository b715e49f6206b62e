"""An inference request and its answer, as bytes: Open Inference Protocol v2 over REST."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from trimtab.gateway.sessions import LoadedVersion
from trimtab.gateway.tensors import (
    Array,
    TensorSpec,
    checked_shape,
    datatype_of_array,
    from_bytes,
    from_json,
    missing_values,
    to_bytes,
    to_json,
)
from trimtab.kernel.errors import InvalidInput

_MAX_ID = 256


@dataclass(frozen=True)
class InferenceRequest:
    """What one call asks, checked against the version that answers it."""

    id: str | None
    rows: int
    inputs: Mapping[str, Array]
    missing: int
    """NaN among all inputs: values that stand for missing."""
    outputs: tuple[tuple[str, bool], ...]
    """Names of the wanted outputs, and whether each is wanted as raw bytes."""


def read_request(
    body: bytes, header_length: int | None, loaded: LoadedVersion, *, max_rows: int
) -> InferenceRequest:
    """Parse and check a request body.

    Args:
        body: JSON, followed by binary tensors when `header_length` says where it ends.
        max_rows: More rows in one call are refused.

    Raises:
        InvalidInput: anything that `loaded` cannot be run on; `field` names the input.
    """
    if header_length is not None and header_length > len(body):
        raise InvalidInput("Inference-Header-Content-Length is longer than the body")
    head = body if header_length is None else body[:header_length]
    raw = _json_object(head)
    tail = memoryview(body)[len(head) :]
    inputs = _inputs(raw.get("inputs"), tail, loaded)
    rows = _row_count(inputs, max_rows)
    missing = sum(
        missing_values(loaded.inputs_by_name[name], values) for name, values in inputs.items()
    )
    identity = raw.get("id")
    if identity is not None and (not isinstance(identity, str) or len(identity) > _MAX_ID):
        raise InvalidInput(f"the id is not a text of at most {_MAX_ID} characters", field="id")
    return InferenceRequest(identity, rows, inputs, missing, _wanted_outputs(raw, loaded))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; null stands for a missing value")


def _json_object(head: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(head, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}", field="body") from error
    if not isinstance(raw, dict):
        raise InvalidInput("the body is not a JSON object", field="body")
    return raw


def _inputs(tensors: Any, tail: memoryview, loaded: LoadedVersion) -> dict[str, Array]:
    if not isinstance(tensors, list) or not tensors:
        raise InvalidInput("inputs is not a list of tensors", field="inputs")
    inputs: dict[str, Array] = {}
    at = 0
    for tensor in tensors:
        spec = _spec_of(tensor, loaded)
        if spec.name in inputs:
            raise InvalidInput(f"input {spec.name!r} stands twice", field=spec.name)
        shape = checked_shape(spec, tensor.get("shape"))
        size = _binary_size(tensor, spec)
        if size is None:
            inputs[spec.name] = from_json(spec, tensor.get("data"), shape)
            continue
        if "data" in tensor:
            raise InvalidInput(f"input {spec.name!r} is both JSON and binary", field=spec.name)
        if at + size > len(tail):
            raise InvalidInput(f"the bytes of input {spec.name!r} are cut off", field=spec.name)
        inputs[spec.name] = from_bytes(spec, tail[at : at + size], shape)
        at += size
    if at != len(tail):
        raise InvalidInput(f"{len(tail) - at} bytes belong to no input", field="body")
    absent = [spec.name for spec in loaded.inputs if spec.name not in inputs]
    if absent:
        raise InvalidInput(f"missing input: {', '.join(absent)}", field=absent[0])
    return inputs


def _spec_of(tensor: Any, loaded: LoadedVersion) -> TensorSpec:
    name = tensor.get("name") if isinstance(tensor, dict) else None
    if not isinstance(name, str):
        raise InvalidInput("an input has no name", field="inputs")
    spec = loaded.inputs_by_name.get(name)
    if spec is None:
        raise InvalidInput(
            f"the model has no input {name[:128]!r}",
            field=name[:128],
            remedy="GET /v2/models/<model> lists the inputs",
        )
    if tensor.get("datatype") != spec.datatype:
        raise InvalidInput(
            f"input {name!r} is sent as {str(tensor.get('datatype'))[:32]}, "
            f"the model takes {spec.datatype}",
            field=name,
        )
    return spec


def _parameters(holder: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = holder.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInput("parameters is not an object", field=where)
    return parameters


def _binary_size(tensor: Mapping[str, Any], spec: TensorSpec) -> int | None:
    size = _parameters(tensor, spec.name).get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise InvalidInput("binary_data_size is not a size in bytes", field=spec.name)
    return size


def _row_count(inputs: Mapping[str, Array], max_rows: int) -> int:
    counts = {name: len(values) for name, values in inputs.items()}
    (first, rows), *others = counts.items()
    for name, count in others:
        if count != rows:
            raise InvalidInput(
                f"input {name!r} has {count} rows, input {first!r} has {rows}", field=name
            )
    if not 1 <= rows <= max_rows:
        raise InvalidInput(f"{rows} rows; a call takes 1 to {max_rows}", field=first)
    return rows


def _wanted_outputs(raw: Mapping[str, Any], loaded: LoadedVersion) -> tuple[tuple[str, bool], ...]:
    binary_all = _flag(_parameters(raw, "parameters"), "binary_data_output", False)
    known = [spec.name for spec in loaded.outputs]
    wanted = raw.get("outputs")
    if wanted is None:
        return tuple((name, binary_all) for name in known)
    if not isinstance(wanted, list) or len(wanted) > len(known):
        raise InvalidInput("outputs is not a list of outputs of the model", field="outputs")
    found: dict[str, bool] = {}
    for output in wanted:
        name = output.get("name") if isinstance(output, dict) else None
        if name not in known or name in found:
            raise InvalidInput(
                f"no output {str(name)[:128]!r}, or it stands twice", field="outputs"
            )
        found[name] = _flag(_parameters(output, name), "binary_data", binary_all)
    return tuple(found.items()) or tuple((name, binary_all) for name in known)


def _flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} is not true or false", field=name)
    return value


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def write_response(
    request: InferenceRequest,
    loaded: LoadedVersion,
    outputs: Mapping[str, Array],
    parameters: Mapping[str, Any],
) -> tuple[bytes, int | None]:
    """The response body, and the length of its JSON when binary tensors follow it."""
    described: list[dict[str, Any]] = []
    tails: list[bytes] = []
    for name, binary in request.outputs:
        values = outputs[name]
        tensor: dict[str, Any] = {
            "name": name,
            "datatype": datatype_of_array(values),
            "shape": list(values.shape),
        }
        if binary:
            tails.append(to_bytes(values))
            tensor["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            tensor["data"] = to_json(values)
        described.append(tensor)
    answer: dict[str, Any] = {
        "model_name": loaded.entry.model,
        "model_version": loaded.entry.version,
        "parameters": parameters,
        "outputs": described,
    }
    if request.id is not None:
        answer["id"] = request.id
    head = _encode(answer).encode()
    if not tails:
        return head, None
    return b"".join([head, *tails]), len(head)
