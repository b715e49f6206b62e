"""The digest of a graph without what was learnt: equal for two trainings of one recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trimtab.artifacts.architecture import fingerprint, trees


def model(**changes: Any) -> onnx.ModelProto:
    """Two layers with a join, of which `changes` names what is different."""
    c: dict[str, Any] = {"first": "Relu", "axis": 1, "seed": 1, "wide": 3, "swap": False} | changes
    rng = np.random.default_rng(c["seed"])

    def weights(name: str, *dims: int) -> TensorProto:
        return numpy_helper.from_array(rng.normal(size=dims).astype(np.float32), name)

    h, g = c.get("names", ("h", "g"))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], [h]),
        helper.make_node(c["first"], [h], [g]),
        helper.make_node("Concat", [h, g] if c["swap"] else [g, h], ["j"], axis=c["axis"]),
        helper.make_node("Conv", ["j", "v"], ["y"], kernel_shape=c.get("kernel", [1, 1])),
    ]
    graph = helper.make_graph(
        nodes,
        c.get("name", "g"),
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])],
        [weights("w", 2, c["wide"]), weights("v", c["wide"], 1)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", c.get("opset", 17))])


@pytest.mark.parametrize(
    "same", [{"seed": 2}, {"wide": 9}, {"names": ("a", "b")}, {"name": "other"}, {"opset": 18}]
)
def test_what_was_learnt_and_names_do_not_count(same: dict[str, Any]) -> None:
    assert fingerprint(model(**same)) == fingerprint(model())


@pytest.mark.parametrize(
    "other", [{"first": "Tanh"}, {"axis": 0}, {"swap": True}, {"kernel": [3, 3]}]
)
def test_operators_their_settings_and_wiring_count(other: dict[str, Any]) -> None:
    assert fingerprint(model(**other)) != fingerprint(model())


def test_one_more_layer_counts() -> None:
    deeper = model()
    deeper.graph.node.append(helper.make_node("Sigmoid", ["y"], ["z"]))
    deeper.graph.output[0].name = "z"
    also = model()
    also.graph.node.append(helper.make_node("Sigmoid", ["y"], ["unused"]))
    assert len({fingerprint(m) for m in (model(), deeper, also)}) == 3


def test_the_order_of_independent_nodes_does_not_count() -> None:
    def two(order: int) -> onnx.ModelProto:
        nodes = [
            helper.make_node("Relu", ["x"], ["a"]),
            helper.make_node("Tanh", ["x"], ["b"]),
        ][::order]
        last = helper.make_node("Add", ["a", "b"], ["y"])
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy"]
        return helper.make_model(helper.make_graph([*nodes, last], "g", values[:1], values[1:]))

    assert fingerprint(two(1)) == fingerprint(two(-1))


def branching(operator: str) -> onnx.ModelProto:
    """A model with a graph in each branch, which sees the input around it."""
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])
    branches = [
        helper.make_graph([helper.make_node(kind, ["x"], ["o"])], "b", [], [out])
        for kind in (operator, "Tanh")
    ]
    node = helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, [1]),
    ]
    graph = helper.make_graph(
        [node], "g", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    )
    return helper.make_model(graph)


def test_branches_count() -> None:
    assert fingerprint(branching("Relu")) == fingerprint(branching("Relu"))
    assert fingerprint(branching("Relu")) != fingerprint(branching("Sigmoid"))


def test_trees_are_counted_and_no_part_of_the_architecture() -> None:
    def forest(*numbers: int) -> onnx.ModelProto:
        ids: dict[str, Any] = {"nodes_treeids": list(numbers), "post_transform": "LOGISTIC"}
        node = helper.make_node("TreeEnsembleClassifier", ["x"], ["y"], domain="ai.onnx.ml", **ids)
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy"]
        return helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))

    assert trees(forest(0, 0, 1, 1, 2)) == 3
    assert trees(model()) == 0
    assert fingerprint(forest(0, 0, 1)) == fingerprint(forest(0, 1, 2, 3))
