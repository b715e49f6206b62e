"""Blobs in a bucket under faults: cut lines, killed writers, a store that lies, a wrong key."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.objects import Line, ObjectServer, start_object_server

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, NotFound, Unavailable
from trimtab.kernel.ids import Digest
from trimtab.platform import blobs_bucket
from trimtab.platform.blobs import BlobStore
from trimtab.platform.blobs_bucket import Bucket, Place
from trimtab.platform.blobs_choice import open_blobs
from trimtab.platform.blobs_copies import Copies
from trimtab.platform.blobs_objects import ObjectBlobs
from trimtab.platform.settings import Settings

LARGE = bytes(range(256)) * 50_000  # three parts of an upload
SMALL = b"a model, of a kind"
MANY = 1 << 30
MIB = 1 << 20


def digest_of(content: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def key_of(digest: Digest) -> str:
    name = digest.removeprefix("sha256:")
    return f"sha256/{name[:2]}/{name[2:]}"


def machine(place: Place, folder: Path, room: int = MANY) -> ObjectBlobs:
    """The blobs as one machine sees them."""
    return ObjectBlobs(Bucket(place), Copies(folder, max_bytes=room))


def put(blobs: ObjectBlobs, content: bytes) -> Digest:
    return blobs.put(io.BytesIO(content), max_bytes=MANY).digest


def read(blobs: ObjectBlobs, digest: Digest) -> bytes:
    with blobs.open_verified(digest) as file:
        return file.read()


@pytest.fixture
def line(object_server: ObjectServer) -> Iterator[Line]:
    line = Line(object_server)
    yield line
    line.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that take seconds in the house take less here."""
    monkeypatch.setattr(blobs_bucket, "_SILENCE", timedelta(seconds=1))
    monkeypatch.setattr(blobs_bucket, "_QUICK", timedelta(seconds=1))
    monkeypatch.setattr(blobs_bucket, "_RETRYING", timedelta(seconds=2))
    monkeypatch.setattr(blobs_bucket, "_STATE_SECONDS", 0.0)


