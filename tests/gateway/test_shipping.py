"""Predictions are shipped without ever holding up an inference, and none is lost unsaid."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.patience import PATIENCE_SECONDS

from trimtab.gateway.batches import Batch, Captured, record_batch
from trimtab.gateway.sessions import VersionSchema
from trimtab.gateway.shipping import Buffer, Outcome, Pace, Shipper
from trimtab.gateway.tensors import TensorSpec
from trimtab.sdk.routing import Route, VersionEntry


def schema(
    model: str = "delay", columns: dict[str, tuple[str, ...]] | None = None
) -> VersionSchema:
    entry = VersionEntry("sha256:" + "1" * 64, model, "1.0.0", None)
    spec = TensorSpec("X", "FP32", (-1, 2))
    out = TensorSpec("y", "FP32", (-1, 1))
    return VersionSchema(entry, (spec,), (out,), {"X": ("a", "b")})


def call(rows: int = 1, model: str = "delay", name: str = "p") -> Captured:
    values = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    return Captured(
        version=schema(model),
        prediction_id=name,
        tenant="aa",
        endpoint="e",
        deployment="stable",
        reason="global stable",
        at_us=1_435_752_000_000_000,
        latency_ms=1.5,
        rows=rows,
        inputs={"X": values},
        outputs={"y": np.ones((rows, 1), dtype=np.float32)},
    )


def test_predictions_arrive_as_arrow_with_a_column_for_each_feature(kit: Any) -> None:
    target = kit.world.publish("delay", "1.0.0", kit.column_model())
    running = kit.serve(("delay", Route(None, target, None)))
    tensors = [
        kit.tensor("distance", "FP32", [[0.5], [None]]),
        kit.tensor("hour", "INT64", [[1], [2]]),
        kit.tensor("carrier", "BYTES", [["aa"], ["zz"]]),
    ]
    answer = running.post("/v2/models/delay/infer", {"inputs": tensors}, X_Endpoint_Id="e-1")
    identity = answer.json()["parameters"]["prediction_id"]
    kit.eventually(lambda: kit.world.batches)
    table = kit.world.rows()
    assert table.column_names == [
        *("prediction_id", "row", "model", "version", "digest", "tenant", "endpoint"),
        *("deployment", "reason", "at", "latency_ms"),
        *("in.distance", "in.hour", "in.carrier", "out.label", "out.probabilities"),
    ]
    rows = table.to_pylist()
    assert [(r["prediction_id"], r["row"]) for r in rows] == [(identity, 0), (identity, 1)]
    assert [r["in.carrier"] for r in rows] == ["aa", "zz"]
    assert [r["in.distance"] for r in rows] == [0.5, None]
    assert {(r["endpoint"], r["tenant"], r["deployment"]) for r in rows} == {
        ("e-1", None, "stable")
    }
    assert rows[0]["at"].isoformat() == "2015-07-01T12:00:00+00:00"
    assert rows[0]["latency_ms"] > 0
    assert len(rows[0]["out.probabilities"]) == 2
    assert table.schema.field("in.hour").type == pa.int64()


def test_a_batch_holds_one_model(kit: Any) -> None:
    stable = kit.stable()
    other = kit.world.publish("other", "1.0.0", kit.matrix_model(0.0))
    running = kit.serve(("delay", stable), ("other", Route(None, other, None)))
    for _ in range(5):
        running.infer([[0.0, 0.0, 0.0]])
        running.infer([[0.0, 0.0, 0.0]], model="other")
    kit.eventually(lambda: running.health()["rows"]["shipped"] == 10)
    for payload in kit.world.batches.values():
        assert len(set(pa.ipc.open_stream(payload).read_all()["model"].to_pylist())) == 1


def test_columns_of_a_matrix_and_rows_of_many_calls() -> None:
    batch = record_batch([call(2, name="p"), call(1, name="q")])
    assert batch["prediction_id"].to_pylist() == ["p", "p", "q"]
    assert batch["row"].to_pylist() == [0, 1, 0]
    assert batch["in.a"].to_pylist() == [0.0, 2.0, 0.0]
    assert batch["in.b"].to_pylist() == [1.0, 3.0, 1.0]
    assert batch["out.y"].to_pylist() == [1.0, 1.0, 1.0]


def test_a_batch_is_sent_until_it_is_taken_under_one_id(kit: Any) -> None:
    kit.world.answer_predictions_with = 503
    running = kit.serve(("delay", kit.stable()))
    running.infer([[0.0, 0.0, 0.0]])
    kit.eventually(lambda: kit.world.deliveries >= 3)
    assert running.health()["rows"]["buffered"] == 1
    kit.world.answer_predictions_with = 200
    kit.eventually(lambda: running.health()["rows"]["shipped"] == 1)
    assert len(kit.world.batches) == 1


def test_a_batch_that_is_refused_is_counted_as_shed(kit: Any) -> None:
    kit.world.answer_predictions_with = 422
    running = kit.serve(("delay", kit.stable()))
    running.infer([[0.0, 0.0, 0.0]])
    kit.eventually(lambda: running.health()["rows"]["shed"]["refused"] == 1)
    assert 'predictions_shed_total{reason="refused"} 1' in running.http.get("/metrics").text


def test_a_full_buffer_sheds_says_so_and_never_holds_up_an_answer(kit: Any) -> None:
    kit.world.answer_predictions_with = 503
    kit.world.route(kit.a_table(("delay", kit.stable())))
    running = kit.start(buffer_rows=10, batch_rows=4)
    running.reaches(1)
    for _ in range(30):
        assert running.infer([[0.0, 0.0, 0.0]]).status_code == 200
    rows = running.health()["rows"]
    assert rows["accepted"] == 30
    assert rows["buffered"] <= 10
    assert rows["shed"]["full"] == 30 - rows["buffered"]
    kit.eventually(lambda: kit.world.reports[-1]["rows"]["shed"]["full"] >= 20)


def test_what_waits_is_shipped_at_the_end(kit: Any) -> None:
    kit.world.route(kit.a_table(("delay", kit.stable())))
    running = kit.start(flush_seconds=60.0)
    running.reaches(1)
    for _ in range(7):
        running.infer([[0.0, 0.0, 0.0]])
    kit.stop(running)
    assert kit.world.rows().num_rows == 7
    last = kit.world.reports[-1]["rows"]
    assert (last["shipped"], last["buffered"]) == (7, 0)


def test_what_cannot_be_shipped_at_the_end_is_counted(kit: Any) -> None:
    kit.world.answer_predictions_with = 503
    kit.world.route(kit.a_table(("delay", kit.stable())))
    running = kit.start(drain_seconds=0.1)
    running.reaches(1)
    running.infer([[0.0, 0.0, 0.0]])
    kit.stop(running)
    last = kit.world.reports[-1]["rows"]
    assert (last["shed"]["shutdown"], last["buffered"], last["shipped"]) == (1, 0, 0)


SIZES = st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["m", "n"])), max_size=40)
ACTIONS = st.lists(st.sampled_from(["take", "ship", "shed"]), max_size=40)


@given(SIZES, ACTIONS, st.booleans(), st.integers(1, 20))
def test_rows_are_accepted_shipped_shed_or_waiting(
    calls: list[tuple[int, str]], actions: list[str], oldest: bool, room: int
) -> None:
    buffer = Buffer(room, 1 << 30, oldest)
    taken: list[list[Captured]] = []
    for i in range(max(len(calls), len(actions))):
        if i < len(calls):
            buffer.put(call(*calls[i]))
        action = actions[i] if i < len(actions) else ""
        if action == "take" and (some := buffer.take(5)):
            assert len({c.stream for c in some}) == 1
            taken.append(some)
        elif action in ("ship", "shed") and taken:
            buffer.settle(taken.pop(), None if action == "ship" else "refused")
        counts = buffer.counts()
        assert counts.accepted == counts.shipped + sum(counts.shed.values()) + counts.buffered
        assert 0 <= counts.buffered <= room
        assert counts.buffered_bytes >= 0


@pytest.mark.parametrize(("oldest", "left"), [(True, ["2", "3"]), (False, ["0", "1"])])
def test_what_is_shed_is_a_choice(oldest: bool, left: list[str]) -> None:
    buffer = Buffer(2, 1 << 30, oldest)
    for i in range(4):
        buffer.put(call(name=str(i)))
    assert [c.prediction_id for c in buffer.take(9)] == left


def test_bytes_are_a_limit_too() -> None:
    buffer = Buffer(10**6, call(100).size * 2, shed_oldest=False)
    for _ in range(5):
        buffer.put(call(100))
    assert buffer.counts().buffered == 200


def test_taking_a_call_never_waits_for_the_network() -> None:
    """The network hangs; calls are accepted all the same, and the thread can be ended."""
    hung, entered = threading.Event(), threading.Event()

    def hang(batch: Any) -> Any:
        entered.set()
        hung.wait(30)
        return "shipped"

    shipper = Shipper(Buffer(50, 1 << 30, shed_oldest=True), hang, Pace(1, 0.01, 0.01, 0.01))
    shipper.start()
    shipper.accept(call())
    assert entered.wait(5)

    def accept_many() -> None:
        for _ in range(500):
            shipper.accept(call())

    accepted = threading.Thread(target=accept_many)
    accepted.start()
    accepted.join(5)
    assert not accepted.is_alive()
    hung.set()
    shipper.drain(5)
    assert not shipper.alive


def shipper(buffer: Buffer, sent: list[Batch], pace: Pace) -> Shipper:
    def send(batch: Batch) -> Outcome:
        sent.append(batch)
        return "shipped"

    return Shipper(buffer, send, pace)


def test_a_full_batch_goes_at_once_and_the_rest_waits_for_more() -> None:
    sent: list[Batch] = []
    running = shipper(Buffer(1000, 10_000_000, True), sent, Pace(10, 60.0, 0.1, 1.0))
    running.start()
    for _ in range(25):
        running.accept(call())
    until(lambda: len(sent) == 2)
    time.sleep(0.05)
    assert [batch.rows for batch in sent] == [10, 10]
    running.drain(5)
    assert [batch.rows for batch in sent] == [10, 10, 5]


def test_what_is_rare_is_not_kept_waiting_by_what_is_frequent() -> None:
    sent: list[Batch] = []
    buffer = Buffer(100_000, 100_000_000, True)
    running = shipper(buffer, sent, Pace(10, 0.2, 0.1, 1.0))
    running.start()
    running.accept(call(model="rare"))
    until(lambda: any(b"rare" in batch.payload for batch in sent), lambda: running.accept(call()))
    assert sum(batch.rows for batch in sent) > 1
    running.drain(5)
    assert buffer.counts().buffered == 0


def until(holds: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        meanwhile()
        time.sleep(0.001)
