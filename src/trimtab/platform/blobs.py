"""Content-addressed bytes on local files: whole or absent, and hashed before they are served.

The folder, whose name for a blob is its digest and nothing a caller chose:

    sha256/<2 hex>/<62 hex>     blobs, read-only
    tmp/                        writes under way, each locked by its writer
    quarantine/                 blobs that were moved aside

A write goes temporary file, fsync, rename, fsync of the folder. A process that is killed
at any point leaves the old state or the new one; what it left in `tmp/` is swept by the
next one that opens the store.

A blob that is there and whole keeps its file when the same bytes are stored again: a child
process is given leave to read a file, not a name, and would be locked out of another one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, NotFound, Unavailable
from trimtab.kernel.ids import Digest

_CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Blob:
    """Bytes that are stored: their digest and their size in bytes."""

    digest: Digest
    size: int


class Readable(Protocol):
    """Where bytes come from: a file, an upload, a download."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at all at the end."""
        ...


class StepHook(Protocol):
    """Told after each step of a write; a test kills the process there.

    The steps, in order: `created`, `written` (once for each chunk), `synced`, then `renamed`
    or, where the bytes were there already, `kept`; `folder_synced`.
    """

    def __call__(self, step: str) -> None: ...


def no_hook(step: str) -> None:
    """Do nothing at `step`."""


