"""A holdout scored in the limited child, and judged by intervals."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from trimtab.artifacts.digest import sha256_of
from trimtab.checks.performance import ChildFailed, Scored, judge, score
from trimtab.kernel.errors import Unavailable
from trimtab.kernel.events import canonical, plain
from trimtab.kernel.ids import Digest
from trimtab.kernel.verdict import Verdict
from trimtab.platform.blobs import BlobStore
from trimtab.policies.admission import ChildLimits, PerformanceDemands
from trimtab.policies.loader import load_preset

FEATURES = ("distance", "wind", "hour", "delay")
TIER_4 = load_preset("standard").tier(4).checks.performance


def run(handed: Any, limits: ChildLimits, **changes: Any) -> Scored:
    place: dict[str, Any] = {"model": handed.model, "digest": handed.digest, "data": handed.data}
    given_ = place | changes
    with tempfile.TemporaryDirectory() as folder:
        return score(
            given_["model"],
            given_["digest"],
            given_["data"],
            features=FEATURES,
            label="late",
            limits=limits,
            folder=given_.get("folder", Path(folder)),
        )


def test_the_child_scores_as_the_trainer_did(
    handed: Any, trained: Any, limits: ChildLimits, demands: PerformanceDemands
) -> None:
    scored = run(handed, limits)
    np.testing.assert_allclose(scored.scores, trained.scores, atol=1e-5)
    np.testing.assert_array_equal(scored.labels, trained.holdout["late"])
    assert scored.seconds > 0
    assert scored.isolation
    result = judge(scored, 0.6, demands, production=None)
    assert result.verdict is Verdict.PASS, result.reason
    assert canonical(plain(dict(result.numbers)))
    assert set(result.numbers["metrics"]) >= {"precision", "recall", "roc_auc", "brier"}


def test_a_model_that_was_swapped_is_not_run(handed: Any, limits: ChildLimits) -> None:
    with pytest.raises(ChildFailed):
        run(handed, limits, digest=Digest("sha256:" + "0" * 64))


def test_the_same_bytes_stored_again_meanwhile_lock_nobody_out(
    handed: Any, trained: Any, limits: ChildLimits, tmp_path: Path
) -> None:
    """The child is given leave to read a file; a new file under its name is another one."""
    store, over = BlobStore(tmp_path / "blobs"), threading.Event()

    def put() -> tuple[Digest, Digest]:
        with handed.model.open("rb") as model, handed.data.open("rb") as data:
            blobs = [store.put(stream, max_bytes=1 << 30) for stream in (model, data)]
        return blobs[0].digest, blobs[1].digest

    def again() -> None:
        while not over.wait(0.02):
            put()

    model, data = put()
    others = threading.Thread(target=again)
    others.start()
    try:
        for _ in range(3):
            found = run(
                handed, limits, model=store.path(model), digest=model, data=store.path(data)
            )
            assert len(found.scores) == len(trained.scores)
    finally:
        over.set()
        others.join()


def endless() -> bytes:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["in"], ["out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("in", TensorProto.FLOAT, [None, 4]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 4]),
        ],
    )
    nodes = [
        helper.make_node("Constant", [], ["m"], value_int=10**15),
        helper.make_node("Loop", ["m", "", "X"], ["looped"], body=body),
        helper.make_node("Constant", [], ["axes"], value_ints=[1]),
        helper.make_node("ReduceSum", ["looped", "axes"], ["score"], keepdims=1),
    ]
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])
    out = helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "g", [x], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.slow
def test_a_model_that_never_ends_is_ended(handed: Any, limits: ChildLimits, tmp_path: Path) -> None:
    path = tmp_path / "endless.onnx"
    path.write_bytes(endless())
    started = time.monotonic()
    with pytest.raises(ChildFailed):
        short = limits.model_copy(update={"max_seconds": 3})
        run(handed, short, model=path, digest=sha256_of(path.read_bytes()))
    assert time.monotonic() - started < 20


def test_a_child_without_memory_has_no_answer(handed: Any, limits: ChildLimits) -> None:
    with pytest.raises(ChildFailed):
        run(handed, limits.model_copy(update={"max_memory_mib": 16}))


def test_a_child_that_did_not_begin_says_nothing_about_the_model(
    handed: Any, limits: ChildLimits
) -> None:
    with pytest.raises(Unavailable, match="timeout"):
        run(handed, limits.model_copy(update={"max_seconds": 0.01}))


@pytest.mark.parametrize("which", ["model", "data"])
def test_a_file_that_is_gone_says_nothing_about_the_model(
    handed: Any, limits: ChildLimits, which: str
) -> None:
    getattr(handed, which).unlink()
    with pytest.raises(Unavailable, match="FileNotFound"):
        run(handed, limits)


def test_a_child_killed_by_somebody_else_says_nothing_about_the_model(
    handed: Any, limits: ChildLimits
) -> None:
    over = threading.Event()

    def kill() -> None:
        own = Path(f"/proc/{os.getpid()}/task")
        while not over.wait(0.05):
            for child in {c for t in own.glob("*/children") for c in t.read_text().split()}:
                command = Path(f"/proc/{child}/cmdline").read_bytes()
                if str(handed.data.parent).encode() in command or b"execution" in command:
                    os.kill(int(child), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(Unavailable, match="killed"):
            run(handed, limits)
    finally:
        over.set()
        killer.join()


def test_no_room_for_temporary_files_says_nothing_about_the_model(
    handed: Any, limits: ChildLimits, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable) as refused:
        run(handed, limits, folder=tmp_path / "gone")
    assert refused.value.remedy


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_damaged_data_is_a_failure_of_what_was_handed_in(
    handed: Any, limits: ChildLimits, place: float
) -> None:
    content = bytearray(handed.data.read_bytes())
    first = int(place * len(content))
    content[first : first + 400] = os.urandom(400)
    handed.data.write_bytes(content)
    with pytest.raises(ChildFailed):
        run(handed, limits)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x80\x04N."])
def test_bytes_that_cannot_be_run(
    handed: Any, limits: ChildLimits, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ChildFailed):
        run(handed, limits, model=path, digest=sha256_of(content))


def test_data_with_a_hole_gives_no_score(
    handed: Any, trained: Any, limits: ChildLimits, tmp_path: Path
) -> None:
    holed = {name: np.array(column) for name, column in trained.holdout.items()}
    holed["wind"][7] = np.nan
    pq.write_table(pa.table(holed), tmp_path / "holed.parquet")
    with pytest.raises(ChildFailed, match="no finite score"):
        run(handed, limits, data=tmp_path / "holed.parquet")


def holdout(rows: int, *, right: float = 0.9, positive: float = 0.3, seed: int = 1) -> Scored:
    """Scores that decide a share `right` of the rows rightly, at cut-off 0.5."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(rows) < positive * rows).astype(float)
    correct = rng.permutation(rows) < round(right * rows)
    return Scored(np.where(correct, labels, 1 - labels), labels, 0.1, {})


