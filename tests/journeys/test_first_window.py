"""From a file to a settled window, with real processes, and with one of them killed midway.

Upload, checks, approval by people who did not ask for it, permit, canary, gateway,
predictions, labels, stable, windows; then the record, verified here and elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from tests.databases import database_for

from trimtab.demo import data
from trimtab.demo.candidates import FLIGHTS, register_models
from trimtab.demo.cast import Cast, assemble
from trimtab.demo.director import Director
from trimtab.demo.endpoints import Endpoints
from trimtab.demo.processes import ControlPlane, start_control_plane, start_gateway
from trimtab.demo.story import Story
from trimtab.sdk.checkpoint import Checkpoint
from trimtab.sdk.ledger import verify_export

pytestmark = pytest.mark.on_both
FIRST = date(2015, 3, 1)
DAYS = 6
KILLED_AFTER = 2


def short_story() -> Story:
    """The first days of the demo's story: one model, one version, no faults."""
    full = Story()
    return replace(
        full,
        first_day=FIRST,
        last_day=FIRST + timedelta(DAYS - 1),
        flights=replace(full.flights, live_fault=None, replay=80),
        housing=replace(full.housing, last_day=FIRST - timedelta(1)),
    )


@dataclass
class Told:
    """What is left when the story is over."""

    control: ControlPlane
    cast: Cast
    director: Director
    head_before: str
    answered_alone: int


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Play the story, and kill the control plane after its second day."""
    story = short_story()
    home = tmp_path_factory.mktemp("journey") / "home"
    control = start_control_plane(
        home, f"{FIRST.isoformat()}T00:00:00Z", port=None, more=database_for(home)
    )
    running = [control.process]
    try:
        cast = assemble(control, tuple(t.lower() for t in story.flights.tenants))
        register_models(cast.scientist, story)
        gateway, url = start_gateway(control, cast.gateway_key)
        running.append(gateway)
        endpoints = Endpoints(url, cast.endpoint_keys)
        key = cast.endpoint_keys[None]
        director = Director(story, cast, endpoints, url, key, told=lambda _beat: None)
        head, alone = "", 0
        for number, day in enumerate(director.play(), 1):
            if number != KILLED_AFTER:
                continue
            head = cast.auditor.audit.head().note
            now = cast.admin.clock.now().now
            control.process.handle.kill()
            control.process.handle.wait()
            alone = answers(control, endpoints, story, day)
            port = int(control.url.rpartition(":")[2])
            control = start_control_plane(home, now.isoformat(), port=port, more=database_for(home))
            running.insert(0, control.process)
            director._drained()  # what was answered alone arrives before its window is closed
        endpoints.close()
        yield Told(control, cast, director, head, alone)
        cast.close()
    finally:
        for process in reversed(running):
            process.stop()


def answers(control: ControlPlane, endpoints: Endpoints, story: Story, day: date) -> int:
    """How many rows the gateway answers while there is nobody behind it."""
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{control.url}/health", timeout=1)
    return len(endpoints.ask(FLIGHTS, data.flight_traffic(day, story=story.flights, seed=99)).ids)


@pytest.mark.slow
def test_the_version_went_all_the_way(told: Told) -> None:
    admin = told.cast.admin
    assert admin.models.version(FLIGHTS, "1.0.0").lifecycle == "production"
    deployed = list(admin.models.deployments(FLIGHTS))
    assert [(d.version, d.state, d.percent) for d in deployed] == [("1.0.0", "stable", 100.0)]
    rollout = next(iter(admin.rollouts.list()))
    assert rollout.phase == "promoted"
    latest = admin.models.latest(FLIGHTS, "any")
    assert (latest.version, latest.deployment, latest.is_signed) == ("1.0.0", "stable", True)


@pytest.mark.slow
def test_who_signed_is_not_who_asked(told: Told) -> None:
    approval = next(iter(told.cast.admin.approvals.list()))
    version = told.cast.admin.models.version(FLIGHTS, "1.0.0")
    voters = [vote.person for vote in approval.votes]
    assert len(set(voters)) == len(voters) == 2
    assert not set(voters) & {*version.contributors, approval.requested_by, version.created_by}
    assert approval.target.digest == version.digest


@pytest.mark.slow
def test_the_order_of_events_is_the_one_that_is_promised(told: Told) -> None:
    wanted = [
        "model.registered",
        "version.registered",
        "check.finished",
        "approval.requested",
        "approval.voted",
        "rollout.started",
        "permit.issued",
        "rollout.step_observed",
        "rollout.step_intended",
    ]
    kinds = [entry.kind for entry in told.cast.auditor.audit.entries()]
    assert set(wanted) - set(kinds) == set()
    # A window and the next step may fall on one moment: what a step is judged by is no window.
    assert kinds.index("rollout.step_observed") < kinds.index("window.closed")
    first = [kinds.index(kind) for kind in wanted]
    assert first == sorted(first)
    assert kinds.count("rollout.started") == 1
    assert kinds.count("permit.issued") == kinds.count("permit.consumed")


@pytest.mark.slow
def test_windows_have_settled_with_labels(told: Told) -> None:
    windows = list(told.cast.admin.monitoring.windows(FLIGHTS))
    settled = [w for w in windows if w.tenant is None and w.labels > 0 and w.phase != "open"]
    assert len(settled) >= 3
    assert all(0 < w.labels <= w.rows for w in settled)


@pytest.mark.slow
def test_every_acknowledged_prediction_is_there(told: Told) -> None:
    assert told.answered_alone > 0
    sent = told.director.counts.predictions + told.answered_alone
    assert told.cast.admin.clock.now().failed_jobs == 0
    windows = list(told.cast.admin.monitoring.windows(FLIGHTS))
    whole = [w for w in windows if w.tenant is None]
    assert sum(w.rows for w in whole) == sent


@pytest.mark.slow
def test_the_record_is_whole_and_continues_what_was_signed_before_the_end(
    told: Told, tmp_path: Path
) -> None:
    auditor = told.cast.auditor.audit
    assert auditor.verify().ok
    key = (told.control.home / "keys" / "ledger.pub").read_text("utf-8").strip()
    path = tmp_path / "export.jsonl"
    path.write_text("".join(auditor.export()), "utf-8")
    report = verify_export(path, pinned_key=key, pinned_origin=None)
    assert report.ok, report.findings
    before = Checkpoint.parse(told.head_before)
    assert before.size < report.entries
    lines = [json.loads(line) for line in auditor.export()]
    assert lines[0]["verifier_key"] == key
    notes = [p.read_text("utf-8") for p in (told.control.home / "heads").glob("*.note")]
    assert told.head_before in notes
    lines[before.size // 2]["payload"] = lines[before.size // 2]["payload"].replace(":", ";", 1)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert not verify_export(path, pinned_key=key, pinned_origin=None).ok
