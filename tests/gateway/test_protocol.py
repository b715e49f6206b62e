"""The Open Inference Protocol, spoken to a gateway over real sockets."""

from __future__ import annotations

import json
import struct
import uuid
from typing import Any

import httpx
import numpy as np
import pytest

from trimtab.gateway.serving import PredictionIds
from trimtab.sdk.routing import InputSpec, Route

pytestmark = pytest.mark.slow

ROWS = [[1.0, 2.0, 3.0], [0.5, 0.5, 0.5]]


@pytest.fixture
def matrix(kit: Any) -> Any:
    """A gateway that serves a [N, 3] regression as `delay`."""
    return kit.serve(("delay", kit.stable(answer=10.0)))


@pytest.fixture
def columns(kit: Any) -> Any:
    """A gateway that serves a classifier with one tensor a column as `delay`."""
    target = kit.world.publish("delay", "1.0.0", kit.column_model())
    return kit.serve(("delay", Route(None, target, None)))


def column_tensors() -> list[dict[str, Any]]:
    return [
        {"name": "carrier", "datatype": "BYTES", "shape": [2, 1], "data": ["aa", "bb"]},
        {"name": "distance", "datatype": "FP32", "shape": [2], "data": [-9.0, 9]},
        {"name": "hour", "datatype": "INT64", "shape": [2, 1], "data": [[0], [5]]},
    ]


def post_binary(
    running: Any, kit: Any, head: dict[str, Any], tail: bytes, length: int | None = None
) -> httpx.Response:
    text = json.dumps(head).encode()
    size = len(text) if length is None else length
    headers = kit.credential("ak_fleet") | {"Inference-Header-Content-Length": str(size)}
    found: httpx.Response = running.http.post(
        "/v2/models/delay/infer", content=text + tail, headers=headers
    )
    return found


def test_an_answer_says_which_version_gave_it_and_why(matrix: Any) -> None:
    answer = matrix.infer(ROWS)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model_name"], body["model_version"]) == ("delay", "1.0.0")
    (output,) = body["outputs"]
    assert output["shape"] == [2, 1]
    assert output["data"] == pytest.approx([16.0, 11.5], abs=1e-4)
    parameters = body["parameters"]
    assert parameters["deployment"] == "stable"
    assert parameters["reason"] == "global stable"
    assert parameters["digest"].startswith("sha256:")


def test_the_prediction_id_is_a_uuid7_in_domain_time(matrix: Any) -> None:
    found = uuid.UUID(matrix.infer(ROWS).json()["parameters"]["prediction_id"])
    assert found.version == 7
    assert found.variant == uuid.RFC_4122
    assert found.int >> 80 == 1435752000000  # 2015-07-01T12:00Z, the table's time


def test_prediction_ids_of_one_moment_are_in_the_order_of_the_answers() -> None:
    ids = PredictionIds()
    now_us = 1435752000000_000
    drawn = [ids.next(now_us + late) for late in (*[0] * 500, 999, 1000, 1000, 2000)]
    assert drawn == sorted(set(drawn))
    assert {uuid.UUID(one).version for one in drawn} == {7}
    assert {uuid.UUID(one).variant for one in drawn} == {uuid.RFC_4122}
    assert uuid.UUID(drawn[-1]).int >> 80 == 1435752000002
    # How many were answered before in this millisecond, and nothing about any before that.
    assert uuid.UUID(drawn[-1]).int >> 64 & 0xFFF == uuid.UUID(drawn[0]).int >> 64 & 0xFFF == 0


def test_one_tensor_a_column_with_texts_and_whole_numbers(columns: Any) -> None:
    answer = columns.post("/v2/models/delay/infer", {"id": "seven", "inputs": column_tensors()})
    assert answer.status_code == 200
    body = answer.json()
    assert body["id"] == "seven"
    label, probabilities = body["outputs"]
    assert (label["datatype"], label["data"]) == ("INT64", [0, 1])
    assert probabilities["shape"] == [2, 2]
    assert sum(probabilities["data"][:2]) == pytest.approx(1.0)


def test_metadata_lists_inputs_outputs_and_versions(columns: Any) -> None:
    body = columns.get("/v2/models/delay").json()
    assert body["versions"] == ["1.0.0"]
    assert body["inputs"][1] == {"name": "hour", "datatype": "INT64", "shape": [-1, 1]}
    assert [output["name"] for output in body["outputs"]] == ["label", "probabilities"]
    assert columns.get("/v2/models/delay/versions/1.0.0").json() == body
    assert columns.get("/v2/models/delay/ready").json() == {"name": "delay", "ready": True}
    assert columns.get("/v2/models/delay/versions/1.0.0/ready").status_code == 200
    assert columns.get("/v2/models/delay/versions/9.9.9/ready").status_code == 404
    assert columns.http.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert columns.http.get("/v2/health/live").status_code == 200
    assert columns.http.get("/v2/health/ready").status_code == 200


