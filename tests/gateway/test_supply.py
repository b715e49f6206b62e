"""Nothing is loaded that does not verify; growth stops, not service."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trimtab.artifacts.envelope import seal
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict
from trimtab.sdk.routing import PAYLOAD_TYPE, Route, TableClock, serialise

pytestmark = pytest.mark.slow

ROW = [[0.0, 0.0, 0.0]]
MACHINE = datetime(2030, 1, 1, tzinfo=UTC)


def version(running: Any, **headers: str) -> str:
    answer = running.infer(ROW, **headers)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["parameters"]["version"]
    return found


def test_a_new_version_replaces_the_old_and_frees_it(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable(10.0)))
    (old,) = running.link.serving.loaded.values()
    gone = weakref.ref(old)
    del old
    running.infer(ROW)
    kit.world.route(kit.a_table(("delay", kit.stable(20.0, "2.0.0")), epoch=2))
    running.reaches(2)
    assert version(running) == "2.0.0"
    kit.eventually(lambda: gc.collect() is not None and gone() is None)


def test_the_new_epoch_is_reported_at_once(kit: Any) -> None:
    kit.world.route(kit.a_table(("delay", kit.stable(10.0))))
    running = kit.start(report_seconds=1000.0)
    kit.eventually(lambda: [r for r in kit.world.reports if r["epoch"] == 1])
    kit.world.route(kit.a_table(("delay", kit.stable(20.0, "2.0.0")), epoch=2))
    report = kit.eventually(lambda: [r for r in kit.world.reports if r["epoch"] == 2])[0]
    running.reaches(2)
    assert [v["version"] for v in report["versions"]] == ["2.0.0"]
    assert report["refused"] == []
    assert report["uptime_seconds"] > 0
    assert report["rows"]["buffered"] == 0


def test_the_table_is_asked_for_by_etag(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable()))
    asked = len(kit.world.requests)
    kit.eventually(lambda: len(kit.world.requests) > asked + 3)
    assert kit.world.requests[-1] == "/api/v1/routing"
    assert running.health()["status"] == "ok"


def swap(
    kit: Any, content: bytes | None = None, other: tuple[str, str, str | None] | None = None
) -> None:
    """Let the control plane hand out other bytes, or another version's signature, for 2.0.0."""
    slot = ("delay", "2.0.0", None)
    model, bundle, binding = kit.world.artifacts[slot]
    if other is not None:
        _, bundle, binding = kit.world.artifacts[other]
    kit.world.artifacts[slot] = (content or model, bundle, binding)


@pytest.mark.parametrize("attack", ["bytes", "model", "version", "tenant", "signer", "garbage"])
def test_a_version_that_does_not_verify_leaves_the_old_one_serving(kit: Any, attack: str) -> None:
    running = kit.serve(("delay", kit.stable(10.0)))
    wanted = kit.world.publish("delay", "2.0.0", kit.matrix_model(20.0))
    same = kit.matrix_model(20.0)
    kit.world.publish("other", "2.0.0", same)
    kit.world.publish("delay", "2.0.1", same)
    kit.world.publish("delay", "2.0.0", same, "aa")
    match attack:
        case "bytes":
            swap(kit, content=kit.matrix_model(30.0))
        case "model":
            swap(kit, other=("other", "2.0.0", None))
        case "version":
            swap(kit, other=("delay", "2.0.1", None))
        case "tenant":
            swap(kit, other=("delay", "2.0.0", "aa"))
        case "signer":
            stranger_folder = kit.world.folder / "stranger"
            stranger_folder.mkdir()
            stranger = type(kit.world)(stranger_folder)
            stranger.publish("delay", "2.0.0", same)
            kit.world.artifacts |= stranger.artifacts
            stranger.stop()
        case "garbage":
            kit.world.artifacts[("delay", "2.0.0", None)] = (same, b"{}", b"{}")
    kit.world.route(kit.a_table(("delay", Route(None, wanted, None)), epoch=2))
    running.reaches(2)
    assert version(running) == "1.0.0"
    (refused,) = running.health()["refused"]
    assert (refused["version"], refused["deployment"]) == ("2.0.0", "stable")
    assert running.health()["status"] == "degraded"
    report = kit.eventually(lambda: [r for r in kit.world.reports if r["epoch"] == 2])[0]
    assert report["refused"] == [refused]


def test_a_refused_canary_takes_no_traffic(kit: Any) -> None:
    stable = kit.stable(10.0).stable
    new = kit.world.publish("delay", "2.0.0", kit.matrix_model(20.0))
    swap(kit, content=kit.matrix_model(30.0))
    running = kit.serve(("delay", Route(None, stable, kit.on_trial(new, 100))))
    assert version(running) == "1.0.0"
    assert [r["deployment"] for r in running.health()["refused"]] == ["canary"]