class BlobStore:
    """One folder of blobs. Several threads and processes may share it.

    Args:
        root: The folder; made when absent, for the owner only.
        hook: Told after each step of a write.

    Raises:
        Unavailable: the folder cannot be made, read or written.
    """

    def __init__(self, root: Path, *, hook: StepHook = no_hook):
        self._root = root.absolute()
        self._blobs = self._root / "sha256"
        self._temporary = self._root / "tmp"
        self._quarantine = self._root / "quarantine"
        self._hook = hook
        self._broken: str | None = None
        try:
            self._make_folders()
            self.swept = self._sweep()
        except OSError as error:
            raise Unavailable(
                f"the blob folder {self._root} cannot be used: {error.strerror}",
                remedy="Let the process own the folder, and check that the disk is writable.",
            ) from error

    bucket: str | None = None
    """There is none: these are local files."""

    @property
    def unhealthy(self) -> str | None:
        """Why nothing can be stored or served until it is opened anew; None when it can."""
        if self._broken is None and not self._blobs.is_dir():
            return f"the folder {self._blobs} is gone"
        return self._broken

    def put(self, stream: Readable, *, expected: Digest | None = None, max_bytes: int) -> Blob:
        """Store the bytes of `stream`; when this returns, they survive a power cut.

        Storing the same bytes again leaves the file that is there, but for its time, and
        replaces a damaged one.

        Args:
            stream: Read to its end. What it raises passes through, and nothing is kept.
            expected: The digest that the bytes must have.
            max_bytes: The most that is accepted.

        Raises:
            InvalidInput: more than `max_bytes` bytes, or a malformed `expected`.
            IntegrityFailed: the bytes do not have the digest `expected`.
            Unavailable: the disk is full (later calls may succeed), or the disk failed to
                make bytes durable. After the latter this store refuses every write: what a
                failed fsync has lost, a second fsync would report as safe.
        """
        if expected is not None:
            _hex(expected)
        if self._broken is not None:
            raise Unavailable(self._broken, remedy="Check the disk, then restart the process.")
        try:
            with self._temporary_file() as (file, path):
                blob = self._fill(file, stream, max_bytes)
                if expected is not None and blob.digest != expected:
                    raise IntegrityFailed(
                        f"the bytes have the digest {blob.digest}, not {expected}",
                        field="digest",
                        remedy="Send the bytes again, or state the digest that they have.",
                    )
                self._publish(file, path, blob)
        except _StreamFailed as failed:
            raise failed.cause from None
        except OSError as error:
            raise self._unavailable(error) from error
        return blob

    def has(self, digest: Digest) -> bool:
        """Whether a blob of this name is here; its bytes are not looked at.

        Raises:
            InvalidInput: not a digest.
        """
        return self.path(digest).is_file()

    def path(self, digest: Digest) -> Path:
        """Where the blob is or would be. Nothing is verified: hash what you read from it.

        Raises:
            InvalidInput: not a digest.
        """
        name = _hex(digest)
        return self._blobs / name[:2] / name[2:]

    @contextlib.contextmanager
    def held(self, digest: Digest) -> Iterator[Path]:
        """The file of the blob, for a child process to read. Nothing is verified: the child
        hashes what it reads.

        Raises:
            InvalidInput: not a digest.
        """
        yield self.path(digest)

    def read_verified(self, digest: Digest, *, max_bytes: int) -> bytes:
        """All bytes of a small blob, verified.

        Raises:
            InvalidInput: not a digest, or a blob of more than `max_bytes` bytes.
            NotFound: no such blob.
            IntegrityFailed: the stored bytes have another digest.
            Unavailable: the disk does not give the bytes.
        """
        with self._opened(digest) as file:
            content = _from_disk(file, max_bytes + 1)
        if len(content) > max_bytes:
            raise InvalidInput(f"{digest} holds more than {max_bytes} bytes", field="digest")
        _compare(digest, hashlib.sha256(content).hexdigest())
        return content

    def open_verified(self, digest: Digest) -> BinaryIO:
        """The blob as a file at its start, hashed to its end before the first byte leaves.

        What is returned is the open file that was hashed, so a name that is changed
        meanwhile changes nothing. The caller closes it.

        Raises:
            InvalidInput: not a digest.
            NotFound: no such blob.
            IntegrityFailed: the stored bytes have another digest.
            Unavailable: the disk does not give the bytes.
        """
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(self._opened(digest))
            _compare(digest, _hashed(file))
            file.seek(0)
            stack.pop_all()
            return file

    def quarantine(self, digest: Digest) -> Path:
        """Move a blob aside, to where nothing is served from; return its new place.

        Raises:
            InvalidInput: not a digest.
            NotFound: no such blob.
            Unavailable: the disk refuses.
        """
        source = self.path(digest)
        target = self._quarantine / f"{_hex(digest)}.{secrets.token_hex(4)}"
        try:
            source.rename(target)
            _sync_folder(self._quarantine)
            _sync_folder(source.parent)
        except FileNotFoundError:
            raise NotFound(f"no blob {digest}", field="digest") from None
        except OSError as error:
            raise self._unavailable(error) from error
        return target

    def quarantined(self) -> int:
        """How many blobs were moved aside.

        Raises:
            Unavailable: the disk does not say.
        """
        try:
            with os.scandir(self._quarantine) as found:
                return sum(1 for _ in found)
        except OSError as error:
            raise self._unavailable(error) from error

    def digests(self) -> Iterator[Digest]:
        """Every blob's digest, in ascending order; for a job that verifies them all."""
        for folder in sorted(self._blobs.iterdir()):
            for path in sorted(folder.iterdir()):
                yield Digest(f"sha256:{folder.name}{path.name}")

    def stored_before(self, moment: datetime) -> Iterator[tuple[Digest, int]]:
        """Blobs whose bytes nobody has stored since `moment`, and when that was, in ns."""
        limit = int(moment.timestamp() * 1_000_000_000)
        for digest in self.digests():
            if _DIGEST.fullmatch(digest):
                with contextlib.suppress(FileNotFoundError):
                    found = self.path(digest).lstat()
                    if stat.S_ISREG(found.st_mode) and found.st_mtime_ns < limit:
                        yield digest, found.st_mtime_ns

    def remove(self, digest: Digest, *, stored_at_ns: int) -> bool:
        """Remove a blob, unless somebody has stored its bytes again since; whether it went.

        Raises:
            InvalidInput: not a digest.
            Unavailable: the disk refuses.
        """
        path = self.path(digest)
        try:
            with _locked_folder(path.parent):
                if path.lstat().st_mtime_ns != stored_at_ns:
                    return False
                path.unlink()
                _sync_folder(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unavailable(error) from error
        return True

    def _make_folders(self) -> None:
        """Make every folder now, so that no later write has to make one durable."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        shards = [self._blobs / f"{number:02x}" for number in range(256)]
        for folder in [self._blobs, self._temporary, self._quarantine, *shards]:
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in [self._blobs, self._root, self._root.parent]:
            _sync_folder(folder)

    def _sweep(self) -> int:
        """Remove what dead writers left; a living writer holds the lock of its file."""
        swept = 0
        for path in self._temporary.iterdir():
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    swept += 1
                finally:
                    os.close(file)
        return swept

    @contextlib.contextmanager
    def _temporary_file(self) -> Iterator[tuple[int, Path]]:
        """A locked new file below `tmp/`, removed at the end unless it was renamed."""
        path = self._temporary / secrets.token_hex(16)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink == 0:
                raise OSError(errno.EAGAIN, "another process swept the file as it was made")
            self._hook("created")
            yield file, path
        finally:
            os.close(file)
            path.unlink(missing_ok=True)

    def _fill(self, file: int, stream: Readable, max_bytes: int) -> Blob:
        seen = hashlib.sha256()
        size = 0
        while chunk := _from_caller(stream, min(_CHUNK, max_bytes + 1 - size)):
            size += len(chunk)
            if size > max_bytes:
                raise InvalidInput(
                    f"more than the {max_bytes} bytes that are accepted",
                    field="body",
                    remedy="Send a smaller artifact, or ask for a higher limit.",
                )
            seen.update(chunk)
            _write_all(file, chunk)
            self._hook("written")
        return Blob(Digest("sha256:" + seen.hexdigest()), size)

    def _publish(self, file: int, path: Path, blob: Blob) -> None:
        """Make the bytes durable, then visible, then the name durable; in this order.

        The folder is locked from the look to the rename, or two writers of the same bytes
        would each find nothing there, and the second replace the file of the first.
        """
        target = self.path(blob.digest)
        os.fchmod(file, 0o400)
        self._sync(lambda: os.fsync(file))
        self._hook("synced")
        with _locked_folder(target.parent):
            if self._kept(target, blob):
                self._hook("kept")
            else:
                path.rename(target)
                self._hook("renamed")
            self._sync(lambda: _sync_folder(target.parent))
        self._hook("folder_synced")

    def _kept(self, target: Path, blob: Blob) -> bool:
        """Whether the blob is there already, whole; then it counts as stored just now."""
        try:
            there = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False  # whatever it is, it is no file that can be served
        try:
            if not _is_blob(there, blob):
                return False
            os.fchmod(there, 0o400)
            os.utime(there)
            # Whoever put it there synced it; it may also have come by another way.
            self._sync(lambda: os.fsync(there))
        finally:
            os.close(there)
        return True

    def _sync(self, sync: _Sync) -> None:
        try:
            sync()
        except OSError as error:
            if error.errno not in _FULL:
                self._broken = (
                    f"the disk of {self._root} failed to make bytes durable ({error.strerror}); "
                    "nothing more is written"
                )
            raise

    def _unavailable(self, error: OSError) -> Unavailable:
        if error.errno in _FULL:
            return Unavailable(
                f"no room below {self._root}: {error.strerror}; nothing was stored",
                remedy="Free space and try again; no restart is needed.",
            )
        return Unavailable(
            self._broken or f"{self._root} cannot be written: {error.strerror}",
            remedy="Check the disk and the rights of the folder, then try again.",
        )

    def _opened(self, digest: Digest) -> BufferedReader:
        path = self.path(digest)
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"no blob {digest}", field="digest") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise IntegrityFailed(f"{digest} is a link, not a blob", field="digest") from None
            raise Unavailable(f"{digest} cannot be opened: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise IntegrityFailed(f"{digest} is not a file", field="digest")
        return os.fdopen(file, "rb")


class _Sync(Protocol):
    def __call__(self) -> None: ...


class _StreamFailed(Exception):
    """An OSError of the caller's stream, kept apart from those of the disk."""

    def __init__(self, cause: OSError):
        super().__init__(str(cause))
        self.cause = cause


def _hex(digest: str) -> str:
    """The 64 hex digits; the only way from a caller's text to a path."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(
            "not a digest", field="digest", remedy="Write `sha256:` and 64 lower-case hex digits."
        )
    return digest.removeprefix("sha256:")


def _compare(digest: Digest, seen: str) -> None:
    if seen != _hex(digest):
        raise IntegrityFailed(
            f"the bytes stored as {digest} have the digest sha256:{seen}",
            field="digest",
            remedy="Quarantine the blob, and store the bytes again from their source.",
        )


def _from_caller(stream: Readable, size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError as error:
        raise _StreamFailed(error) from error


def _from_disk(file: IO[bytes], size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise Unavailable(f"the disk does not give the bytes: {error.strerror}") from error


def _hashed(file: BufferedReader) -> str:
    try:
        return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unavailable(f"the disk does not give the bytes: {error.strerror}") from error


def _write_all(file: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(file, rest) :]


def _is_blob(file: int, blob: Blob) -> bool:
    """Whether an open file is a plain one of ours, under one name, of these bytes."""
    found = os.fstat(file)
    ours = (stat.S_ISREG(found.st_mode), found.st_nlink, found.st_uid, found.st_size)
    if ours != (True, 1, os.geteuid(), blob.size):
        return False
    with os.fdopen(file, "rb", closefd=False) as content:
        try:
            seen = hashlib.file_digest(content, "sha256")
        except OSError:
            return False  # a disk that does not give the bytes back
    return seen.hexdigest() == _hex(blob.digest)


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Alone in a folder of blobs, among threads and processes; freed at the end or at death."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