def test_binary_tensors_give_the_same_answer_as_json(matrix: Any, kit: Any) -> None:
    raw = np.array(ROWS, dtype="<f4").tobytes()
    head = {
        "inputs": [
            {
                "name": "X",
                "datatype": "FP32",
                "shape": [2, 3],
                "parameters": {"binary_data_size": len(raw)},
            }
        ],
        "outputs": [{"name": "variable", "parameters": {"binary_data": True}}],
    }
    for padding in ("", " ", "  ", "   "):  # the tensor starts at any alignment
        answer = post_binary(matrix, kit, head | {"id": "x" + padding}, raw)
        assert answer.status_code == 200, answer.text
        length = int(answer.headers["Inference-Header-Content-Length"])
        (output,) = json.loads(answer.content[:length])["outputs"]
        assert output["parameters"] == {"binary_data_size": 8}
        values = np.frombuffer(answer.content[length:], dtype="<f4")
        assert values == pytest.approx([16.0, 11.5], abs=1e-4)


def test_binary_texts_carry_their_lengths(columns: Any, kit: Any) -> None:
    tensors = column_tensors()
    raw = b"".join(struct.pack("<I", 2) + text for text in (b"aa", b"bb"))
    tensors[0] = tensors[0] | {"parameters": {"binary_data_size": len(raw)}}
    del tensors[0]["data"]
    head = {"inputs": tensors, "parameters": {"binary_data_output": True}}
    answer = post_binary(columns, kit, head, raw)
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["Inference-Header-Content-Length"])
    assert np.frombuffer(answer.content[length : length + 16], dtype="<i8").tolist() == [0, 1]


def change(index: int, **fields: Any) -> list[dict[str, Any]]:
    tensors = column_tensors()
    tensors[index] = tensors[index] | fields
    return tensors


WRONG: dict[str, tuple[list[Any], str]] = {
    "wrong datatype": (change(1, datatype="FP64"), "distance"),
    "wrong rank": (change(2, shape=[2, 1, 1]), "hour"),
    "wrong width": (change(2, shape=[1, 2], data=[0, 5]), "hour"),
    "negative size": (change(2, shape=[-2, 1]), "hour"),
    "absurd size": (change(1, shape=[2**31], data=[]), "distance"),
    "size that overflows": (change(1, shape=[2**30, 1], data=[]), "distance"),
    "shape that is a text": (change(2, shape="2,1"), "hour"),
    "too few values": (change(1, data=[1.0]), "distance"),
    "ragged": (change(2, data=[[0], [5, 6]]), "hour"),
    "no data": (change(2, data=None), "hour"),
    "text for a number": (change(1, data=["1.0", 2.0]), "distance"),
    "boolean for a number": (change(1, data=[True, 2.0]), "distance"),
    "fraction for a whole number": (change(2, data=[1.5, 2]), "hour"),
    "null for a whole number": (change(2, data=[None, 2]), "hour"),
    "number for a text": (change(0, data=["aa", 1]), "carrier"),
    "half a character": (change(0, data=["aa", "\ud800"]), "carrier"),
    "beyond INT64": (change(2, data=[2**63, 2]), "hour"),
    "beyond FP32": (change(1, data=[1e39, 2]), "distance"),
    "infinite": (change(1, data=[10**400, 2]), "distance"),
    "missing input": (column_tensors()[:2], "hour"),
    "unknown input": ([*column_tensors(), {"name": "x", "datatype": "FP32"}], "x"),
    "input twice": ([*column_tensors(), column_tensors()[0]], "carrier"),
    "input without a name": ([{"datatype": "FP32"}], "inputs"),
    "input that is a number": ([3], "inputs"),
    "rows that differ": (change(2, shape=[1, 1], data=[0]), "hour"),
    "no rows": ([t | {"shape": [0, 1], "data": []} for t in column_tensors()], "carrier"),
    "binary without bytes": (change(1, data=None, parameters={"binary_data_size": 8}), "distance"),
    "size that is a text": (change(1, parameters={"binary_data_size": "8"}), "distance"),
    "parameters that are a list": (change(1, parameters=[1]), "distance"),
}