def test_a_version_that_becomes_whole_is_loaded_by_itself(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable(10.0)))
    wanted = kit.world.publish("delay", "2.0.0", kit.matrix_model(20.0))
    whole = kit.world.artifacts.pop(("delay", "2.0.0", None))
    kit.world.route(kit.a_table(("delay", Route(None, wanted, None)), epoch=2))
    running.reaches(2)
    assert version(running) == "1.0.0"
    kit.world.artifacts[("delay", "2.0.0", None)] = whole
    kit.eventually(lambda: version(running) == "2.0.0")
    assert running.health()["refused"] == []


def test_a_model_with_data_outside_its_file_is_not_loaded(kit: Any) -> None:
    import onnx
    from onnx import TensorProto

    model = onnx.load_from_string(kit.matrix_model(0.0))
    secret = kit.world.folder / "secret.bin"
    secret.write_bytes(bytes(400))
    weights = model.graph.initializer.add()
    weights.CopyFrom(onnx.helper.make_tensor("w", TensorProto.FLOAT, [100], [0.0] * 100))
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=str(secret))
    target = kit.world.publish("delay", "1.0.0", model.SerializeToString())
    running = kit.serve(("delay", Route(None, target, None)))
    (refused,) = running.health()["refused"]
    assert "outside its own file" in refused["reason"]
    assert running.infer(ROW).status_code == 404
    assert running.http.get("/v2/health/ready").status_code == 503


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x80\x04\x95pickle"])
def test_bytes_that_are_no_model_are_not_loaded(kit: Any, content: bytes) -> None:
    target = kit.world.publish("delay", "1.0.0", content)
    running = kit.serve(("delay", Route(None, target, None)))
    assert len(running.health()["refused"]) == 1


def test_tables_that_may_not_follow_are_refused_and_said(kit: Any) -> None:
    stable = kit.stable(10.0)
    running = kit.serve(("delay", stable), epoch=5)
    other = kit.stable(20.0, "2.0.0")
    good = kit.a_table(("delay", other), epoch=6)
    stranger = Ed25519PrivateKey.generate()
    refused = {
        "epoch 4 is older than 5": kit.world.seal(kit.a_table(("delay", other), epoch=4)),
        "another table of epoch 5": kit.world.seal(kit.a_table(("delay", other), epoch=5)),
        "a table of elsewhere": kit.world.seal(dataclasses.replace(good, origin="elsewhere")),
        "no trusted key": seal(serialise(good), PAYLOAD_TYPE, stranger),
        "does not hold": seal(serialise(good), "application/x", kit.world.key),
        "the format": seal(b"{}", PAYLOAD_TYPE, kit.world.key),
        "envelope": b"{}",
    }
    for i, (reason, envelope) in enumerate(refused.items()):
        kit.world.envelope, kit.world.etag = envelope, f'"bad {i}"'
        kit.eventually(lambda reason=reason: reason in (running.health()["table_refused"] or ""))
        assert version(running) == "1.0.0"
    kit.world.route(good)
    running.reaches(6)
    kit.eventually(lambda: running.health()["table_refused"] is None)


def test_an_epoch_may_come_again_with_a_later_time(kit: Any) -> None:
    stable = kit.stable(10.0)
    running = kit.serve(("delay", stable))
    later = kit.a_table(("delay", stable))
    later = dataclasses.replace(later, now=later.now + timedelta(minutes=30))
    kit.world.envelope, kit.world.etag = kit.world.seal(later), '"later"'
    kit.eventually(lambda: running.link.serving.table.now == later.now)
    assert running.health()["table_refused"] is None


def on_canary(kit: Any, **table: Any) -> Any:
    stable = kit.stable(10.0).stable
    new = kit.world.publish("delay", "2.0.0", kit.matrix_model(20.0))
    return kit.a_table(("delay", Route(None, stable, kit.on_trial(new, 100))), **table)


def test_when_the_table_expires_canaries_return_to_zero_and_stable_serves(kit: Any) -> None:
    lasts = timedelta(seconds=0.7)
    kit.world.route(on_canary(kit, lasts=lasts, clock=TableClock.REAL))
    running = kit.start()
    running.reaches(1)
    assert version(running) == "2.0.0"
    assert running.health()["expired_since"] is None
    kit.eventually(lambda: version(running) == "1.0.0")
    health = running.health()
    assert health["expired_since"] == "2015-07-01T12:00:00.700000Z"
    assert health["status"] == "degraded"
    report = kit.eventually(lambda: [r for r in kit.world.reports if r["expired_since"]])[0]
    assert report["expired_since"] == health["expired_since"]


