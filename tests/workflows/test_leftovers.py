"""Blobs without a use: not left by what is refused at once, and removed when they are old."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.databases import database_for
from tests.workflows.handing_in import hand_in, register

from trimtab.app import Application
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import Digest
from trimtab.platform import references
from trimtab.platform.settings import Settings
from trimtab.registry.model import Version
from trimtab.workflows.leftovers import Leftovers

HOUR = 3600.0
ROWS: dict[str, list[Any]] = {"amount": [1.0, 2.0], "late": [0, 1]}


def parquet(columns: dict[str, list[Any]]) -> bytes:
    sink = BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


CONTENTS = (
    b"a model, of a kind",
    parquet(ROWS),
    parquet({**ROWS, "amount": [3.0, 4.0]}),
)
"""What a version is handed in with: the artifact, the reference, the holdout."""


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    """A control plane whose loops do not run, with a model."""
    settings: dict[str, Any] = {
        **database_for(tmp_path / "home"),
        "TRIMTAB_HOME": tmp_path / "home",
    }
    application = Application(Settings(**settings))
    register(application, ["amount"])
    yield application
    application.parts.records.database.close()


def handed_in(application: Application, **changes: Any) -> Version:
    return hand_in(application, *CONTENTS, **changes)


def blobs(application: Application) -> set[Digest]:
    return set(application.parts.blobs.digests())


def put(application: Application, content: bytes) -> Digest:
    return application.parts.blobs.put(BytesIO(content), max_bytes=1 << 20).digest


def aged(application: Application, digest: Digest, hours: float) -> None:
    """As if its bytes had last been stored so long ago."""
    path = application.parts.blobs.path(digest)
    before = path.stat().st_mtime - hours * HOUR
    os.utime(path, (before, before))


def keep_hours(application: Application) -> int:
    return application.settings.unreferenced_blobs_keep_hours


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1.0"},
        {"parent": "0.9.0"},
        {"cutoff": 1.5},
        {"reference": BytesIO(parquet({"late": [0, 1]}))},
        {"holdout": BytesIO(parquet({"amount": [1.0]}))},
        {"holdout": BytesIO(b"no Parquet")},
        {"holdout": BytesIO(parquet({"amount": [], "late": []}))},
        {"artifact": BytesIO(b"")},
    ],
    ids=lambda changes: str(*changes),
)
def test_what_is_refused_for_a_cheap_reason_stores_nothing(
    application: Application, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        handed_in(application, **changes)
    assert blobs(application) == set()


def test_a_file_that_is_too_large_is_refused_before_any_is_stored(
    application: Application,
) -> None:
    class Large(BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            return 1 << 40 if whence == os.SEEK_END else super().seek(offset, whence)

    for field in ("artifact", "reference", "holdout"):
        with pytest.raises(InvalidInput, match="at most") as refused:
            handed_in(application, **{field: Large(b"x")})
        assert refused.value.field == field
    assert blobs(application) == set()


def test_an_old_blob_that_nothing_refers_to_goes_at_the_second_look(
    application: Application,
) -> None:
    left = put(application, b"of an upload that was refused")
    aged(application, left, keep_hours(application) + 1)
    leftovers = Leftovers(application.parts)
    assert (leftovers.look(), blobs(application)) == (0, {left})
    assert (leftovers.look(), blobs(application)) == (1, set())
    assert leftovers.look() == 0


def test_what_a_record_refers_to_stays_however_old(application: Application) -> None:
    version = handed_in(application)
    known = {version.digest, version.reference_digest, version.holdout_digest}
    for digest in known:
        aged(application, digest, 100 * keep_hours(application))
    leftovers = Leftovers(application.parts)
    assert [leftovers.look() for _ in range(3)] == [0, 0, 0]
    assert blobs(application) == known


def test_what_is_young_stays(application: Application) -> None:
    left = put(application, b"of an upload under way")
    aged(application, left, keep_hours(application) - 1)
    leftovers = Leftovers(application.parts)
    assert [leftovers.look() for _ in range(3)] == [0, 0, 0]
    assert blobs(application) == {left}


def test_bytes_that_are_stored_again_are_young_again(application: Application) -> None:
    """An upload of bytes that an old, refused one has left, and is not registered yet."""
    left = put(application, b"the same model")
    aged(application, left, keep_hours(application) + 1)
    leftovers = Leftovers(application.parts)
    leftovers.look()
    assert put(application, b"the same model") == left
    assert [leftovers.look() for _ in range(3)] == [0, 0, 0]
    assert blobs(application) == {left}


def test_bytes_that_are_stored_again_between_list_and_removal_stay(
    application: Application,
) -> None:
    """The narrowest place: the second look has them on its list already."""
    left = put(application, b"the same model")
    aged(application, left, keep_hours(application) + 1)
    seen = dict(application.parts.blobs.stored_before(application.parts.real_clock.now()))
    assert put(application, b"the same model") == left
    assert not application.parts.blobs.remove(left, stored_at_ns=seen[left])
    assert blobs(application) == {left}
    assert not application.parts.blobs.remove(Digest("sha256:" + "0" * 64), stored_at_ns=0)


def test_a_version_that_is_registered_between_two_looks_keeps_its_bytes(
    application: Application,
) -> None:
    for content in CONTENTS:
        aged(application, put(application, content), keep_hours(application) + 1)
    leftovers = Leftovers(application.parts)
    leftovers.look()
    version = handed_in(application)
    for digest in (version.digest, version.reference_digest, version.holdout_digest):
        aged(application, digest, 2 * keep_hours(application))
    assert [leftovers.look() for _ in range(3)] == [0, 0, 0]
    assert len(blobs(application)) == 3


def test_one_look_after_a_clock_was_set_forward_removes_nothing(
    application: Application,
) -> None:
    """To a clock that is a year ahead, what is stored right now is a year old."""
    left = put(application, b"of an upload under way")
    aged(application, left, 365 * 24)
    leftovers = Leftovers(application.parts)
    assert leftovers.look() == 0
    assert put(application, b"of an upload under way") == left
    aged(application, left, 365 * 24 - 1)
    assert leftovers.look() == 0
    assert blobs(application) == {left}


def test_every_column_for_a_digest_counts(application: Application) -> None:
    version = handed_in(application)
    with application.parts.records.look() as reading:
        named = references.digests(reading.connection)
    assert {version.digest, version.reference_digest, version.holdout_digest} <= named
