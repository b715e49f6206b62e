"""Versions of real models, trained by the recipe and inspected: what each is against the last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.databases import database_for
from tests.workflows.handing_in import ACTOR, hand_in, register

from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import TenantId
from trimtab.platform.settings import Settings
from trimtab.policies.loader import load_preset
from trimtab.recipes import gradient_boosting as recipe
from trimtab.recipes.gradient_boosting import Hyperparameters, Limits
from trimtab.registry import service as registry
from trimtab.registry.model import Lifecycle, Version
from trimtab.workflows.parts import required_checks

pytestmark = pytest.mark.slow
LIMITS = Limits(min_rows=50, max_rows=5_000, max_parity=1e-4, max_single_auc=0.9999)
NAMES = ("size", "colour")


@cache
def table(rows: int, seed: int) -> pa.Table:
    """Rows to learn from; another seed also knows another colour."""
    rng = np.random.default_rng(seed)
    colour = rng.choice(np.array(["red", "green", "blue", f"of {seed}"]), size=rows)
    size = rng.normal(size=rows)
    late = 2 * size + (colour == "red") + rng.normal(size=rows) > 0.5
    at = np.datetime64("2015-01-01", "us") + np.arange(rows).astype("timedelta64[h]")
    return pa.table({"size": size, "colour": colour, "late": late.astype(np.int8), "at": at})


def parquet(of: pa.Table) -> bytes:
    sink = BytesIO()
    pq.write_table(of, sink)
    return sink.getvalue()


@cache
def files(
    rows: int = 600, seed: int = 1, features: tuple[str, ...] = NAMES, trees: int = 5
) -> tuple[bytes, bytes, bytes]:
    """A really trained model as ONNX, what it learnt from, and rows to check it on."""
    both = table(rows + 300, seed)
    data, later = both.slice(0, rows), both.slice(rows)
    trained = recipe.train(
        data,
        features=features,
        label="late",
        time="at",
        seed=1,
        max_fpr=0.2,
        validation_share=0.25,
        limits=LIMITS,
        hyperparameters=Hyperparameters(trees=trees),
    )
    return trained.onnx, parquet(data), parquet(later)


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    """A control plane whose loops do not run, with a model."""
    settings: dict[str, Any] = {
        **database_for(tmp_path / "home"),
        "TRIMTAB_HOME": tmp_path / "home",
    }
    application = Application(Settings(**settings))
    register(application, list(NAMES))
    yield application
    application.parts.records.database.close()


def approved(application: Application, version: Version) -> None:
    with application.parts.records.begin(ACTOR, reason="a test") as work:
        for step in (Lifecycle.STAGING, Lifecycle.APPROVED):
            registry.move_version(work, version.id, step, why="a test")


def rejected(application: Application, version: Version) -> None:
    with application.parts.records.begin(ACTOR, reason="a test") as work:
        registry.move_version(work, version.id, Lifecycle.REJECTED, why="a test")


@pytest.mark.parametrize(
    ("trained", "bump", "why"),
    [
        ({"seed": 2}, "patch", "other data"),
        ({"seed": 2, "rows": 500}, "patch", "other data"),
        ({"seed": 2, "rows": 900}, "minor", "300 more rows"),
        ({"trees": 9}, "minor", "had 5 trees and has 9"),
        ({"features": ("size",)}, "major", "of the inputs, colour is gone"),
    ],
)
def test_what_the_recipe_gives_is_compared(
    application: Application, trained: dict[str, Any], bump: str, why: str
) -> None:
    first = hand_in(application, *files())
    assert (first.number, first.bump, first.predecessor) == (1, "first", None)
    approved(application, first)
    least = {"patch": "1.0.1", "minor": "1.1.0", "major": "2.0.0"}[bump]
    before = {"minor": "1.0.1", "major": "1.1.0"}.get(bump)
    if before is not None:
        with pytest.raises(InvalidInput, match=f"but this is a {bump} change: .*{why}") as refused:
            hand_in(application, *files(**trained), version=before)
        assert refused.value.field == "version"
        assert least in str(refused.value.remedy)
        assert before not in str(refused.value.remedy)
    second = hand_in(application, *files(**trained), version=least)
    assert (second.number, second.bump, second.predecessor) == (2, bump, "1.0.0")
    assert why in "; ".join(second.bump_reasons)
    with application.parts.records.look() as reading:
        told = ledger.entries(reading.connection, ref=second.id, kinds=["version.registered"])
    assert told[0].data is not None
    kept = {name: told[0].data[name] for name in ("number", "bump", "predecessor", "bump_reasons")}
    assert kept == {
        "number": 2,
        "bump": bump,
        "predecessor": "1.0.0",
        "bump_reasons": list(second.bump_reasons),
    }


def test_the_same_bytes_may_have_a_second_number(application: Application) -> None:
    first = hand_in(application, *files())
    approved(application, first)
    again = hand_in(application, *files(), version="1.0.1")
    assert (again.bump, again.bump_reasons) == ("patch", ("nothing that is compared changed",))
    assert hand_in(application, *files(), version="1.0.1").id == again.id, "safe to repeat"


def test_what_was_rejected_is_nobodys_predecessor(application: Application) -> None:
    """Or whoever was refused could come again, as a patch of what was refused."""
    approved(application, hand_in(application, *files()))
    other = files(features=("size",))
    rejected(application, hand_in(application, *other, version="2.0.0"))
    mended = hand_in(application, *other, version="2.0.1", parent="2.0.0")
    assert (mended.predecessor, mended.bump) == ("1.0.0", "major")


def test_what_was_never_approved_hands_its_change_on(application: Application) -> None:
    """Or a second upload would need the smoke test only, of what nobody has validated."""
    approved(application, hand_in(application, *files()))
    other = files(features=("size",))
    hand_in(application, *other, version="2.0.0")
    patch = hand_in(application, *other, version="2.0.1")
    assert (patch.predecessor, patch.bump) == ("2.0.0", "major")
    assert "2.0.0, which it follows, is not approved" in patch.bump_reasons[-1]


def test_a_tenants_first_is_compared_with_the_parent_that_it_names(
    application: Application,
) -> None:
    approved(application, hand_in(application, *files()))
    with application.parts.records.begin(ACTOR, reason="a test") as work:
        from trimtab.identity import service as people

        people.create_tenant(work, slug="ua", name="UA")
    alone = hand_in(application, *files(), version="2.0.0", tenant=TenantId("ua"))
    assert (alone.predecessor, alone.bump) == (None, "first")
    with pytest.raises(InvalidInput, match=r"skips numbers after 1\.0\.0"):
        hand_in(application, *files(), version="4.0.0", tenant=TenantId("ua"), parent="1.0.0")
    follows = hand_in(
        application, *files(seed=2), version="1.0.1", tenant=TenantId("ua"), parent="1.0.0"
    )
    assert (follows.predecessor, follows.bump) == ("1.0.0", "patch")
    ours = hand_in(application, *files(seed=2), version="1.0.2")
    assert ours.predecessor == "1.0.0", "a tenant's version is not for everybody"


def test_nothing_is_stored_of_a_number_that_does_not_follow(application: Application) -> None:
    hand_in(application, *files())
    before = set(application.parts.blobs.digests())
    for number in ("0.0.1", "999999.0.0", "1.0.0"):
        with pytest.raises(Exception, match=r"is not above|skips numbers|exists with another"):
            hand_in(application, *files(seed=2), version=number, cutoff=0.7)
        if number != "1.0.0":
            assert set(application.parts.blobs.digests()) == before


def test_a_number_that_nobody_chose_gives_way(application: Application) -> None:
    """As a retraining's, whose champion somebody has trained otherwise."""
    approved(application, hand_in(application, *files()))
    own = {"parent": "1.0.0", "numbered": False}
    kept = hand_in(application, *files(seed=2), version="1.1.0", **own)
    taken = hand_in(application, *files(seed=3), version="1.1.0", **own)
    bigger = hand_in(application, *files(features=("size",)), version="1.3.0", **own)
    assert [v.version for v in (kept, taken, bigger)] == ["1.1.0", "1.0.1", "2.0.0"]
    assert [v.bump for v in (kept, taken, bigger)] == ["patch", "patch", "major"]


def test_the_bump_picks_the_checks(application: Application) -> None:
    version = hand_in(application, *files())
    demands = load_preset("standard").tier(3)
    lean = demands.checks.model_copy(update={"required": demands.checks.required[:1]})
    smoke = demands.model_copy(update={"checks": lean})
    integrity = demands.checks.required[0].value
    for bump, wanted in (
        ("first", {"schema", "security_scan", "performance"}),
        ("major", {"schema", "security_scan", "performance"}),
        ("minor", {"schema", "security_scan", "performance"}),
        ("patch", {"schema", "security_scan"}),
    ):
        found = required_checks(smoke, replace(version, bump=bump))
        assert found[0] == integrity
        assert set(found) == {integrity, *wanted}
        assert set(required_checks(demands, replace(version, bump=bump))) == {
            check.value for check in demands.checks.required
        }
