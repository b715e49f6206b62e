"""Reading an ONNX model as data: what it declares, and what speaks against it.

Loads `onnx` when called, for its protobuf classes only; opens no file and runs nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.architecture import fingerprint, trees
from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.redaction import personal_data_in, secrets_in, shown
from trimtab.artifacts.wire import guard_model
from trimtab.kernel.errors import IntegrityFailed, PolicyRefused

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64}
_BITS |= {14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8}
_BITS |= {25: 2, 26: 2}
_STRING = 8
_COMPLEX = (14, 15)
_WIDEST_ELEMENT_BYTES = 16
_SMALL = 16  # values of a constant that may stand for a size
_MAX_RANK = 64  # ours: no runtime goes this far, and products of more take long
# Operators whose output has the size that one of their inputs states, by its position.
_SIZE_INPUT = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Reshape": 1, "Resize": 3}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output: its name, element type (`float`, `string`, ...) and dimensions.

    A dimension is a number, a symbol, or None; `dims` None means that no rank is declared.
    """

    name: str
    elem_type: str
    dims: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class GraphSummary:
    """What an ONNX model declares about itself; all text escaped.

    `architecture` is the digest of its operators and their wiring, without what was learnt;
    empty where the graph is too large to be walked.
    """

    producer: str
    ir_version: int
    opsets: dict[str, int]
    domains: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: int
    operators: dict[str, int]
    architecture: str
    trees: int
    initializer_bytes: int
    external_data: tuple[str, ...]
    metadata_keys: tuple[str, ...]


def inspect_onnx(data: bytes, budget: Budget, findings: Findings) -> GraphSummary | None:
    """Read the model in `data` and note what speaks against it.

    Returns:
        What the model declares, or None when it cannot be read.
    """
    _guard(data, budget, findings)
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships none
    from onnx import ModelProto

    try:
        # From bytes: nothing can be opened, so no external data is ever looked at.
        model = ModelProto.FromString(data)
    except DecodeError:
        findings.add("malformed", Severity.UNREADABLE, "file", "not a complete ONNX model")
        return None
    walk = _Walk(model, budget, findings)
    walk.run()
    _check_functions(model, findings)
    _check_validity(model, findings)
    return walk.summary()


def _guard(data: bytes, budget: Budget, findings: Findings) -> None:
    try:
        guard_model(
            data,
            max_depth=budget.max_depth,
            max_fields=budget.max_fields,
            allowed_domains=budget.allowed_domains,
        )
    except IntegrityFailed as error:
        findings.add("malformed", Severity.UNREADABLE, "file", error.message)
    except PolicyRefused as error:
        findings.add(error.field or "refused", Severity.MALICIOUS, "file", error.message)


