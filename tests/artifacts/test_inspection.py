"""One file at a time: what real models look like, and what hostile ones try."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.findings import Budget, Result
from trimtab.artifacts.formats import Format
from trimtab.artifacts.inspection import Inspection, inspect_file

BUDGET = Budget(max_file_bytes=8 << 20, max_tensor_bytes=16 << 20, max_unpacked_bytes=8 << 20)


class Payload:
    """Unpickling this runs a command."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


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


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["model.pkl", "model.bin", "model.onnx", "model", "model.pt"])
def test_a_pickle_is_malicious_under_any_name_and_never_run(
    tmp_path: Path, sentinel: Path, protocol: int, name: str
) -> None:
    data = pickle.dumps(Payload(f"touch {sentinel}"), protocol=protocol)
    found = inspected(tmp_path, data, name)
    assert (found.result, found.format) == (Result.MALICIOUS, Format.PICKLE)
    details = " ".join(f.detail for f in found.findings if f.rule == "pickle_global")
    assert "posix.system" in details or "nt.system" in details
    assert not sentinel.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_broken_behind_its_payload_is_malicious(
    tmp_path: Path, sentinel: Path, protocol: int
) -> None:
    data = pickle.dumps(Payload(f"touch {sentinel}"), protocol=protocol)
    for broken in (data[:-1], data[:-1] + b"\xff\xff", data[:-1] + b"X\xff\xff\xff\xff"):
        found = inspected(tmp_path, broken)
        assert found.result is Result.MALICIOUS
        assert {"pickle_broken", "pickle_global"} <= rules(found)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    ("module", "name"), [("pip", "main"), ("pkgutil", "resolve_name"), ("numpy", "load")]
)
def test_any_global_outside_the_allow_list_is_named(tmp_path: Path, module: str, name: str) -> None:
    for data in (
        f"c{module}\n{name}\n(S'x'\ntR.".encode(),
        b"\x80\x04\x8c%c%b\x94\x8c%c%b\x94\x93."
        % (len(module), module.encode(), len(name), name.encode()),
        b"\x80\x04\x8c%c%b\x94\x8c%c%b\x940h\x00h\x01\x93."
        % (len(module), module.encode(), len(name), name.encode()),
    ):
        found = inspected(tmp_path, data)
        assert f"names {module}.{name}" in {f.detail for f in found.findings}


def test_a_pickle_of_plain_numbers_is_still_a_program(tmp_path: Path) -> None:
    found = inspected(tmp_path, pickle.dumps({"a": np.arange(3)}))
    assert found.result is Result.MALICIOUS
    assert rules(found) == {"pickle"}


def test_an_array_of_objects_is_malicious_and_not_loaded(tmp_path: Path, sentinel: Path) -> None:
    for array in (
        np.array([Payload(f"touch {sentinel}")], dtype=object),
        np.zeros(1, dtype=[("a", "f4"), ("b", "O")]),
    ):
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        found = inspected(tmp_path, file.getvalue(), "model.npy")
        assert (found.result, found.format) == (Result.MALICIOUS, Format.NUMPY_OBJECT)
    assert not sentinel.exists()