def test_stepped_time_stands_still_between_tables(kit: Any) -> None:
    table = on_canary(kit, lasts=timedelta(microseconds=1))
    kit.world.route(table)
    running = kit.start()
    running.reaches(1)
    assert version(running) == "2.0.0"
    moved = dataclasses.replace(table, epoch=2, now=table.expires_at)
    kit.world.route(moved)
    running.reaches(2)
    assert version(running) == "1.0.0"


def test_it_starts_alone_from_its_last_verified_table(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable(10.0)), epoch=3)
    kit.stop(running)
    kit.world.stop()
    alone = kit.start()
    assert version(alone) == "1.0.0"
    health = alone.health()
    assert (health["epoch"], health["status"], health["ready"]) == (3, "degraded", True)
    assert health["unreachable"]
    assert health["table_refused"] is None


def test_a_restart_does_not_forget_the_epoch(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable(10.0)), epoch=3)
    kit.stop(running)
    kit.world.route(kit.a_table(("delay", kit.stable(20.0, "2.0.0")), epoch=2))
    again = kit.start()
    kit.eventually(lambda: again.health()["table_refused"])
    assert version(again) == "1.0.0"


def test_a_restart_keeps_the_old_stable_where_the_new_was_refused(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable(10.0)))
    wanted = kit.world.publish("delay", "2.0.0", kit.matrix_model(20.0))
    swap(kit, content=kit.matrix_model(30.0))
    kit.world.route(kit.a_table(("delay", Route(None, wanted, None)), epoch=2))
    running.reaches(2)
    kit.stop(running)
    kit.world.stop()
    alone = kit.start()
    assert version(alone) == "1.0.0"
    assert alone.health()["epoch"] == 2
    assert len(alone.health()["refused"]) == 1


@pytest.mark.parametrize(("passed", "expected"), [(10, "2.0.0"), (7200, "1.0.0"), (-10, "1.0.0")])
def test_a_table_from_disk_has_its_age(kit: Any, passed: int, expected: str) -> None:
    """Expired meanwhile: no canary. A machine clock that went back cannot tell: no canary."""
    kit.world.route(on_canary(kit, clock=TableClock.REAL))
    running = kit.start(clock=SteppedClock(MACHINE))
    running.reaches(1)
    assert version(running) == "2.0.0"
    kit.stop(running)
    kit.world.stop()
    alone = kit.start(clock=SteppedClock(MACHINE + timedelta(seconds=passed)))
    assert version(alone) == expected


def test_a_restart_does_not_make_the_table_young_again(kit: Any) -> None:
    kit.world.route(on_canary(kit, clock=TableClock.REAL))
    kit.stop(kit.start(clock=SteppedClock(MACHINE)))
    kit.world.stop()
    for minutes, expected in ((40, "2.0.0"), (80, "1.0.0")):
        alone = kit.start(clock=SteppedClock(MACHINE + timedelta(minutes=minutes)))
        assert version(alone) == expected
        kit.stop(alone)


def files(kit: Any, name: str) -> list[Any]:
    return list((kit.settings.state / "artifacts").glob(f"*/{name}"))


def test_a_cached_artifact_that_was_changed_is_not_loaded(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable(10.0)))
    kit.stop(running)
    (cached,) = files(kit, "model.onnx")
    cached.write_bytes(kit.matrix_model(30.0))
    world_is_back = kit.start()
    assert version(world_is_back) == "1.0.0"  # fetched again, whole
    kit.stop(world_is_back)
    cached.write_bytes(kit.matrix_model(30.0))
    kit.world.stop()
    alone = kit.start()
    assert alone.infer(ROW).status_code == 404
    assert len(alone.health()["refused"]) == 1


def test_a_kept_table_that_was_changed_is_not_believed(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable(10.0)))
    kit.stop(running)
    kit.world.stop()
    for kept in kit.settings.state.glob("*.table"):
        kept.write_bytes(kept.read_bytes().replace(b'"payload":"ey', b'"payload":"fy'))
    alone = kit.start()
    assert alone.http.get("/v2/health/ready").status_code == 503
    assert alone.infer(ROW).status_code == 503


def test_artifacts_that_no_table_names_are_removed(kit: Any) -> None:
    running = kit.serve(("delay", kit.stable(10.0)))
    for epoch in (2, 3, 4):
        stable = kit.stable(10.0 * epoch, f"{epoch}.0.0")
        kit.world.route(kit.a_table(("delay", stable), epoch=epoch))
        running.reaches(epoch)
        kit.eventually(lambda: len(files(kit, "model.onnx")) == 1)


def test_one_folder_serves_one_gateway(kit: Any) -> None:
    kit.serve(("delay", kit.stable()))
    with pytest.raises(Conflict):
        kit.start()
