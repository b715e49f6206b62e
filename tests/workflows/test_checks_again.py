"""A check that could not be carried out: an error of ours, tried again, never held against
the version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.databases import database_for
from tests.workflows.handing_in import NAMES, good_files, hand_in, register

from trimtab.app import Application
from trimtab.checks import store as check_store
from trimtab.checks.model import CheckRun
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.ids import Digest
from trimtab.kernel.verdict import Verdict
from trimtab.platform.settings import Settings
from trimtab.registry import store
from trimtab.registry.model import Lifecycle, Version
from trimtab.workflows import check
from trimtab.workflows.jobs import MAX_ATTEMPTS

pytestmark = pytest.mark.slow


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    """A control plane whose loop is turned by the test."""
    settings: dict[str, Any] = {
        "TRIMTAB_HOME": tmp_path / "home",
        **database_for(tmp_path / "home"),
        "TRIMTAB_CLOCK": "stepped:2015-03-01T00:00:00Z",
    }
    application = Application(Settings(**settings))
    application.start()
    yield application
    application.stop(20)


@pytest.fixture(scope="module")
def material() -> tuple[bytes, bytes, bytes]:
    """A model that is good, what it learnt from, and rows that it has not seen."""
    return good_files()


def handed_in(application: Application, material: tuple[bytes, bytes, bytes]) -> Version:
    """A version whose checks have not begun."""
    register(application, NAMES)
    return hand_in(application, *material)


def runs(application: Application, version: Version) -> dict[str, list[CheckRun]]:
    """Every attempt at every check, in order."""
    found: dict[str, list[CheckRun]] = {}
    with application.parts.records.look() as reading:
        for run in check_store.of_version(reading, version.id):
            found.setdefault(run.name, []).append(run)
    return found


def lifecycle(application: Application, version: Version) -> Lifecycle:
    with application.parts.records.look() as reading:
        return store.version_by_id(reading, version.id).lifecycle


def settle(application: Application, *, after: timedelta = timedelta(0)) -> None:
    clock = application.parts.clock
    assert isinstance(clock, SteppedClock)
    clock.step_to(clock.now() + after)
    assert application.loop.settle(60)
    assert list(application.parts.engine.failed()) == []


def gone(application: Application, digest: Digest) -> Path:
    """A blob that somebody moved away; where it lies meanwhile."""
    path = application.parts.blobs.path(digest)
    return path.rename(path.parents[2] / "moved-away")


def test_a_check_that_could_not_be_carried_out_is_tried_again(
    application: Application, material: tuple[bytes, bytes, bytes]
) -> None:
    version = handed_in(application, material)
    holdout = application.parts.blobs.path(version.holdout_digest)
    away = gone(application, version.holdout_digest)
    settle(application)
    first = runs(application, version)
    assert [first[name][0].verdict for name in sorted(first)] == [
        Verdict.PASS,  # artifact_integrity
        Verdict.ERROR,  # performance
        Verdict.ERROR,  # schema
        Verdict.PASS,  # security_scan
    ]
    assert "it is tried again" in first["performance"][0].reason
    assert lifecycle(application, version) is Lifecycle.STAGING

    away.rename(holdout)
    settle(application, after=check.CHECK_PAUSE - timedelta(seconds=1))
    assert runs(application, version) == first, "not before its time"
    settle(application, after=timedelta(seconds=1))
    found = runs(application, version)
    assert [run.verdict for run in found["performance"]] == [Verdict.ERROR, Verdict.PASS]
    assert [run.verdict for run in found["schema"]] == [Verdict.ERROR, Verdict.PASS]
    assert [run.attempt for run in found["schema"]] == [1, 2]
    assert len(found["security_scan"]) == 1, "what has its answer is not asked again"
    with application.parts.records.look() as reading:
        assert check.due_again(reading) == []
    assert lifecycle(application, version) in (Lifecycle.STAGING, Lifecycle.APPROVED)


def test_what_stays_impossible_is_an_error_in_the_end_and_no_rejection(
    application: Application, material: tuple[bytes, bytes, bytes]
) -> None:
    version = handed_in(application, material)
    gone(application, version.holdout_digest)
    settle(application)
    for _ in range(MAX_ATTEMPTS + 2):
        settle(application, after=timedelta(days=1))
    found = runs(application, version)["performance"]
    assert [run.verdict for run in found] == [Verdict.ERROR] * MAX_ATTEMPTS
    assert f"given up after {MAX_ATTEMPTS} attempts" in found[-1].reason
    assert found[-1].due_at is None
    assert lifecycle(application, version) is Lifecycle.STAGING


def test_a_failure_of_the_version_is_final_whatever_else_could_not_be_asked(
    application: Application, material: tuple[bytes, bytes, bytes]
) -> None:
    version = handed_in(application, (b"no model at all", *material[1:]))
    gone(application, version.holdout_digest)
    settle(application)
    assert runs(application, version)["schema"][0].verdict is Verdict.ERROR
    assert lifecycle(application, version) is Lifecycle.REJECTED
    before = runs(application, version)
    settle(application, after=timedelta(days=1))
    assert runs(application, version) == before
