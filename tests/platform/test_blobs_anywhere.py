"""What the house is promised by a store of blobs, in local files and in a bucket alike."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.objects import ObjectServer

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, NotFound
from trimtab.kernel.ids import Digest
from trimtab.platform.blobs import Blob, BlobStore
from trimtab.platform.blobs_bucket import Bucket
from trimtab.platform.blobs_copies import Copies
from trimtab.platform.blobs_objects import ObjectBlobs
from trimtab.platform.blobs_port import Blobs

SMALL = b"a model, of a kind"
LARGE = bytes(range(256)) * 25_000  # more than one part of an upload
MANY = 1 << 30


@dataclass
class Kept:
    """A store, and what lies under it: its bytes can be changed behind its back."""

    blobs: Blobs
    change: Callable[[Digest, bytes | None], None]


def in_files(folder: Path) -> Kept:
    store = BlobStore(folder)

    def change(digest: Digest, content: bytes | None) -> None:
        path = store.path(digest)
        path.chmod(0o600)
        path.unlink() if content is None else path.write_bytes(content)

    return Kept(store, change)


def in_a_bucket(folder: Path, server: ObjectServer) -> Kept:
    place = server.new_bucket()
    store = ObjectBlobs(Bucket(place), Copies(folder, max_bytes=MANY))

    def change(digest: Digest, content: bytes | None) -> None:
        name = digest.removeprefix("sha256:")
        key = f"sha256/{name[:2]}/{name[2:]}"
        store.path(digest).unlink()  # another machine has no copy
        server.lose(place, key) if content is None else server.plant(place, key, content)

    return Kept(store, change)


@pytest.fixture(params=["files", "bucket"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "files":
        return in_files(tmp_path / "blobs")
    return in_a_bucket(tmp_path / "copies", request.getfixturevalue("object_server"))


def digest_of(content: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def put(blobs: Blobs, content: bytes) -> Digest:
    return blobs.put(io.BytesIO(content), max_bytes=MANY).digest


def read(blobs: Blobs, digest: Digest) -> bytes:
    with blobs.open_verified(digest) as file:
        return file.read()


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_what_was_put_is_read_back_and_twice_is_once(kept: Kept, content: bytes) -> None:
    blobs = kept.blobs
    blob = blobs.put(io.BytesIO(content), expected=digest_of(content), max_bytes=len(content))
    assert blob == Blob(digest_of(content), len(content))
    assert put(blobs, content) == blob.digest
    assert blobs.has(blob.digest)
    assert read(blobs, blob.digest) == content
    assert blobs.read_verified(blob.digest, max_bytes=len(content)) == content
    with blobs.held(blob.digest) as path:
        assert path.read_bytes() == content
    assert list(blobs.digests()) == [blob.digest]
    assert blobs.quarantined() == 0
    assert blobs.unhealthy is None


def test_a_part_of_it_can_be_read_from_anywhere(kept: Kept) -> None:
    with kept.blobs.open_verified(put(kept.blobs, LARGE)) as file:
        file.seek(5_000_000)
        assert file.read(10) == LARGE[5_000_000:5_000_010]


def test_a_wrong_digest_and_too_many_bytes_are_refused_and_nothing_is_kept(kept: Kept) -> None:
    with pytest.raises(IntegrityFailed, match="not sha256:"):
        kept.blobs.put(io.BytesIO(SMALL), expected=digest_of(LARGE), max_bytes=MANY)
    with pytest.raises(InvalidInput, match="more than the 5 bytes"):
        kept.blobs.put(io.BytesIO(SMALL), max_bytes=5)
    assert list(kept.blobs.digests()) == []
    assert not kept.blobs.has(digest_of(SMALL))


def test_what_the_sender_raises_passes_through_and_nothing_is_kept(kept: Kept) -> None:
    class Torn:
        left = 3

        def read(self, size: int, /) -> bytes:
            self.left -= 1
            if not self.left:
                raise ConnectionResetError("the other side left")
            return LARGE[:size]

    with pytest.raises(ConnectionResetError):
        kept.blobs.put(Torn(), max_bytes=MANY)
    assert list(kept.blobs.digests()) == []


def test_what_is_not_there_is_not_found(kept: Kept) -> None:
    absent = digest_of(b"absent")
    assert not kept.blobs.has(absent)
    with pytest.raises(NotFound):
        kept.blobs.open_verified(absent)
    with pytest.raises(NotFound):
        kept.blobs.read_verified(absent, max_bytes=MANY)
    with pytest.raises(NotFound):
        kept.blobs.quarantine(absent)
    assert not kept.blobs.remove(absent, stored_at_ns=0)


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "0" * 63 + "/", "../etc/passwd"])
def test_no_text_but_a_digest_names_anything(kept: Kept, text: str) -> None:
    name, blobs = Digest(text), kept.blobs
    for call in (blobs.path, blobs.has, blobs.quarantine, blobs.open_verified):
        with pytest.raises(InvalidInput, match="not a digest"):
            call(name)
    with pytest.raises(InvalidInput, match="not a digest"):
        blobs.remove(name, stored_at_ns=0)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("change", ["swapped", "cut", "grown", "empty", "a bit"])
def test_other_bytes_under_the_name_are_never_handed_out_and_are_healed_by_a_put(
    kept: Kept, content: bytes, change: str
) -> None:
    digest = put(kept.blobs, content)
    changed = {
        "swapped": content[::-1],
        "cut": content[:-1],
        "grown": content + b"\0",
        "empty": b"",
        "a bit": bytes([content[0] ^ 1]) + content[1:],
    }[change]
    kept.change(digest, changed)
    with pytest.raises(IntegrityFailed):
        kept.blobs.open_verified(digest)
    with pytest.raises(IntegrityFailed):
        kept.blobs.read_verified(digest, max_bytes=MANY)
    assert put(kept.blobs, content) == digest
    kept.blobs.path(digest).unlink() if kept.blobs.bucket else None
    assert read(kept.blobs, digest) == content


def test_what_was_moved_aside_is_gone_counted_and_can_come_again(kept: Kept) -> None:
    digest = put(kept.blobs, SMALL)
    kept.blobs.quarantine(digest)
    assert not kept.blobs.has(digest)
    with pytest.raises(NotFound):
        kept.blobs.open_verified(digest)
    assert kept.blobs.quarantined() >= 1
    assert read(kept.blobs, put(kept.blobs, SMALL)) == SMALL


def test_a_blob_is_large_or_small_by_its_bytes(kept: Kept) -> None:
    with pytest.raises(InvalidInput, match="more than 10 bytes"):
        kept.blobs.read_verified(put(kept.blobs, SMALL), max_bytes=10)


def later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_an_old_one_is_removed_unless_it_was_stored_again(kept: Kept) -> None:
    blobs = kept.blobs
    old, again = put(blobs, SMALL), put(blobs, LARGE)
    assert dict(blobs.stored_before(later() - timedelta(hours=2))) == {}
    seen = dict(blobs.stored_before(later()))
    assert set(seen) == {old, again}
    assert not blobs.remove(old, stored_at_ns=seen[old] - 1)
    threading.Event().wait(1.1)  # the clock of a bucket counts seconds
    put(blobs, LARGE)
    assert not blobs.remove(again, stored_at_ns=seen[again])
    assert blobs.remove(old, stored_at_ns=seen[old])
    assert list(blobs.digests()) == [again]
    assert read(blobs, again) == LARGE
    with pytest.raises(NotFound):
        blobs.open_verified(old)


def test_many_threads_store_and_read_the_same_bytes_at_once(kept: Kept) -> None:
    found: list[bytes] = []

    def one() -> None:
        found.append(read(kept.blobs, put(kept.blobs, LARGE)))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [LARGE] * 6
    assert list(kept.blobs.digests()) == [digest_of(LARGE)]