def zipped(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_a_pickle_in_a_zip_is_found_whatever_it_is_called(tmp_path: Path) -> None:
    payload = pickle.dumps(Payload("true"))
    for name, kind in (("archive/data.pkl", Format.ZIP_PYTORCH), ("notes.txt", Format.ZIP)):
        found = inspected(tmp_path, zipped({name: payload}), "model.bin")
        assert (found.result, found.format) == (Result.MALICIOUS, kind)
        assert "pickle_global" in rules(found)


def test_a_zip_whose_readers_would_disagree_is_malicious(tmp_path: Path) -> None:
    honest = zipped({"a.txt": b"text"})
    assert inspected(tmp_path, honest).result is Result.UNREADABLE
    flags = bytearray(honest)
    flags[6] ^= 0x01  # "encrypted", in the entry's own header only
    renamed = honest.replace(b"a.txt", b"b.txt", 1)
    for data in (bytes(flags), renamed):
        assert inspected(tmp_path, data).result is Result.MALICIOUS
    assert inspected(tmp_path, honest[:-30]).result is Result.MALICIOUS


def test_two_entries_of_one_name_are_malicious(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.pkl", b"x")
        archive.writestr("A.pkl", b"y")
    assert "zip_twice" in rules(inspected(tmp_path, file.getvalue()))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:x", "a\\..\\x", "~/x"])
def test_entries_that_would_land_elsewhere_are_malicious(tmp_path: Path, name: str) -> None:
    assert "zip_path" in rules(inspected(tmp_path, zipped({name: b"x"})))


def test_a_zip_bomb_is_stopped_at_the_budget(tmp_path: Path) -> None:
    found = inspected(tmp_path, zipped({"zeros": b"\0" * (40 << 20)}))
    assert found.size < 1 << 20
    assert (found.result, "budget" in rules(found)) == (Result.MALICIOUS, True)


def test_a_keras_archive_with_code_is_malicious(tmp_path: Path) -> None:
    config = json.dumps({"layers": [{"class_name": "Lambda"}]}).encode()
    found = inspected(
        tmp_path, zipped({"metadata.json": b"{}", "config.json": config}), "model.keras"
    )
    assert (found.format, found.result) == (Format.KERAS_ZIP, Result.MALICIOUS)
    assert "keras_code" in rules(found)


OTHERS = {
    "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
    "gguf": b"GGUF\x03\0\0\0" + b"{% for x in y %}",
    "safetensors": struct.pack("<Q", 2) + b"{}" + b"\0" * 8,
    "json": b'{"a": ' * 100_000,
    "yaml": b"python_env: 3.11\nmodel: !!python/object/apply:os.system [true]\n",
    "compressed": b"\x1f\x8b\x08\0" + b"\0" * 40,
    "tar": b"x" * 257 + b"ustar\x0000" + b"\0" * 300,
    "empty": b"",
    "unknown": b"\x00",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_recognised_and_never_clean(tmp_path: Path, kind: str) -> None:
    found = inspected(tmp_path, OTHERS[kind])
    assert found.format == kind
    assert found.result in (Result.UNREADABLE, Result.MALICIOUS)
    assert found.onnx is None


def test_yaml_that_builds_objects_is_malicious(tmp_path: Path) -> None:
    assert "yaml_code" in rules(inspected(tmp_path, OTHERS["yaml"], "MLmodel"))


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


def test_links_and_devices_are_refused(tmp_path: Path, numeric: Any) -> None:
    real = tmp_path / "real.onnx"
    real.write_bytes(numeric.onnx)
    assert inspect_file(real, BUDGET).result is Result.CLEAN
    (tmp_path / "soft.onnx").symlink_to(real)
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "folder.onnx").mkdir()
    for name, rule in (
        ("soft", "symlink"),
        ("pipe", "not_regular"),
        ("folder", "not_regular"),
    ):
        found = inspect_file(tmp_path / f"{name}.onnx", BUDGET)
        assert (found.result, rules(found), found.digest) == (Result.MALICIOUS, {rule}, None)
    os.link(real, tmp_path / "hard.onnx")
    assert rules(inspect_file(real, BUDGET)) == {"hardlink"}
    assert rules(inspect_file(Path("/dev/zero"), BUDGET)) == {"not_regular"}


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    found = inspect_file(tmp_path / "nothing", BUDGET)
    assert (found.result, rules(found)) == (Result.UNREADABLE, {"unopenable"})


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


def test_a_file_beyond_the_budget_is_hashed_but_unreadable(tmp_path: Path, numeric: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(numeric.onnx)
    found = inspect_file(path, Budget(max_file_bytes=100))
    assert (found.result, found.digest) == (Result.UNREADABLE, sha256_of(numeric.onnx))


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
    archive = zipped({"data.pkl": pickle.dumps(Payload("true"))})
    inside = onnx.load_from_string(numeric.onnx)
    inside.graph.initializer.append(
        TensorProto(name="w", data_type=2, dims=[len(archive)], raw_data=archive)
    )
    for data in (numeric.onnx + archive, inside.SerializeToString()):
        found = inspected(tmp_path, data)
        assert (found.result, "polyglot" in rules(found)) == (Result.MALICIOUS, True)


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


def test_a_pickle_with_odd_escapes_is_read_all_the_same(tmp_path: Path) -> None:
    found = inspected(tmp_path, b"c\\cos\nsystem\n(S'\\q'\ntR.")
    assert found.result is not Result.CLEAN
    data = pickle.dumps(Payload("true"), protocol=2)
    assert inspected(tmp_path, data.replace(b"cposix", b"c\\posix")).result is Result.MALICIOUS


def test_names_are_escaped_wherever_they_are_shown(tmp_path: Path) -> None:
    hostile = "\x1b[31mred\r\n\u202egnp\x00\x9b" + "x" * 5000
    model = a_model([helper.make_node(hostile, ["X"], ["Z"], name=hostile, domain=hostile)])
    model.producer_name = hostile
    model.metadata_props.add(key=hostile, value="v")
    model.graph.input[0].name = hostile
    report = json.dumps(inspected(tmp_path, saved(model)).report(), ensure_ascii=False)
    assert report.isprintable()
    assert len(report) < 10_000


def test_the_command_prints_one_report(tmp_path: Path, numeric: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(numeric.onnx)
    command = [sys.executable, "-m", "trimtab.artifacts.inspection", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    report = json.loads(done.stdout)
    assert done.stderr == b""
    assert (report["result"], report["digest"]) == ("clean", sha256_of(numeric.onnx))
    assert report["onnx"]["inputs"][0] == {"name": "X", "elem_type": "float", "dims": [None, 4]}
    done = subprocess.run(
        [*command, "--max-file-bytes", "10"], capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["result"] == "unreadable"


def test_swapping_a_link_in_never_lets_it_be_read(tmp_path: Path, numeric: Any) -> None:
    """Somebody replaces the file by a link between check and open, again and again."""
    path, secret = tmp_path / "model.onnx", tmp_path / "secret"
    secret.write_bytes(b"secret")
    good, bad = sha256_of(numeric.onnx), sha256_of(b"secret")
    script = (
        "import os,sys\n"
        "path, secret, data = sys.argv[1], sys.argv[2], open(sys.argv[3], 'rb').read()\n"
        "while os.path.exists(secret):\n"
        "    os.symlink(secret, path + '.a'); os.replace(path + '.a', path)\n"
        "    open(path + '.b', 'wb').write(data); os.replace(path + '.b', path)\n"
    )
    source = tmp_path / "source"
    source.write_bytes(numeric.onnx)
    path.write_bytes(numeric.onnx)
    arguments = [sys.executable, "-c", script, str(path), str(secret), str(source)]
    swapper = subprocess.Popen(arguments)
    try:
        seen = {inspect_file(path, Budget(max_nodes=0)).digest for _ in range(2000)}
    finally:
        secret.unlink()
        swapper.wait(timeout=30)
    assert bad not in seen
    assert seen <= {good, None}