class _Walk:
    """One pass over all graphs of a model, with a list of what is still to be visited."""

    def __init__(self, model: ModelProto, budget: Budget, findings: Findings):
        self._model = model
        self._budget = budget
        self._findings = findings
        self._operators: Counter[str] = Counter()
        self._domains: set[str] = set()
        self._external: list[str] = []
        self._tensor_bytes = 0
        self._nodes = 0

    def run(self) -> None:
        model = self._model
        self._text(model.doc_string, "model.doc_string")
        for text in (model.producer_name, model.producer_version):
            self._text(text, "model.producer")
        self._metadata(model.metadata_props, "model")
        for opset in model.opset_import:
            self._opset(opset.domain)
        todo: list[tuple[Any, str]] = [(model.graph, "graph")]
        for number, info in enumerate(model.training_info):
            self._findings.add(
                "training_graph", Severity.SUSPICIOUS, f"training_info[{number}]", "unexpected"
            )
            todo += [(info.initialization, "training"), (info.algorithm, "training")]
        for number, function in enumerate(model.functions):
            self._domain(function.domain, f"functions[{number}]")
            todo.append((function, f"functions[{number}]"))
        while todo and self._nodes <= self._budget.max_nodes:
            graph, where = todo.pop()
            todo += self._graph(graph, where)
        if self._nodes > self._budget.max_nodes:
            self._findings.add(
                "budget", Severity.MALICIOUS, "graph", f"more than {self._budget.max_nodes} nodes"
            )

    def summary(self) -> GraphSummary:
        model = self._model
        whole = self._nodes <= self._budget.max_nodes
        return GraphSummary(
            producer=f"{shown(model.producer_name)} {shown(model.producer_version)}".strip(),
            ir_version=model.ir_version,
            opsets={shown(o.domain): o.version for o in model.opset_import},
            domains=tuple(sorted(map(shown, self._domains))),
            inputs=tuple(map(_spec, model.graph.input)),
            outputs=tuple(map(_spec, model.graph.output)),
            nodes=self._nodes,
            operators=dict(sorted(self._operators.items())),
            architecture=fingerprint(model) if whole else "",
            trees=trees(model) if whole else 0,
            initializer_bytes=self._tensor_bytes,
            external_data=tuple(self._external),
            metadata_keys=tuple(shown(p.key) for p in model.metadata_props),
        )

    def _graph(self, graph: Any, where: str) -> Iterator[tuple[Any, str]]:
        """Look at one graph or function; give back the graphs inside it."""
        self._text(graph.doc_string, f"{where}.doc_string")
        self._metadata(graph.metadata_props, where)
        stated: dict[str, list[int]] = {}
        if hasattr(graph, "initializer"):
            stated = _stated(graph)
            self._declared(graph, where)
            for tensor in graph.initializer:
                self._tensor(tensor, f"{where}.initializer {shown(tensor.name)}")
            for sparse in graph.sparse_initializer:
                self._sparse(sparse, f"{where}.sparse_initializer")
        for number, node in enumerate(graph.node):
            self._nodes += 1
            if self._nodes > self._budget.max_nodes:
                return
            place = f"{where}.node[{number}] {shown(node.op_type)}"
            self._node(node, stated, place)
            for attribute in node.attribute:
                yield from self._attribute(attribute, place)

    def _node(self, node: NodeProto, stated: dict[str, list[int]], where: str) -> None:
        self._domain(node.domain, where)
        operator = shown(node.op_type)
        self._operators[f"{shown(node.domain)}::{operator}" if node.domain else operator] += 1
        self._text(node.doc_string, f"{where}.doc_string")
        self._metadata(node.metadata_props, where)
        position = _SIZE_INPUT.get(node.op_type)
        if position is not None and len(node.input) > position:
            self._claim(stated.get(node.input[position], []), where, "states an output")
        if node.op_type == "Range":
            self._claim(_range_size(node, stated), where, "states an output")
        if node.op_type == "Loop" and node.input:
            trips = max(stated.get(node.input[0], []), default=0)
            if trips > self._budget.max_loop_trips:
                self._findings.add("budget", Severity.MALICIOUS, where, f"loops {trips} times")

    def _attribute(self, attribute: AttributeProto, where: str) -> Iterator[tuple[Any, str]]:
        self._text(attribute.doc_string, f"{where}.doc_string")
        where = f"{where}.{shown(attribute.name)}"
        for tensor in (attribute.t, *attribute.tensors):
            self._tensor(tensor, where)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            self._sparse(sparse, where)
        if attribute.name == "shape":
            self._claim(list(attribute.ints), where, "states an output")
        if attribute.HasField("g"):
            yield attribute.g, where
        for graph in attribute.graphs:
            yield graph, where

    def _sparse(self, sparse: Any, where: str) -> None:
        self._claim(list(sparse.dims), where, "states a tensor")
        self._tensor(sparse.values, where)
        self._tensor(sparse.indices, where)

    def _tensor(self, tensor: TensorProto, where: str) -> None:
        if tensor.external_data or tensor.data_location == 1:
            places = [shown(e.value) for e in tensor.external_data if e.key == "location"]
            self._external += places or ["?"]
            self._findings.add(
                "external_data", Severity.MALICIOUS, where, f"data in {', '.join(places) or '?'}"
            )
            return
        self._text(tensor.doc_string, f"{where}.doc_string")
        if not tensor.data_type:
            return  # a default, not a tensor
        if not self._claim(list(tensor.dims), where, "claims", _BITS.get(tensor.data_type)):
            return
        held = _held_bytes(tensor)
        self._tensor_bytes += held
        count = math.prod(tensor.dims)
        if tensor.HasField("raw_data"):
            true = held == -(-count * _BITS.get(tensor.data_type, 0) // 8)
        else:
            true = _listed(tensor) == _list_length(tensor.data_type, count)
        if not true:
            self._findings.add(
                "tensor_size", Severity.MALICIOUS, where, "holds another amount than it claims"
            )

    def _declared(self, graph: GraphProto, where: str) -> None:
        for value in (*graph.input, *graph.output, *graph.value_info):
            self._text(value.doc_string, f"{where}.doc_string")
            dims = _spec(value).dims or ()
            sizes = [d for d in dims if isinstance(d, int)]
            self._claim(sizes, f"{where}.{shown(value.name)}", "is declared")

    def _claim(self, sizes: list[int], where: str, how: str, bits: int | None = None) -> bool:
        """Whether a tensor of these dimensions is within the budget; -1 and 0 are open."""
        element = -(-bits // 8) if bits else _WIDEST_ELEMENT_BYTES
        lowest = -1 if bits is None else 0
        bad = len(sizes) > _MAX_RANK or min(sizes, default=0) < lowest
        total = element * math.prod(d for d in sizes[:_MAX_RANK] if d > 0)
        if not bad and (total <= self._budget.max_tensor_bytes or (bits and 0 in sizes)):
            return True
        self._findings.add(
            "tensor_size", Severity.MALICIOUS, where, f"{how} with dimensions {sizes[:8]}"
        )
        return False

    def _domain(self, domain: str, where: str) -> None:
        self._domains.add(domain)
        if domain not in self._budget.allowed_domains:
            self._findings.add(
                "operator_domain", Severity.MALICIOUS, where, f"domain {shown(domain)}"
            )

    def _opset(self, domain: str) -> None:
        if domain not in self._budget.allowed_domains:
            self._findings.add(
                "opset_domain", Severity.SUSPICIOUS, "opset_import", f"domain {shown(domain)}"
            )

    def _metadata(self, entries: Any, where: str) -> None:
        for number, entry in enumerate(entries):
            for text in (entry.key, entry.value, f"{entry.key}={entry.value}"):
                self._text(text, f"{where}.metadata_props[{number}]")

    def _text(self, text: str | bytes, where: str) -> None:
        """Note what kinds of secret a text holds, never the text.

        The protobuf library hands over bytes where a text is not UTF-8.
        """
        if not text:
            return
        if isinstance(text, bytes):
            self._findings.add("malformed", Severity.UNREADABLE, where, "text that is not UTF-8")
        for rule, kinds in (
            ("secret", secrets_in(text)),
            ("personal_data", personal_data_in(text)),
        ):
            if kinds:
                self._findings.add(rule, Severity.SUSPICIOUS, where, ", ".join(kinds))


def _check_functions(model: ModelProto, findings: Findings) -> None:
    """Functions that call themselves, directly or in a circle, never end when inlined."""
    defined = {(f.domain, f.name) for f in model.functions}
    calls = {(f.domain, f.name): {k for k in _called(f) if k in defined} for f in model.functions}
    while ended := {name for name, called in calls.items() if not called}:
        calls = {name: called - ended for name, called in calls.items() if name not in ended}
    for domain, name in sorted(calls, key=repr):
        findings.add(
            "recursive_function", Severity.MALICIOUS, f"function {shown(name)}", shown(domain)
        )


def _called(function: Any) -> Iterator[tuple[str, str]]:
    todo = [function]
    while todo:
        for node in todo.pop().node:
            yield node.domain, node.op_type
            for attribute in node.attribute:
                todo += [attribute.g, *attribute.graphs]


def _check_validity(model: ModelProto, findings: Findings) -> None:
    """The library's own opinion, asked only of a model that nothing else speaks against."""
    if any(f.severity is Severity.MALICIOUS for f in findings.all()):
        return
    from onnx import checker

    try:
        checker.check_model(model)
    except (checker.ValidationError, ValueError) as error:
        # The first line only: the library appends its own paths and the model's text.
        findings.add(
            "invalid_graph", Severity.UNREADABLE, "graph", shown(str(error).split("\n")[0])
        )


def _spec(value: ValueInfoProto) -> TensorSpec:
    from onnx import TensorProto

    if value.type.WhichOneof("value") != "tensor_type":
        return TensorSpec(shown(value.name), value.type.WhichOneof("value") or "undefined", None)
    tensor = value.type.tensor_type
    try:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
    except ValueError:
        kind = f"unknown {tensor.elem_type}"
    if not tensor.HasField("shape"):
        return TensorSpec(shown(value.name), kind, None)
    dims = tuple(
        d.dim_value if d.HasField("dim_value") else shown(d.dim_param) or None
        for d in tensor.shape.dim
    )
    return TensorSpec(shown(value.name), kind, dims)


def _stated(graph: GraphProto) -> dict[str, list[int]]:
    """The short whole-number constants of a graph, such as shapes and numbers of trips, by
    the name of what gives them out: an initializer, or a `Constant` in any of its spellings."""
    found = {tensor.name: _small_numbers(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                match attribute.name:
                    case "value":
                        found[node.output[0]] = _small_numbers(attribute.t)
                    case "value_int":
                        found[node.output[0]] = [attribute.i]
                    case "value_ints":
                        found[node.output[0]] = list(attribute.ints[:_SMALL])
    return found


def _range_size(node: NodeProto, stated: dict[str, list[int]]) -> list[int]:
    """How many numbers a `Range` counts from its start to its limit, where all are stated."""
    bounds = [stated.get(name, []) for name in node.input]
    if len(bounds) != 3 or not all(len(bound) == 1 for bound in bounds) or bounds[2][0] == 0:
        return []
    (start,), (limit,), (delta,) = bounds
    return [max(0, -(-(limit - start) // delta))]


def _small_numbers(tensor: TensorProto) -> list[int]:
    """The values of a short int32 or int64 constant."""
    width = {6: 4, 7: 8}.get(tensor.data_type)
    if width is None:
        return []
    raw = tensor.raw_data
    if raw and len(raw) <= width * _SMALL:
        return [
            int.from_bytes(raw[i : i + width], "little", signed=True)
            for i in range(0, len(raw), width)
        ]
    return list(tensor.int64_data[:_SMALL] if width == 8 else tensor.int32_data[:_SMALL])


def _listed(tensor: TensorProto) -> int:
    lists = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data)
    return sum(map(len, (*lists, tensor.uint64_data, tensor.string_data)))


def _list_length(data_type: int, count: int) -> int:
    """How many list entries `count` elements take: complex numbers two, small ones shared."""
    if data_type in _COMPLEX:
        return 2 * count
    return -(-count * _BITS[data_type] // 8) if _BITS.get(data_type, 8) < 8 else count


def _held_bytes(tensor: TensorProto) -> int:
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    if tensor.data_type == _STRING:
        return sum(map(len, tensor.string_data))
    return _listed(tensor) * (_BITS.get(tensor.data_type, 64) // 8 or 1)
