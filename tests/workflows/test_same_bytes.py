"""Two versions with the same bytes are two versions: a release of one is none of the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from tests.workflows.handing_in import good_files, hand_in
from tests.workflows.releasing import Plane, Told, going_on, told

from trimtab.kernel.actor import system
from trimtab.kernel.errors import Conflict
from trimtab.registry.deployments import Deployment
from trimtab.rollouts import service as rollouts
from trimtab.workflows import release

pytestmark = pytest.mark.slow


def story(plane: Plane) -> None:
    """1.0.0 is released, and then its bytes under another number."""
    plane.register()
    plane.hasten()
    plane.release("1.0.0")
    artifact, reference, holdout = good_files()
    model = onnx.load_from_string(artifact)
    model.doc_string = "1.0.0"
    hand_in(
        plane.application,
        model.SerializeToString(),
        reference,
        holdout,
        version="1.0.1",
    )
    plane.settle()
    assert plane.version("1.0.1").digest == plane.version("1.0.0").digest
    plane.sign("1.0.1")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return told(tmp_path_factory.mktemp("released") / "plane", story)


@pytest.fixture
def served(released: Told, tmp_path: Path) -> Iterator[Plane]:
    """1.0.0 is stable, and 1.0.1 has its bytes and waits with half of the traffic."""
    with going_on(released, tmp_path / "plane") as plane:
        yield plane


def stable(plane: Plane) -> str | None:
    found = plane.stable()
    return None if found is None else found.version


def test_it_is_a_canary_beside_the_one_with_its_bytes(served: Plane) -> None:
    assert stable(served) == "1.0.0"
    assert served.placed("1.0.1").state is Deployment.CANARY
    rollout = served.rollout("1.0.1")
    assert rollout.observed_percent == rollout.intended_percent < 100
    for _ in range(4):
        served.day()
    assert stable(served) == "1.0.1"
    assert served.placed("1.0.0").state is Deployment.RETIRED


def test_taking_it_back_leaves_the_one_with_its_bytes(served: Plane) -> None:
    with served.application.parts.records.begin(system("test"), reason="a person aborts") as work:
        rollouts.abort(work, served.rollout("1.0.1").id)
    served.settle()
    assert stable(served) == "1.0.0"
    assert served.placed("1.0.1").state is Deployment.ROLLED_BACK
    assert not served.entries("rollback.refused")


def test_what_is_stable_is_not_released_again(served: Plane) -> None:
    parts = served.application.parts
    with (
        pytest.raises(Conflict, match="stable there already"),
        parts.records.begin(system("test"), reason="again") as work,
    ):
        release.start(parts, work, served.version("1.0.0"))
    assert stable(served) == "1.0.0"