def test_what_one_machine_has_stored_another_one_reads(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    place = object_server.new_bucket()
    digest = put(machine(place, tmp_path / "one"), LARGE)
    assert object_server.keys(place) == [key_of(digest)]
    assert object_server.content(place, key_of(digest)) == LARGE
    other = machine(place, tmp_path / "other")
    assert not other.path(digest).exists()
    assert read(other, digest) == LARGE
    assert other.path(digest).read_bytes() == LARGE


@pytest.mark.parametrize("after", [0, 100_000, 6_000_000])
def test_a_line_that_is_cut_while_something_is_sent_leaves_nothing_in_sight(
    object_server: ObjectServer, line: Line, tmp_path: Path, impatient: None, after: int
) -> None:
    place = object_server.new_bucket()
    blobs = machine(line.place(place), tmp_path)
    line.up_to = after
    began = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        put(blobs, LARGE)
    assert time.monotonic() - began < 60
    assert refused.value.remedy
    assert object_server.keys(place, "sha256/") == []
    line.mend()
    assert read(machine(place, tmp_path / "other"), put(blobs, LARGE)) == LARGE
    assert object_server.keys(place) == [key_of(digest_of(LARGE))]


@pytest.mark.parametrize("after", [0, 100_000, 6_000_000])
def test_a_line_that_is_cut_while_something_comes_hands_out_nothing(
    object_server: ObjectServer, line: Line, tmp_path: Path, impatient: None, after: int
) -> None:
    place = object_server.new_bucket()
    digest = put(machine(place, tmp_path / "one"), LARGE)
    other = machine(line.place(place), tmp_path / "other")
    line.down_to = after
    with pytest.raises(Unavailable):
        other.open_verified(digest)
    assert not other.path(digest).exists()
    assert list((tmp_path / "other" / "tmp").iterdir()) == []
    line.mend()
    assert read(other, digest) == LARGE


def test_a_server_that_is_killed_is_no_damage_and_what_was_verified_is_still_read(
    tmp_path: Path, impatient: None
) -> None:
    server = start_object_server()
    try:
        place = server.new_bucket()
        here, elsewhere = machine(place, tmp_path / "here"), machine(place, tmp_path / "elsewhere")
        digest = put(here, LARGE)
    finally:
        server.stop()
    assert read(here, digest) == LARGE
    for call in (
        lambda: elsewhere.open_verified(digest),
        lambda: put(here, SMALL),
        lambda: here.has(digest),
        lambda: here.quarantine(digest),
        lambda: list(here.digests()),
    ):
        with pytest.raises(Unavailable):
            call()
    assert here.bucket == "failing"
    assert here.unhealthy is None


def test_a_store_that_keeps_silent_is_given_up_in_time(
    object_server: ObjectServer, line: Line, tmp_path: Path, impatient: None
) -> None:
    place = object_server.new_bucket()
    blobs = machine(line.place(place), tmp_path)
    digest = put(blobs, SMALL)
    line.silent = True
    began = time.monotonic()
    assert blobs.bucket == "failing"
    with pytest.raises(Unavailable, match="does not answer"):
        put(blobs, LARGE)
    assert time.monotonic() - began < 60
    assert read(blobs, digest) == SMALL
    line.mend()
    assert blobs.bucket == "accessible"


def test_an_object_of_yesterday_is_never_handed_out(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    """The bucket was healed, and another replica still answers with what was there before."""
    place = object_server.new_bucket()
    one = machine(place, tmp_path / "one")
    digest = put(one, LARGE)
    object_server.plant(place, key_of(digest), LARGE[:-1])
    put(one, LARGE)
    assert object_server.content(place, key_of(digest)) == LARGE
    object_server.plant(place, key_of(digest), LARGE[:-1])
    with pytest.raises(IntegrityFailed, match="another digest") as refused:
        machine(place, tmp_path / "other").open_verified(digest)
    assert "Quarantine" in (refused.value.remedy or "")


def test_what_was_swapped_before_is_kept_as_evidence(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    place = object_server.new_bucket()
    blobs = machine(place, tmp_path)
    digest = put(blobs, SMALL)
    object_server.plant(place, key_of(digest), b"something else")
    put(blobs, SMALL)
    (aside,) = object_server.keys(place, "quarantine/")
    assert object_server.content(place, aside) == b"something else"
    assert blobs.quarantined() == 1


def test_a_copy_that_was_damaged_on_the_disk_is_fetched_again(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    blobs = machine(object_server.new_bucket(), tmp_path)
    digest = put(blobs, LARGE)
    blobs.path(digest).chmod(0o600)
    blobs.path(digest).write_bytes(LARGE[:-1])
    assert read(blobs, digest) == LARGE
    assert blobs.quarantined() == 1


def test_a_bucket_that_is_gone_makes_nothing_look_lost(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    place = object_server.new_bucket()
    digest = put(machine(place, tmp_path / "one"), SMALL)
    gone = machine(replace(place, bucket="nobody-has-this"), tmp_path / "other")
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        gone.open_verified(digest)
    with pytest.raises(NotFound):
        machine(place, tmp_path / "other").open_verified(digest_of(b"never stored"))


def test_an_object_that_is_there_is_never_written_over(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    """Another writer of the same bytes comes first: each of the two ends well."""
    place = object_server.new_bucket()
    bucket = Bucket(place)
    assert bucket.create("sha256/one", b"first")
    assert not bucket.create("sha256/one", b"second")
    bucket.send("tmp/second", iter([b"second"]))
    assert not bucket.name("tmp/second", "sha256/one")
    assert object_server.content(place, "sha256/one") == b"first"


def test_copies_make_room_but_for_the_newest_and_those_in_use(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    blobs = machine(object_server.new_bucket(), tmp_path, room=2 * MIB)
    contents = [bytes([number]) * MIB for number in range(4)]
    first = put(blobs, contents[0])
    with blobs.held(first) as path:
        digests = [first, *(put(blobs, content) for content in contents[1:])]
        assert path.read_bytes() == contents[0]
        assert [blobs.path(d).exists() for d in digests] == [True, False, False, True]
    assert [read(blobs, d) for d in digests] == contents


def test_an_object_larger_than_all_room_is_not_fetched(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    place = object_server.new_bucket()
    digest = put(machine(place, tmp_path / "one"), LARGE)
    with pytest.raises(Unavailable) as refused:
        machine(place, tmp_path / "other", room=MIB).open_verified(digest)
    assert "S3_COPIES_MIB" in (refused.value.remedy or "")


def test_who_stores_while_another_removes_loses_nothing(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    """At the worst moment: the object has gone, and the mark has not been looked at again."""
    place = object_server.new_bucket()
    blobs = machine(place, tmp_path)
    digest = put(blobs, SMALL)
    ((_, stored_at),) = blobs.stored_before(datetime.now(UTC) + timedelta(hours=1))

    class Slow(Bucket):
        def delete(self, *keys: str) -> None:
            super().delete(*keys)
            if keys == (key_of(digest),):
                self.write("stored/" + digest.removeprefix("sha256:"), b"")

    remover = ObjectBlobs(Slow(place), Copies(tmp_path / "remover", max_bytes=MANY))
    assert not remover.remove(digest, stored_at_ns=stored_at)
    assert object_server.content(place, key_of(digest)) == SMALL
    assert object_server.keys(place, "tmp/") == []


WRITER = """
import io, os, signal, sys
from pathlib import Path
from trimtab.platform.blobs_bucket import Bucket, Place
from trimtab.platform.blobs_copies import Copies
from trimtab.platform.blobs_objects import ObjectBlobs
bucket, endpoint, prefix, folder, step = sys.argv[1:]
def hook(seen):
    if seen == step:
        os.kill(os.getpid(), signal.SIGKILL)
place = Place(bucket, endpoint, prefix=prefix, key_id="test", secret="test-secret")
blobs = ObjectBlobs(Bucket(place), Copies(Path(folder), max_bytes=1 << 30), hook=hook)
blobs.put(io.BytesIO(bytes(range(256)) * 50_000), max_bytes=1 << 30)
"""


@pytest.mark.parametrize("step", ["copied", "sent", "named", "kept"])
def test_a_writer_that_is_killed_leaves_the_old_state_or_the_new_one(
    object_server: ObjectServer, tmp_path: Path, step: str
) -> None:
    place = object_server.new_bucket()
    digest = digest_of(LARGE)
    if step == "kept":
        put(machine(place, tmp_path / "before"), LARGE)
    assert place.endpoint is not None
    arguments = [place.bucket, place.endpoint, place.prefix, str(tmp_path / "killed"), step]
    killed = subprocess.run([sys.executable, "-c", WRITER, *arguments], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    named = object_server.keys(place, "sha256/")
    assert named == ([] if step in ("copied", "sent") else [key_of(digest)])
    assert len(object_server.keys(place, "tmp/")) == (step == "sent")
    after = machine(place, tmp_path / "killed")
    assert after.sweep(datetime.now(UTC)) == 0, "it may be under way"
    after.sweep(datetime.now(UTC) + timedelta(days=2))
    assert object_server.keys(place, "tmp/") == []
    put(after, LARGE)
    assert read(machine(place, tmp_path / "other"), digest) == LARGE


def test_a_writer_that_is_killed_while_it_sends_leaves_nothing_in_sight(
    object_server: ObjectServer, line: Line, tmp_path: Path
) -> None:
    place = object_server.new_bucket()
    at = line.place(place)
    line.up_to = 7_000_000
    line.pause = True
    arguments = [at.bucket, str(at.endpoint), at.prefix, str(tmp_path / "killed"), "never"]
    writer = subprocess.Popen([sys.executable, "-c", WRITER, *arguments])
    try:
        assert line.reached.wait(120)
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    assert object_server.keys(place) == []
    after = machine(place, tmp_path / "killed")
    assert list((tmp_path / "killed" / "tmp").iterdir()) == []
    put(after, LARGE)
    assert read(machine(place, tmp_path / "other"), digest_of(LARGE)) == LARGE


def settings(home: Path, place: Place, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "TRIMTAB_HOME": home,
        "S3_BUCKET": place.bucket,
        "S3_ENDPOINT": place.endpoint,
        "S3_PREFIX": place.prefix,
        "S3_ACCESS_KEY_ID": place.key_id,
        "S3_SECRET_ACCESS_KEY": place.secret,
    }
    return Settings(**{**values, **changes})


def opened(home: Path, place: Place, **changes: Any) -> ObjectBlobs:
    blobs = open_blobs(settings(home, place, **changes), datetime.now(UTC))
    assert isinstance(blobs, ObjectBlobs)
    return blobs


def test_the_settings_choose_the_bucket_and_leave_nothing_of_the_trial(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    place = object_server.new_bucket()
    blobs = opened(tmp_path, place)
    assert object_server.keys(place) == []
    assert blobs.bucket == "accessible"
    assert read(blobs, put(blobs, SMALL)) == SMALL
    assert isinstance(
        open_blobs(settings(tmp_path, place, S3_BUCKET=None), datetime.now(UTC)), BlobStore
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"S3_BUCKET": "nobody-has-this"}, "S3_BUCKET"),
        ({"S3_ACCESS_KEY_ID": None}, "S3_ACCESS_KEY_ID"),
        ({"S3_SECRET_ACCESS_KEY": None}, "S3_SECRET_ACCESS_KEY"),
        ({"S3_ACCESS_KEY_ID": None, "S3_SECRET_ACCESS_KEY": None}, "S3_ACCESS_KEY_ID"),
    ],
)
def test_a_start_with_a_wrong_bucket_or_half_a_key_is_refused(
    object_server: ObjectServer, tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        opened(tmp_path, object_server.new_bucket(), **changes)
    assert refused.value.field == field
    assert refused.value.remedy


def test_a_start_with_a_wrong_key_or_too_few_rights_is_refused(tmp_path: Path) -> None:
    server = start_object_server()
    try:
        place = server.new_bucket()
        key, secret = server.demand_keys("s3:ListBucket", "s3:GetObject")
        good = {"S3_ACCESS_KEY_ID": key, "S3_SECRET_ACCESS_KEY": secret}
        for changes, field, said in (
            ({"S3_ACCESS_KEY_ID": "AKIAWRONG"}, "S3_ACCESS_KEY_ID", "does not know this key"),
            ({"S3_SECRET_ACCESS_KEY": "wrong"}, "S3_SECRET_ACCESS_KEY", "does not know this key"),
            ({}, "S3_ACCESS_KEY_ID", "PutObject"),
        ):
            with pytest.raises(InvalidInput, match=said) as refused:
                opened(tmp_path, place, **{**good, **changes})
            assert refused.value.field == field
            assert secret not in str(refused.value)
            assert "S3_" in (refused.value.remedy or "") or "s3:" in (refused.value.remedy or "")
        server.demand_nothing()
        key, secret = server.demand_keys("s3:*")
        good = {"S3_ACCESS_KEY_ID": key, "S3_SECRET_ACCESS_KEY": secret}
        blobs = opened(tmp_path, place, **good)
        assert read(blobs, put(blobs, LARGE)) == LARGE
    finally:
        server.stop()


def test_a_bucket_that_does_not_answer_at_the_start_stops_only_who_has_to_move(
    object_server: ObjectServer, line: Line, tmp_path: Path, impatient: None
) -> None:
    place = line.place(object_server.new_bucket())
    digest = put(opened(tmp_path / "one", place), SMALL)
    line.cut()
    again = opened(tmp_path / "one", place)
    assert read(again, digest) == SMALL
    assert again.bucket == "failing"
    BlobStore(tmp_path / "two" / "blobs")
    with pytest.raises(Unavailable):
        opened(tmp_path / "two", place)


def test_blobs_of_local_files_are_brought_into_the_bucket_and_damaged_ones_are_not(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    place = object_server.new_bucket()
    files = BlobStore(tmp_path / "blobs")
    whole = files.put(io.BytesIO(LARGE), max_bytes=MANY).digest
    damaged = files.put(io.BytesIO(SMALL), max_bytes=MANY).digest
    files.path(damaged).chmod(0o600)
    files.path(damaged).write_bytes(b"something else")
    assert list(opened(tmp_path, place).digests()) == [whole]
    assert read(machine(place, tmp_path / "other"), whole) == LARGE
    assert files.has(whole), "the files stay"
    assert opened(tmp_path, place).take_over(files) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_ENDPOINT", "minio.example.org"),
        ("S3_ENDPOINT", "https://key:secret@minio.example.org"),
        ("S3_PREFIX", "../elsewhere"),
        ("S3_PREFIX", "a//b"),
        ("S3_COPIES_MIB", "0"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{"TRIMTAB_HOME": tmp_path, name: value})  # type: ignore[arg-type]


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Watched:
    """The most memory that this process has held since it was made."""

    def __init__(self) -> None:
        self.before = self.most = resident_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            self.most = max(self.most, resident_bytes())

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown(self) -> int:
        return self.most - self.before


class Stream:
    """Bytes that nobody holds."""

    def __init__(self, size: int):
        self._left = size

    def read(self, size: int, /) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return (self._left).to_bytes(8, "big") * (size // 8)


@pytest.mark.slow
def test_a_hundred_megabytes_go_up_and_down_in_little_memory(
    object_server: ObjectServer, tmp_path: Path
) -> None:
    place = object_server.new_bucket()
    blobs, other = machine(place, tmp_path / "one"), machine(place, tmp_path / "other")
    read(other, put(blobs, LARGE))  # what is loaded once is loaded
    with Watched() as up:
        digest = blobs.put(Stream(100 * MIB), max_bytes=100 * MIB).digest
    assert up.grown < 32 * MIB
    with Watched() as down, other.open_verified(digest) as file:
        assert sum(len(piece) for piece in iter(lambda: file.read(MIB), b"")) == 100 * MIB
    assert down.grown < 32 * MIB
