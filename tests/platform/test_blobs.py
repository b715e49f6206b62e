"""The blob store: whole or absent under kills and full disks, and verified before it serves."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, NotFound
from trimtab.kernel.ids import Digest
from trimtab.platform.blobs import Blob, BlobStore

CONTENT = bytes(range(256)) * 5000  # more than one chunk
MANY = 1 << 30

# What a child process may need: errors that the kernel itself returns for a system call.
PREAMBLE = """
import errno, io, os, platform, resource, signal, struct, sys
from pathlib import Path
from trimtab.kernel.errors import TrimtabError, Unavailable
from trimtab.platform.blobs import BlobStore
from trimtab.platform.child_filter import install

ROOT, CONTENT = Path(sys.argv[1]), bytes(range(256)) * 5000
CALLS = {"x86_64": {"write": 1, "fsync": 74}, "aarch64": {"write": 64, "fsync": 82}}

def fail(call, error, from_descriptor=0):
    "Every later `call` on a descriptor from this number up returns `error`."
    step = lambda code, value, yes=0, no=0: struct.pack("HBBI", code, yes, no, value)
    assert install([
        step(0x20, 0), step(0x15, CALLS[platform.machine()][call], 0, 3),
        step(0x20, 16), step(0x35, from_descriptor, 0, 1),
        step(0x06, 0x00050000 | error), step(0x06, 0x7fff0000),
    ])

def refusal(call):
    try:
        call()
    except Unavailable as error:
        return str(error)
    raise SystemExit("not refused")

def put(store, content=CONTENT):
    return store.put(io.BytesIO(content), max_bytes=1 << 30)