def test_every_wrong_input_is_named_and_never_breaks_the_server(columns: Any) -> None:
    for what, (tensors, field) in WRONG.items():
        text = json.dumps({"inputs": tensors})
        answer = columns.http.post(
            "/v2/models/delay/infer",
            content=text,
            headers={"X-Api-Key": "ak_fleet." + "f" * 43},
        )
        assert (what, answer.status_code) == (what, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (what, problem["field"]) == (what, field)
        assert problem["code"] == "invalid_input"
    body = {"inputs": column_tensors()}
    assert columns.post("/v2/models/delay/infer", body).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"inputs": 3}',
        b'{"inputs": []}',
        b'{"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [NaN, 1, 2]}]}',
        b'{"inputs": [' + b"9" * 5000 + b"]}",
    ],
)
def test_bodies_that_are_no_request(matrix: Any, kit: Any, content: bytes) -> None:
    answer = matrix.http.post(
        "/v2/models/delay/infer", content=content, headers=kit.credential("ak_fleet")
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_binary_bodies_must_hold_exactly_what_they_say(matrix: Any, kit: Any) -> None:
    def head(size: int) -> dict[str, Any]:
        parameters = {"binary_data_size": size}
        tensor = {"name": "X", "datatype": "FP32", "shape": [1, 3], "parameters": parameters}
        return {"inputs": [tensor]}

    assert post_binary(matrix, kit, head(12), bytes(12)).status_code == 200
    for size, tail in ((12, bytes(11)), (12, bytes(13)), (8, bytes(8)), (-1, bytes(12))):
        assert post_binary(matrix, kit, head(size), tail).status_code == 422
    assert post_binary(matrix, kit, head(12), bytes(12), length=10**6).status_code == 422
    assert post_binary(matrix, kit, head(12), bytes(12), length=5).status_code == 422
    infinite = np.array([np.inf, 0, 0], dtype="<f4").tobytes()
    assert post_binary(matrix, kit, head(12), infinite).json()["field"] == "X"


def test_a_missing_value_is_null_and_is_counted(matrix: Any) -> None:
    answer = matrix.infer([[None, 1.0, 2.0]])
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["data"] == [None]  # a linear model has no answer: null
    page = matrix.http.get("/metrics").text
    labels = '{model="delay",version="1.0.0",deployment="stable"}'
    assert f"trimtab_gateway_missing_values_total{labels} 1" in page
    assert f"trimtab_gateway_inference_seconds_count{labels} 1" in page


def test_outputs_can_be_chosen(columns: Any) -> None:
    def chosen(outputs: Any) -> httpx.Response:
        body = {"inputs": column_tensors(), "outputs": outputs}
        found: httpx.Response = columns.post("/v2/models/delay/infer", body)
        return found

    answer = chosen([{"name": "label"}]).json()
    assert [output["name"] for output in answer["outputs"]] == ["label"]
    wrongs: list[Any] = [[{"name": "x"}], [{"name": "label"}] * 2, 3, [{"name": []}], [{}], [3]]
    for wrong in wrongs:
        assert chosen(wrong).status_code == 422


def test_limits_of_size_rows_methods_and_encodings(kit: Any) -> None:
    kit.world.route(kit.a_table(("delay", kit.stable())))
    running = kit.start(max_body_bytes=2000, max_rows=4)
    running.reaches(1)
    assert running.infer([[1.0, 2.0, 3.0]] * 4).status_code == 200
    assert running.infer([[1.0, 2.0, 3.0]] * 5).status_code == 422
    assert running.infer([[1.0, 2.0, 3.0]] * 500).status_code == 413
    endless = (b" " * 500 for _ in range(10))
    headers = kit.credential("ak_fleet")
    path = "/v2/models/delay/infer"
    assert running.http.post(path, content=endless, headers=headers).status_code == 413
    assert running.get(path).status_code == 405
    packed = headers | {"Content-Encoding": "gzip"}
    assert running.http.post(path, content=b"x", headers=packed).status_code == 415
    assert running.get("/v2/models").status_code == 404
    assert running.get("/v2/models/delay/versions/1.0.0/x/y").status_code == 404
    assert running.get("/nothing").status_code == 404


def test_a_body_that_does_not_arrive_is_given_up(kit: Any) -> None:
    kit.world.route(kit.a_table(("delay", kit.stable())))
    running = kit.start(read_seconds=0.1)
    running.reaches(1)
    import socket
    from urllib.parse import urlsplit

    port = urlsplit(running.url).port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as slow:
        secret = kit.credential("ak_fleet")["X-Api-Key"]
        slow.sendall(
            b"POST /v2/models/delay/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"X-Api-Key: " + secret.encode() + b"\r\n\r\n{"
        )
        assert b" 408 " in slow.recv(1000)


def endless_model() -> bytes:
    """A model over [N, 3] that adds for about a year."""
    from onnx import TensorProto, helper

    floats = TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Add", ["sum", "sum"], ["more"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", floats, [None, 3]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", floats, [None, 3]),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["steps", "", "X"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("X", floats, [None, 3])],
        [helper.make_tensor_value_info("y", floats, [None, 3])],
        [helper.make_tensor("steps", TensorProto.INT64, [], [10**13])],
    )
    opsets = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def test_an_inference_that_takes_too_long_is_stopped(kit: Any) -> None:
    slow = kit.world.publish("slow", "1.0.0", endless_model())
    kit.world.route(kit.a_table(("delay", kit.stable()), ("slow", Route(None, slow, None))))
    running = kit.start(inference_seconds=0.2, workers=1)
    running.reaches(1)
    assert running.health()["refused"] == []
    answer = running.infer(ROWS, model="slow")
    assert (answer.status_code, answer.json()["code"]) == (504, "inference_too_slow")
    # The one worker is free again, so the run itself has ended and not only its answer.
    assert running.infer(ROWS).status_code == 200


def test_a_model_must_take_what_its_callers_were_told_to_send(kit: Any) -> None:
    told = (InputSpec("X", "FP64", (-1, 3)),)
    running = kit.serve(("delay", kit.stable()), inputs=told)
    (refused,) = running.health()["refused"]
    assert "X" in refused["reason"]
    assert running.infer(ROWS).status_code == 404
