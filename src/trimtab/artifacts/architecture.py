"""The architecture of an ONNX model: its operators and their wiring, without what was learnt.

Two trainings of one recipe have the same architecture: weights, categories and trees are
left out, and so are the names that an exporter makes up and the order of its nodes.
"""

from __future__ import annotations

import hashlib
import json
from collections import ChainMap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto

_INT, _STRING, _GRAPH, _INTS, _GRAPHS = 2, 3, 5, 7, 10  # AttributeProto.AttributeType
_LEARNT = "weights"
_ML = "ai.onnx.ml"
_ENSEMBLES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble")


def fingerprint(model: ModelProto) -> str:
    """A SHA-256 over the operators of `model` and how they are joined.

    Each value is known by the operator that gives it and by what went into that, back to
    the inputs of the model; so the sum does not depend on names and order.
    """
    inputs = {value.name: _digest("input", value.name) for value in model.graph.input}
    functions = sorted(
        _digest(f.domain, f.name, _graph(f, _places(f.input), f.output)) for f in model.functions
    )
    outputs = sorted((value.name for value in model.graph.output), key=repr)
    return "sha256:" + _digest(outputs, _graph(model.graph, inputs, outputs), functions)


def trees(model: ModelProto) -> int:
    """How many decision trees the ensembles in `model` consist of."""
    return sum(_trees(node) for node in model.graph.node if node.op_type in _ENSEMBLES)


def _trees(node: NodeProto) -> int:
    lists = {attribute.name: attribute.ints for attribute in node.attribute}
    return len(set(lists.get("nodes_treeids", ()))) or len(lists.get("tree_roots", ()))


def _graph(graph: Any, known: dict[str, str], outputs: Sequence[str]) -> str:
    return _within(graph, ChainMap(known), outputs)


def _within(graph: Any, values: ChainMap[str, str], outputs: Sequence[str]) -> str:
    """One graph or function, where `values` says what the names from outside it stand for."""
    for tensor in getattr(graph, "initializer", ()):
        values[tensor.name] = _LEARNT
    for sparse in getattr(graph, "sparse_initializer", ()):
        values[sparse.values.name] = _LEARNT
    nodes = []
    for node in graph.node:
        made = _node(node, values)
        nodes.append(made)
        for place, name in enumerate(node.output):
            values[name] = _digest(made, place)
    return _digest(sorted(nodes), [values.get(name, "") for name in outputs])


def _node(node: NodeProto, values: ChainMap[str, str]) -> str:
    if node.op_type == "Constant":
        return _LEARNT
    settings = sorted(_settings(node, values), key=repr)
    return _digest(node.domain, node.op_type, settings, [values.get(n, "") for n in node.input])


def _settings(node: NodeProto, values: ChainMap[str, str]) -> Iterator[tuple[str, Any]]:
    """What the attributes of a node say about its kind.

    In the domain of classical learning, lists are what was learnt: trees, categories.
    """
    for attribute in node.attribute:
        if attribute.type == _INT:
            yield attribute.name, attribute.i
        elif attribute.type == _STRING:
            yield attribute.name, attribute.s.hex()
        elif attribute.type == _INTS and node.domain != _ML:
            yield attribute.name, list(attribute.ints)
        elif attribute.type in (_GRAPH, _GRAPHS):
            yield attribute.name, [_inner(graph, values) for graph in _graphs(attribute)]


def _graphs(attribute: AttributeProto) -> list[Any]:
    return [attribute.g] if attribute.type == _GRAPH else list(attribute.graphs)


def _inner(graph: Any, values: ChainMap[str, str]) -> str:
    """A branch or a loop's body, which sees what stands around it."""
    own = _places(value.name for value in graph.input)
    return _within(graph, values.new_child(own), [value.name for value in graph.output])


def _places(names: Iterable[str]) -> dict[str, str]:
    return {name: _digest("place", place) for place, name in enumerate(names)}


def _digest(*parts: Any) -> str:
    # What is no UTF-8 comes as bytes; it is refused elsewhere.
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()