"""


def in_child(code: str, root: Path) -> subprocess.CompletedProcess[str]:
    script = PREAMBLE + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", script, str(root)], capture_output=True, text=True, timeout=60
    )


def put_and_die(root: Path, step: str) -> None:
    """Store CONTENT in a process of its own, which is killed at `step`."""
    killed = in_child(
        f"""
        def hook(step):
            if step == {step!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        put(BlobStore(ROOT, hook=hook))
        """,
        root,
    )
    assert killed.returncode == -signal.SIGKILL


def digest_of(content: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def stored(store: BlobStore, content: bytes = CONTENT) -> Blob:
    return store.put(io.BytesIO(content), max_bytes=MANY)


def temporary_files(root: Path) -> list[Path]:
    return list((root / "tmp").iterdir())


def flip_a_bit(path: Path) -> None:
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_was_put_is_read_back_and_twice_is_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    blob = stored(store)
    assert blob == Blob(digest_of(CONTENT), len(CONTENT)) == stored(store)
    assert store.read_verified(blob.digest, max_bytes=MANY) == CONTENT
    with store.open_verified(blob.digest) as file:
        assert file.read() == CONTENT
    assert list(store.digests()) == [blob.digest]
    assert temporary_files(tmp_path / "blobs") == []


def test_nothing_at_all_is_a_blob_too(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    blob = stored(store, b"")
    assert blob.size == 0
    assert store.read_verified(blob.digest, max_bytes=0) == b""


def test_a_wrong_expected_digest_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with pytest.raises(IntegrityFailed, match="not sha256:") as refused:
        store.put(io.BytesIO(b"these"), expected=digest_of(b"those"), max_bytes=MANY)
    assert refused.value.field == "digest"
    assert not store.has(digest_of(b"these"))
    assert temporary_files(tmp_path) == []


def test_the_limit_is_inclusive_and_nothing_is_kept_above_it(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    assert store.put(io.BytesIO(b"12345"), max_bytes=5).size == 5
    with pytest.raises(InvalidInput, match="more than the 5 bytes"):
        store.put(io.BytesIO(b"123456"), max_bytes=5)
    assert temporary_files(tmp_path) == []
    assert len(list(store.digests())) == 1


def test_no_more_than_the_limit_is_read_from_an_endless_stream(tmp_path: Path) -> None:
    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            self.given += size
            return b"x" * size

    endless = Endless()
    with pytest.raises(InvalidInput):
        BlobStore(tmp_path).put(endless, max_bytes=3_000_000)
    assert endless.given == 3_000_001


def test_an_error_of_the_stream_passes_through_and_leaves_the_store_healthy(
    tmp_path: Path,
) -> None:
    class Torn:
        def read(self, size: int, /) -> bytes:
            raise ConnectionResetError("the other side left")

    store = BlobStore(tmp_path)
    with pytest.raises(ConnectionResetError):
        store.put(Torn(), max_bytes=MANY)
    assert temporary_files(tmp_path) == []
    assert store.unhealthy is None
    stored(store)


def test_a_flipped_bit_is_never_served_and_can_be_moved_aside_and_repaired(
    tmp_path: Path,
) -> None:
    store = BlobStore(tmp_path)
    digest = stored(store).digest
    flip_a_bit(store.path(digest))
    with pytest.raises(IntegrityFailed):
        store.read_verified(digest, max_bytes=MANY)
    with pytest.raises(IntegrityFailed, match="digest") as refused:
        store.open_verified(digest)
    assert "Quarantine" in (refused.value.remedy or "")
    aside = store.quarantine(digest)
    assert aside.exists()
    with pytest.raises(NotFound):
        store.open_verified(digest)
    assert stored(store).digest == digest
    assert store.read_verified(digest, max_bytes=MANY) == CONTENT


def test_putting_the_right_bytes_repairs_a_damaged_copy_in_place(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = stored(store).digest
    flip_a_bit(store.path(digest))
    stored(store)
    assert store.read_verified(digest, max_bytes=MANY) == CONTENT


@pytest.mark.parametrize("change", ["cut", "grown", "empty"])
def test_a_blob_of_another_length_is_never_served(tmp_path: Path, change: str) -> None:
    store = BlobStore(tmp_path)
    digest = stored(store).digest
    content = {"cut": CONTENT[:-1], "grown": CONTENT + b"\0", "empty": b""}[change]
    store.path(digest).chmod(0o600)
    store.path(digest).write_bytes(content)
    with pytest.raises(IntegrityFailed):
        store.open_verified(digest)


def test_a_link_in_the_place_of_a_blob_is_not_followed(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    digest = digest_of(CONTENT)
    store.path(digest).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityFailed, match="link"):
        store.open_verified(digest)


def test_what_was_hashed_is_what_is_read_even_if_the_name_changes_meanwhile(
    tmp_path: Path,
) -> None:
    store = BlobStore(tmp_path)
    digest = stored(store).digest
    with store.open_verified(digest) as file:
        store.path(digest).unlink()
        store.path(digest).write_bytes(b"something else")
        assert file.read() == CONTENT


@given(
    st.one_of(
        st.text(max_size=80).filter(lambda text: not re.fullmatch(r"sha256:[0-9a-f]{64}", text)),
        st.sampled_from(["sha256:../../../etc/passwd", "sha256:" + "0" * 63 + "/"]),
        st.from_regex(r"sha256:[0-9a-f]{64}\n", fullmatch=True),
        st.from_regex(r"sha256:[0-9A-F]{64}", fullmatch=True).filter(lambda d: d != d.lower()),
    )
)  # fmt: skip
def test_no_text_but_a_digest_becomes_a_path(text: str) -> None:
    store = BlobStore(Path(os.environ["BLOB_TEST_ROOT"]))
    for call in (store.path, store.has, store.quarantine, store.open_verified):
        with pytest.raises(InvalidInput, match="not a digest"):
            call(Digest(text))


@pytest.fixture(autouse=True)
def _root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOB_TEST_ROOT", str(tmp_path_factory.mktemp("shared")))


def test_a_large_blob_is_not_read_whole_by_accident(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = stored(store).digest
    with pytest.raises(InvalidInput, match="more than 10 bytes"):
        store.read_verified(digest, max_bytes=10)


@pytest.mark.parametrize(
    ("step", "left"),
    [("created", 1), ("written", 1), ("synced", 1), ("renamed", 0), ("folder_synced", 0)],
)
@pytest.mark.parametrize("before", [None, b"damaged"])
def test_a_killed_write_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, step: str, left: int, before: bytes | None
) -> None:
    digest = digest_of(CONTENT)
    if before is not None:
        BlobStore(tmp_path).path(digest).write_bytes(before)
    put_and_die(tmp_path, step)
    assert len(temporary_files(tmp_path)) == left
    path = BlobStore(tmp_path).path(digest)
    seen = path.read_bytes() if path.exists() else None
    assert seen == (before if left else CONTENT)
    assert temporary_files(tmp_path) == []
    stored(BlobStore(tmp_path))
    assert BlobStore(tmp_path).read_verified(digest, max_bytes=MANY) == CONTENT


def test_the_sweep_counts_what_it_removes_and_spares_a_write_under_way(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        parts = [b"first ", b"last", b""]  # noqa: RUF012

        def read(self, size: int, /) -> bytes:
            if len(self.parts) == 2:
                begun.set()
                assert go_on.wait(30)
            return self.parts.pop(0)

    store = BlobStore(tmp_path)
    (tmp_path / "tmp" / "orphan").write_bytes(b"half")
    found: list[Blob] = []
    writer = threading.Thread(target=lambda: found.append(store.put(Slow(), max_bytes=MANY)))
    writer.start()
    assert begun.wait(30)
    assert BlobStore(tmp_path).swept == 1  # the orphan, and not what `writer` holds
    go_on.set()
    writer.join()
    assert store.read_verified(found[0].digest, max_bytes=MANY) == b"first last"


@pytest.mark.parametrize("full", ["file size limit", "disk full"])
def test_a_full_disk_refuses_whole_and_a_later_write_succeeds_without_restart(
    tmp_path: Path, full: str
) -> None:
    """The limit (EFBIG) can be lifted again in one process; the disk's ENOSPC cannot."""
    limit = full == "file size limit"
    ran = in_child(
        f"""
        store = BlobStore(ROOT)
        if {limit}:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) // 2, hard))
        else:
            fail("write", errno.ENOSPC, from_descriptor=3)
        assert "no room" in refusal(lambda: put(store))
        assert store.unhealthy is None
        assert not list((ROOT / "tmp").iterdir()) and not list(store.digests())
        if {limit}:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            put(store)
        """,
        tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert BlobStore(tmp_path).has(digest_of(CONTENT)) == limit


@pytest.mark.parametrize("where", ["file", "folder"])
def test_after_a_failed_fsync_nothing_more_is_written_and_reads_live(
    tmp_path: Path, where: str
) -> None:
    ran = in_child(
        f"""
        def hook(step):
            if step == {"written" if where == "file" else "renamed"!r} and armed:
                fail("fsync", errno.EIO)
        armed = False
        store = BlobStore(ROOT, hook=hook)
        early = put(store, b"early")
        armed = True
        assert "durable" in refusal(lambda: put(store))
        assert not list((ROOT / "tmp").iterdir())
        assert "durable" in store.unhealthy

        class Untouched:
            def read(self, size):
                raise SystemExit("a second write was tried")

        assert "nothing more is written" in refusal(lambda: store.put(Untouched(), max_bytes=9))
        assert store.read_verified(early.digest, max_bytes=9) == b"early"
        """,
        tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    reopened = BlobStore(tmp_path)
    assert reopened.has(digest_of(CONTENT)) == (where == "folder")
    assert stored(reopened).size == len(CONTENT)


def test_a_full_disk_at_fsync_is_full_and_not_broken(tmp_path: Path) -> None:
    ran = in_child(
        """
        store = BlobStore(ROOT)
        fail("fsync", errno.ENOSPC)
        assert "no room" in refusal(lambda: put(store))
        assert store.unhealthy is None and not list(store.digests())
        """,
        tmp_path,
    )
    assert ran.returncode == 0, ran.stderr


def test_a_folder_that_cannot_be_used_says_so_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ran = in_child(
        """
        assert "cannot be used" in refusal(lambda: BlobStore(ROOT / "file"))
        """,
        tmp_path,
    )
    assert ran.returncode == 0, ran.stderr


def test_many_threads_store_the_same_bytes_at_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    found: list[Blob] = []
    threads = [
        threading.Thread(target=lambda: found.append(stored(store, CONTENT))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Blob(digest_of(CONTENT), len(CONTENT))] * 8
    assert store.read_verified(digest_of(CONTENT), max_bytes=MANY) == CONTENT
    assert temporary_files(tmp_path) == []


def test_blobs_are_for_the_owner_only_and_cannot_be_written(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    path = store.path(stored(store).digest)
    assert path.stat().st_mode & 0o777 == 0o400
    assert (tmp_path / "blobs").stat().st_mode & 0o077 == 0


def inode(store: BlobStore, digest: Digest) -> int:
    return store.path(digest).stat().st_ino


def test_the_same_bytes_again_leave_the_file_that_is_there(tmp_path: Path) -> None:
    """Who holds the file, or a rule about it, goes on holding the one that is served."""
    store = BlobStore(tmp_path)
    digest = stored(store).digest
    before = inode(store, digest)
    os.utime(store.path(digest), (1, 1))
    assert stored(store).digest == digest
    assert inode(store, digest) == before
    assert store.path(digest).stat().st_mtime > 1, "its age is counted from the last put"
    assert store.path(digest).stat().st_mode & 0o777 == 0o400
    assert temporary_files(tmp_path) == []


@pytest.mark.parametrize("damage", ["flipped", "cut", "grown", "link", "writable"])
def test_only_what_verifies_is_left_where_it_is(tmp_path: Path, damage: str) -> None:
    store = BlobStore(tmp_path / "blobs")
    digest = stored(store).digest
    path = store.path(digest)
    path.chmod(0o600)
    match damage:
        case "flipped":
            flip_a_bit(path)
        case "cut":
            path.write_bytes(CONTENT[:-1])
        case "grown":
            path.write_bytes(CONTENT + b"\0")
        case "link":
            (tmp_path / "elsewhere").write_bytes(CONTENT)
            path.unlink()
            path.symlink_to(tmp_path / "elsewhere")
    stored(store)
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o400
    assert store.read_verified(digest, max_bytes=MANY) == CONTENT


@pytest.mark.parametrize("step", ["created", "written", "synced", "kept", "folder_synced"])
def test_a_killed_repetition_leaves_the_file_that_was_there(tmp_path: Path, step: str) -> None:
    store = BlobStore(tmp_path)
    digest = stored(store).digest
    before = inode(store, digest)
    put_and_die(tmp_path, step)
    assert inode(BlobStore(tmp_path), digest) == before
    assert temporary_files(tmp_path) == []
    assert store.read_verified(digest, max_bytes=MANY) == CONTENT


def test_a_repetition_is_made_durable_too(tmp_path: Path) -> None:
    """Another process may have renamed the file, and not yet made its name durable."""
    stored(BlobStore(tmp_path))
    ran = in_child(
        """
        def hook(step):
            if step == "kept":
                fail("fsync", errno.EIO)
        store = BlobStore(ROOT, hook=hook)
        assert "durable" in refusal(lambda: put(store))
        """,
        tmp_path,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_of_many_who_store_the_same_bytes_one_file_stays(tmp_path: Path) -> None:
    """Threads of several processes: from the first that is there on, the file is the same."""
    code = """
        import threading
        store, seen = BlobStore(ROOT), set()
        def again():
            for _ in range(10):
                seen.add(store.path(put(store).digest).stat().st_ino)
        threads = [threading.Thread(target=again) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(*seen)
        """
    found: list[str] = []
    processes = [
        threading.Thread(target=lambda: found.append(in_child(code, tmp_path).stdout))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(set(" ".join(found).split())) == 1, found


def test_a_folder_that_is_gone_is_seen(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    assert store.unhealthy is None
    (tmp_path / "blobs").rename(tmp_path / "aside")
    assert "is gone" in str(store.unhealthy)
    (tmp_path / "aside").rename(tmp_path / "blobs")
    assert store.unhealthy is None
