"""One file at a time: what real models look like, and what hostile ones try."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from tests.artifacts.files import zipped

from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.findings import Budget, Result
from trimtab.artifacts.formats import Format
from trimtab.artifacts.inspection import Inspection, inspect_file

BUDGET = Budget(max_file_bytes=8 << 20, max_tensor_bytes=16 << 20, max_unpacked_bytes=8 << 20)


def inspected(tmp_path: Path, data: bytes, name: str = "model.onnx") -> Inspection:
    path = tmp_path / name
    path.write_bytes(data)
    found = inspect_file(path, BUDGET)
    assert found.digest == sha256_of(data)
    assert found.size == len(data)
    return found


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings}


def a_model(
    nodes: list[Any] | None = None, initializers: list[Any] | None = None, **more: Any
) -> onnx.ModelProto:
    """A valid model that passes `X` on, with the given nodes and initializers besides."""
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])
    y = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 4])
    nodes = [helper.make_node("Identity", ["X"], ["Y"]), *(nodes or [])]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers or [])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **more)


def saved(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString()
    return data


def test_a_numeric_model_is_clean_and_described(tmp_path: Path, numeric: Any) -> None:
    found = inspected(tmp_path, numeric.onnx)
    assert (found.result, found.findings, found.format) == (Result.CLEAN, (), Format.ONNX)
    assert found.onnx is not None
    (x,) = found.onnx.inputs
    assert (x.name, x.elem_type, x.dims) == ("X", "float", (None, 4))
    assert [o.name for o in found.onnx.outputs] == ["label", "probabilities"]
    assert found.onnx.opsets["ai.onnx.ml"] >= 1
    assert found.onnx.producer.startswith("skl2onnx")
    assert found.onnx.operators["ai.onnx.ml::LinearClassifier"] == 1
    assert found.onnx.nodes == sum(found.onnx.operators.values())
    assert found.onnx.external_data == ()


def test_a_model_with_text_inputs_is_clean(tmp_path: Path, mixed: Any) -> None:
    found = inspected(tmp_path, mixed.onnx)
    assert found.result is Result.CLEAN
    assert found.onnx is not None
    kinds = [(i.name, i.elem_type, i.dims) for i in found.onnx.inputs]
    assert kinds == [
        ("amount", "float", (None, 1)),
        ("age", "float", (None, 1)),
        ("country", "string", (None, 1)),
    ]


def external(*locations: str, **entries: str) -> onnx.ModelProto:
    model = a_model()
    for number, location in enumerate(locations):
        tensor = model.graph.initializer.add(name=f"w{number}", data_type=1, dims=[1])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=value)
    return model


@pytest.mark.parametrize(
    "location", ["../../secret", "a/../../secret", "/etc/passwd", "weights.bin", "link", ""]
)
def test_any_external_data_is_malicious_and_nothing_is_opened(
    tmp_path: Path, location: str
) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0" * 4)
    (tmp_path / "link").symlink_to("/etc/passwd")
    path = tmp_path / "model.onnx"
    path.write_bytes(saved(external(location)))
    opened: list[str] = []
    _AUDITED.append(opened)
    try:
        found = inspect_file(path, BUDGET)
    finally:
        _AUDITED.remove(opened)
    assert (found.result, "external_data" in rules(found)) == (Result.MALICIOUS, True)
    assert found.onnx is not None
    assert len(found.onnx.external_data) == 1
    here = [name for name in opened if not name.endswith((".py", ".pyc", ".so"))]
    assert [name for name in here if "secret" in name or "passwd" in name] == []
    assert [name for name in here if str(tmp_path) in name] == [str(path)]


_AUDITED: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _AUDITED:
        for opened in _AUDITED:
            opened.append(str(arguments[0]))


sys.addaudithook(_audit)


@pytest.mark.parametrize(
    "entries", [{"offset": "-1"}, {"length": "-5"}, {"length": "99999999999"}, {"offset": "x"}]
)
def test_external_data_with_odd_ranges_is_malicious(
    tmp_path: Path, entries: dict[str, str]
) -> None:
    found = inspected(tmp_path, saved(external("w", "w", **entries)))
    assert found.result is Result.MALICIOUS


def test_external_data_is_found_inside_sub_graphs_and_attributes(tmp_path: Path) -> None:
    inner = external("../secret").graph
    inner.ClearField("input")
    branch = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    tensor = helper.make_node("Constant", [], ["k"], value=external("../x").graph.initializer[0])
    for node in (branch, tensor):
        found = inspected(tmp_path, saved(a_model([node])))
        assert "external_data" in rules(found)
        assert found.result is Result.MALICIOUS


def test_operators_of_other_domains_are_malicious(tmp_path: Path) -> None:
    node = helper.make_node("Load", ["X"], ["Z"], domain="com.evil", library="/tmp/evil.so")
    found = inspected(tmp_path, saved(a_model([node])))
    assert (found.result, "operator_domain" in rules(found)) == (Result.MALICIOUS, True)
    assert found.onnx is not None
    assert "com.evil" in found.onnx.domains
    model = a_model()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    found = inspected(tmp_path, saved(model))
    assert (found.result, rules(found)) == (Result.SUSPICIOUS, {"opset_domain"})


@pytest.mark.parametrize("dims", [[2**31, 2**31], [2**62, 4], [2**40], [-1, 4], [1] * 100])
def test_tensors_that_claim_too_much_are_malicious(tmp_path: Path, dims: list[int]) -> None:
    tensor = TensorProto(name="w", data_type=1, dims=dims, raw_data=b"\0" * 16)
    found = inspected(tmp_path, saved(a_model(initializers=[tensor])))
    assert (found.result, "tensor_size" in rules(found)) == (Result.MALICIOUS, True)


def test_tensors_that_hold_another_amount_are_malicious(tmp_path: Path) -> None:
    for tensor in (
        TensorProto(name="w", data_type=1, dims=[4], raw_data=b"\0" * 15),
        TensorProto(name="w", data_type=1, dims=[4], float_data=[1.0]),
        TensorProto(name="w", data_type=8, dims=[3], string_data=[b"a"]),
    ):
        found = inspected(tmp_path, saved(a_model(initializers=[tensor])))
        assert "tensor_size" in rules(found)


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile", "Reshape"])
def test_outputs_stated_too_large_are_malicious(tmp_path: Path, operator: str) -> None:
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [2**31, 2**31])
    inputs = ["s"] if operator == "ConstantOfShape" else ["X", "s"]
    node = helper.make_node(operator, inputs, ["Z"])
    constant = helper.make_node("Constant", [], ["s"], value=shape)
    for model in (a_model([node], [shape]), a_model([constant, node])):
        assert "tensor_size" in rules(inspected(tmp_path, saved(model)))


@pytest.mark.parametrize("spelling", ["value", "value_ints", "int32"])
@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand"])
def test_a_size_counts_in_each_spelling(tmp_path: Path, operator: str, spelling: str) -> None:
    sizes = [2**31 - 1, 2**31 - 1]
    kind = TensorProto.INT32 if spelling == "int32" else TensorProto.INT64
    said: dict[str, Any] = {"value": helper.make_tensor("s", kind, [2], sizes)}
    if spelling == "value_ints":
        said = {"value_ints": sizes}
    constant = helper.make_node("Constant", [], ["s"], **said)
    inputs = ["s"] if operator == "ConstantOfShape" else ["X", "s"]
    node = helper.make_node(operator, inputs, ["Z"])
    assert "tensor_size" in rules(inspected(tmp_path, saved(a_model([constant, node]))))


@pytest.mark.parametrize(
    ("bounds", "too_many"),
    [
        ((0, 10**14, 1), True),
        ((0, 10, 1), False),
        ((5, -(10**14), -1), True),
        ((0, 9, 0), False),
    ],
)
def test_a_range_that_counts_too_far_is_malicious(
    tmp_path: Path, bounds: tuple[int, int, int], too_many: bool
) -> None:
    constants = [
        helper.make_node("Constant", [], [name], value_int=value)
        for name, value in zip("abc", bounds, strict=True)
    ]
    model = a_model([*constants, helper.make_node("Range", [*"abc"], ["Z"])])
    assert ("tensor_size" in rules(inspected(tmp_path, saved(model)))) == too_many


def test_declared_sizes_and_shape_attributes_count_too(tmp_path: Path) -> None:
    model = a_model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2**62
    assert "tensor_size" in rules(inspected(tmp_path, saved(model)))
    random = helper.make_node("RandomNormal", [], ["Z"], shape=[2**31, 2**31])
    assert "tensor_size" in rules(inspected(tmp_path, saved(a_model([random]))))


def test_a_loop_of_a_million_million_trips_is_malicious(tmp_path: Path) -> None:
    trips = helper.make_tensor("m", TensorProto.INT64, [], [10**12])
    loop = helper.make_node("Loop", ["m", ""], ["Z"], body=a_model().graph)
    found = inspected(tmp_path, saved(a_model([loop], [trips])))
    assert "loops 1000000000000 times" in {f.detail for f in found.findings}


def nested(levels: int) -> onnx.ModelProto:
    graph = a_model().graph
    for _ in range(levels):
        node = helper.make_node("If", ["c"], ["z"])
        node.attribute.add(name="then_branch", type=5).g.CopyFrom(graph)
        graph = helper.make_graph([node], "g", [], [])
    model = a_model()
    model.graph.CopyFrom(graph)
    return model


def test_deep_nesting_is_stopped_at_the_budget(tmp_path: Path) -> None:
    found = inspected(tmp_path, saved(nested(15)))
    assert (found.result, "budget" in rules(found)) == (Result.MALICIOUS, True)


def test_nesting_that_no_parser_would_survive_is_refused(tmp_path: Path) -> None:
    data = b""
    for _ in range(5000):  # a graph in an attribute of a node of a graph, by hand
        for field in (b"\x32", b"\x2a", b"\x0a"):
            length, size = len(data), b""
            while length > 127:
                size, length = size + bytes([length & 127 | 128]), length >> 7
            data = field + size + bytes([length]) + data
    length, size = len(data), b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    found = inspected(tmp_path, b"\x08\x0a\x3a" + size + bytes([length]) + data)
    assert (found.format, found.result) == (Format.ONNX, Result.MALICIOUS)
    assert "budget" in rules(found)


def test_too_many_nodes_are_stopped_at_the_budget(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(saved(a_model([helper.make_node("Relu", ["X"], ["Z"])] * 50)))
    found = inspect_file(tmp_path / "m.onnx", Budget(max_nodes=10))
    assert "budget" in rules(found)
    assert found.result is Result.MALICIOUS


@pytest.mark.parametrize("calls", [["f"], ["g", "f"]])
def test_functions_that_call_themselves_are_malicious(tmp_path: Path, calls: list[str]) -> None:
    model = a_model()
    names = ["f", "g"][: len(calls)]
    for name, called in zip(names, calls, strict=True):
        node = helper.make_node(called, ["a"], ["b"], domain="ai.onnx.ml")
        opsets = [helper.make_opsetid("ai.onnx.ml", 3)]
        model.functions.append(
            helper.make_function("ai.onnx.ml", name, ["a"], ["b"], [node], opsets)
        )
    found = inspected(tmp_path, saved(model))
    assert (found.result, "recursive_function" in rules(found)) == (Result.MALICIOUS, True)


def test_an_onnx_model_with_a_zip_behind_it_is_malicious(tmp_path: Path, numeric: Any) -> None:
    archive = zipped({"data.pkl": pickle.dumps(os.system)})
    inside = onnx.load_from_string(numeric.onnx)
    inside.graph.initializer.append(
        TensorProto(name="w", data_type=2, dims=[len(archive)], raw_data=archive)
    )
    for data in (numeric.onnx + archive, inside.SerializeToString()):
        found = inspected(tmp_path, data)
        assert (found.result, "polyglot" in rules(found)) == (Result.MALICIOUS, True)


def test_bytes_that_belong_to_no_field_of_a_model_are_never_clean(
    tmp_path: Path, numeric: Any
) -> None:
    for model in (numeric.onnx, saved(a_model(doc_string="long " * 1000))):
        found = inspected(tmp_path, model + b"\x52\x03abc")
        assert found.result is Result.UNREADABLE
    assert (found.format, rules(found)) == (Format.ONNX, {"malformed"})


def test_truncated_models_are_never_clean(tmp_path: Path, numeric: Any) -> None:
    for length in [*range(40), *range(40, len(numeric.onnx), 13), len(numeric.onnx) - 1]:
        assert inspected(tmp_path, numeric.onnx[:length]).result is not Result.CLEAN


def test_a_graph_that_makes_no_sense_is_unreadable(tmp_path: Path) -> None:
    found = inspected(tmp_path, saved(a_model([helper.make_node("Relu", ["nobody"], ["Z"])])))
    assert (found.result, rules(found)) == (Result.UNREADABLE, {"invalid_graph"})


SECRETS = {
    "secret": [
        "-----BEGIN RSA PRIVATE KEY-----",
        "AKIAIOSFODNN7EXAMPLE",
        "password=hunter2hunter2",
        "postgresql://admin:letmein@db/prod",
    ],
    "personal_data": ["jane.doe@example.com", "4111 1111 1111 1111", "078-05-1120"],
}


@pytest.mark.parametrize(("rule", "text"), [(r, t) for r, ts in SECRETS.items() for t in ts])
def test_secrets_are_flagged_and_never_repeated(tmp_path: Path, rule: str, text: str) -> None:
    for place in range(4):
        model = a_model(doc_string=f"see {text}" if place == 0 else "")
        if place == 1:
            model.metadata_props.add(key="note", value=text)
        elif place == 2:
            model.metadata_props.add(key=text, value="x")
        elif place == 3:
            model.producer_name = text
        found = inspected(tmp_path, saved(model))
        assert (found.result, rule in rules(found)) == (Result.SUSPICIOUS, True)
        assert text not in json.dumps(found.report(), ensure_ascii=False)


def test_a_password_is_known_by_its_key(tmp_path: Path) -> None:
    model = a_model()
    model.metadata_props.add(key="db_password", value="hunter2")
    assert rules(inspected(tmp_path, saved(model))) == {"secret"}


def test_text_that_is_not_utf_8_is_never_clean(tmp_path: Path) -> None:
    mark = "QQQQ"
    function_node = helper.make_node("Relu", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("", mark, ["a"], ["b"], [function_node], opsets)
    recursive = helper.make_node(mark, ["a"], ["b"])
    models = [
        a_model(doc_string=mark),
        a_model(producer_name=mark),
        a_model([helper.make_node("Relu", ["X"], ["Z"], doc_string=mark)]),
        a_model([helper.make_node("Relu", ["X"], ["Z"], domain=mark)]),
        a_model([helper.make_node(mark, ["X"], ["Z"])]),
        a_model([helper.make_node("Relu", ["X"], ["Z"]), helper.make_node(mark, ["X"], ["W"])]),
        a_model(functions=[function]),
        a_model(functions=[function, helper.make_function("", "f", [], [], [recursive], opsets)]),
    ]
    models += [a_model(), a_model(), a_model()]
    models[-1].metadata_props.add(key=mark, value=mark)
    models[-2].graph.input[0].type.tensor_type.shape.dim[0].dim_param = mark
    models[-3].graph.input.add(name=mark).type.tensor_type.elem_type = 1
    for model in models:
        found = inspected(tmp_path, saved(model).replace(b"QQQQ", b"Q\xff\xfeQ"))
        json.dumps(found.report())
        if b"doc_string" in repr(model).encode() or model.metadata_props:
            assert found.result is not Result.CLEAN


def test_names_are_escaped_wherever_they_are_shown(tmp_path: Path) -> None:
    hostile = "\x1b[31mred\r\n\u202egnp\x00\x9b" + "x" * 5000
    model = a_model([helper.make_node(hostile, ["X"], ["Z"], name=hostile, domain=hostile)])
    model.producer_name = hostile
    model.metadata_props.add(key=hostile, value="v")
    model.graph.input[0].name = hostile
    report = json.dumps(inspected(tmp_path, saved(model)).report(), ensure_ascii=False)
    assert report.isprintable()
    assert len(report) < 10_000