def test_too_few_rows_say_how_many_more() -> None:
    result = judge(holdout(299), 0.5, TIER_4, production=None)
    assert (result.verdict, result.reason) == (
        Verdict.INCONCLUSIVE,
        "1 more labelled rows are needed",
    )
    unlabelled = holdout(1000)
    labels = np.where(np.arange(1000) < 701, np.nan, unlabelled.labels)
    result = judge(replace(unlabelled, labels=labels), 0.5, TIER_4, production=None)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert judge(holdout(0), 0.5, TIER_4, production=None).verdict is Verdict.INCONCLUSIVE


def test_an_interval_that_holds_the_limit_does_not_decide() -> None:
    demands = TIER_4.model_copy(update={"max_false_positive_rate": 0.10})
    few, many = holdout(400, right=0.93), holdout(40_000, right=0.93)
    waiting = judge(few, 0.5, demands, production=None)
    assert waiting.verdict is Verdict.INCONCLUSIVE
    assert waiting.numbers["metrics"]["false_positive_rate"] < 0.10
    assert judge(many, 0.5, demands, production=None).verdict is Verdict.PASS
    bad = judge(holdout(40_000, right=0.88), 0.5, demands, production=None)
    assert (bad.verdict, "false_positive_rate" in bad.reason) == (Verdict.FAIL, True)


def test_how_wide_an_interval_is_stands_in_the_policy() -> None:
    limits = {"max_false_positive_rate": 0.10, "min_precision": 0.0, "min_recall": 0.0}
    rows = holdout(2_000, right=0.91)
    verdicts = {
        confidence: judge(
            rows,
            0.5,
            TIER_4.model_copy(update={**limits, "interval_confidence": confidence}),
            production=None,
        ).verdict
        for confidence in (0.6, 0.999)
    }
    assert verdicts == {0.6: Verdict.PASS, 0.999: Verdict.INCONCLUSIVE}


@pytest.mark.parametrize("positive", [0.0, 1.0])
def test_one_kind_of_outcome_only_is_no_pass(positive: float) -> None:
    result = judge(holdout(5000, right=1.0, positive=positive), 0.5, TIER_4, production=None)
    assert result.verdict is not Verdict.PASS


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [1, 2000])
def test_a_model_does_not_choose_the_rows_it_is_judged_on(value: float, rows: int) -> None:
    """Silent where it would be wrong, and right everywhere else."""
    good = holdout(5000, right=1.0)
    scores = good.scores.copy()
    scores[:rows] = value
    result = judge(replace(good, scores=scores), 0.5, TIER_4, production=None)
    assert (result.verdict, str(rows) in result.reason) == (Verdict.FAIL, True)


def test_worse_than_production_on_the_same_rows() -> None:
    now = holdout(20_000, right=0.97, seed=1)
    for right, wanted in [
        (0.97, Verdict.PASS),
        (0.90, Verdict.PASS),
        (0.995, Verdict.FAIL),
        (0.98, Verdict.INCONCLUSIVE),
    ]:
        before = replace(holdout(20_000, right=right, seed=2), labels=now.labels)
        result = judge(now, 0.5, TIER_4, production=(before, 0.5))
        assert result.verdict is wanted, (right, result.reason)
        assert "accuracy_against_production" in str(result.numbers)


def test_production_has_its_own_cutoff() -> None:
    now = holdout(5000, right=0.97)
    scaled = replace(now, scores=now.scores * 0.2)
    assert judge(now, 0.5, TIER_4, production=(scaled, 0.1)).verdict is Verdict.PASS


def test_production_on_other_rows_is_no_comparison() -> None:
    with pytest.raises(Unavailable):
        judge(holdout(5000), 0.5, TIER_4, production=(holdout(4999), 0.5))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_pass_is_within_every_demand(
    rows: int, right: float, positive: float, cutoff: float
) -> None:
    scored = holdout(rows, right=right, positive=positive)
    result = judge(scored, cutoff, TIER_4, production=None)
    if result.verdict is Verdict.PASS:
        figures = result.numbers["metrics"]
        assert rows >= TIER_4.min_holdout_rows
        assert figures["precision"] >= TIER_4.min_precision
        assert figures["recall"] >= TIER_4.min_recall
        assert figures["false_positive_rate"] <= TIER_4.max_false_positive_rate
