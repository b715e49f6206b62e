"""Content-addressed bytes in a bucket, and verified copies of them on this machine.

The keys below the prefix, the first of which are named as the local store names its files:

    sha256/<2 hex>/<62 hex>     blobs, created and never overwritten
    stored/<64 hex>             empty; when a blob that was there was stored again
    tmp/                        uploads under way
    quarantine/                 blobs that were moved aside

An upload goes to a local copy first, which gives the digest; then, hashed again on its way,
to a temporary key; then, whole, to its name, if no object has that. A process that is killed
at any point leaves no half blob. What it left in `tmp/` is swept by a later start.

What is read comes from a local copy, and is hashed before the first byte is handed out. Where
there is no copy the object is fetched, and becomes a copy only if it has the digest: an object
that the bucket swapped, cut or served from yesterday is an integrity failure.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, NotFound, Unavailable
from trimtab.kernel.ids import Digest
from trimtab.platform.blobs import Blob, BlobStore, Readable, StepHook, no_hook
from trimtab.platform.blobs_bucket import PART_BYTES, TEMPORARY, Bucket
from trimtab.platform.blobs_copies import Copies
from trimtab.platform.logs import logger

log = logger(__name__)

TEMPORARY_KEPT = timedelta(hours=24)
"""Longer than any upload takes; by the bucket's time and this machine's."""

_BLOBS, _STORED, _QUARANTINE = "sha256/", "stored/", "quarantine/"
_KEY = re.compile(r"sha256/([0-9a-f]{2})/([0-9a-f]{62})")
_READ_BYTES = 1 << 20
_WAIT_SECONDS = 30.0  # for a fetch that another thread has begun
_TRIES = 3


class ObjectBlobs:
    """Blobs in a bucket. Several threads, processes and machines may share it.

    Args:
        bucket: Where the blobs are.
        copies: Copies of them on this machine.
        hook: Told after each step of a write: `copied`, `sent`, then `named` or, where the
            bytes were there already, `kept`.
    """

    def __init__(self, bucket: Bucket, copies: Copies, *, hook: StepHook = no_hook):
        self._bucket = bucket
        self._copies = copies
        self._hook = hook
        self._fetching = tuple(threading.Lock() for _ in range(64))
        self._quarantined: int | None = None

    @property
    def unhealthy(self) -> str | None:
        """Why no copies can be made on this machine; None when they can."""
        return self._copies.unhealthy

    @property
    def bucket(self) -> str:
        """How the bucket is, in a word of `/health`."""
        return "accessible" if self._bucket.answers else "failing"

    def put(self, stream: Readable, *, expected: Digest | None = None, max_bytes: int) -> Blob:
        """Store the bytes of `stream`; when this returns, the bucket has them whole.

        Storing the same bytes again leaves the object that is there, if it is whole, and
        replaces a damaged one.

        Raises:
            InvalidInput: more than `max_bytes` bytes, or a malformed `expected`.
            IntegrityFailed: the bytes do not have the digest `expected`.
            Unavailable: the disk is full, or the bucket does not answer.
        """
        blob = self._copies.put(stream, expected=expected, max_bytes=max_bytes)
        self._hook("copied")
        with self._held_copy(blob.digest) as path:
            self._upload(blob, path)
        return blob

    def has(self, digest: Digest) -> bool:
        """Whether a blob of this name is in the bucket; its bytes are not looked at."""
        return self._bucket.changed_at(self._key(digest)) is not None

    def path(self, digest: Digest) -> Path:
        """Where this machine's copy is or would be. Nothing is verified."""
        return self._copies.path(digest)

    @contextlib.contextmanager
    def held(self, digest: Digest) -> Iterator[Path]:
        """A verified copy for a child process to read, which stays for the block.

        Raises:
            NotFound: no such blob.
            IntegrityFailed: the object has another digest.
            Unavailable: the bucket does not answer.
        """
        self._open(digest).close()
        with self._held_copy(digest) as path:
            yield path

    def read_verified(self, digest: Digest, *, max_bytes: int) -> bytes:
        """All bytes of a small blob, verified.

        Raises:
            InvalidInput: more than `max_bytes` bytes.
            NotFound, IntegrityFailed, Unavailable: as for `held`.
        """
        with self._open(digest) as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise InvalidInput(f"{digest} holds more than {max_bytes} bytes", field="digest")
        _demand_same(digest, hashlib.sha256(content).hexdigest())
        return content

    def open_verified(self, digest: Digest) -> BinaryIO:
        """The blob as a file at its start, hashed to its end before the first byte leaves.

        A copy on this machine is enough: the bucket is not asked then.

        Raises:
            NotFound, IntegrityFailed, Unavailable: as for `held`.
        """
        return self._open(digest)

    def quarantine(self, digest: Digest) -> str:
        """Move a blob aside, and this machine's copy; return the new key.

        Raises:
            NotFound: no such blob.
            Unavailable: the bucket does not answer.
        """
        aside = self._set_aside(digest)
        self._copies.set_aside(digest)
        return aside

    def quarantined(self) -> int:
        """How many blobs and copies were moved aside, as far as this process knows."""
        if self._quarantined is None and self._bucket.answers:
            self._quarantined = sum(1 for _ in self._bucket.listed(_QUARANTINE))
        return (self._quarantined or 0) + self._copies.quarantined()

    def digests(self) -> Iterator[Digest]:
        """Every blob's digest, in ascending order."""
        for digest, _ in self._listed():
            yield digest

    def stored_before(self, moment: datetime) -> Iterator[tuple[Digest, int]]:
        """Blobs whose bytes nobody has stored since `moment`, and when that was, in ns."""
        limit = int(moment.timestamp() * 1_000_000_000)
        again = dict(self._bucket.listed(_STORED))
        for digest, at in self._listed():
            stored_at = max(at, again.get(_marker(digest), 0))
            if stored_at < limit:
                yield digest, stored_at

    def remove(self, digest: Digest, *, stored_at_ns: int) -> bool:
        """Remove a blob, unless somebody has stored its bytes again since; whether it went.

        Who stores bytes that are there leaves a mark, then looks whether they still are. Here
        the object goes first, and the mark is looked at after that: of the two at least one
        sees the other, and puts the bytes back.
        """
        key, marker = self._key(digest), _marker(digest)
        at, again = self._bucket.changed_at(key), self._bucket.changed_at(marker)
        if at is None or max(at, again or 0) != stored_at_ns:
            return False
        aside = _temporary()
        try:
            self._bucket.name(key, aside)
            self._bucket.delete(key)
            if self._bucket.changed_at(marker) != again:
                self._bucket.name(aside, key)
                return False
        except NotFound:
            return False
        finally:
            self._bucket.delete(aside)
        self._bucket.delete(marker)
        self._copies.drop(digest)
        return True

    def sweep(self, now: datetime) -> int:
        """Remove what uploads that were killed have left behind; return how many objects."""
        limit = int((now - TEMPORARY_KEPT).timestamp() * 1_000_000_000)
        old = [key for key, at in self._bucket.listed(TEMPORARY) if at < limit]
        if old:
            self._bucket.delete(*old)
        return len(old)

    def take_over(self, files: BlobStore) -> int:
        """Bring blobs of a local store that the bucket does not have into it; return how many.

        The files stay. One that is damaged is left out, and the log says so.
        """
        there, taken = set(self.digests()), 0
        for digest in files.digests():
            if digest in there:
                continue
            try:
                with files.open_verified(digest) as file:
                    size = os.fstat(file.fileno()).st_size
                    self.put(file, expected=digest, max_bytes=size)
                taken += 1
            except IntegrityFailed as error:
                log.error("a local blob is damaged; it stays out of the bucket", why=error.message)
        return taken

    def _open(self, digest: Digest) -> BinaryIO:
        """The copy, fetched before if need be; one thread fetches, others wait for it."""
        with contextlib.suppress(NotFound):
            return self._copies.open_verified(digest)
        fetching = self._fetching[int(_hex(digest)[:2], 16) % len(self._fetching)]
        if not fetching.acquire(timeout=_WAIT_SECONDS):
            raise Unavailable(f"{digest} is still on its way from {self._bucket}; try again")
        try:
            with contextlib.suppress(NotFound):
                return self._copies.open_verified(digest)
            self._fetch(digest)
            with contextlib.suppress(NotFound):
                return self._copies.open_verified(digest)
            raise _not_kept(digest)
        finally:
            fetching.release()

    def _fetch(self, digest: Digest) -> None:
        incoming = self._bucket.read(self._key(digest))
        if incoming.size > self._copies.max_bytes:
            raise Unavailable(
                f"{digest} has {incoming.size} bytes, and there is no room for such a copy",
                remedy="the operator gives S3_COPIES_MIB more room",
            )
        try:
            self._copies.put(incoming, expected=digest, max_bytes=incoming.size)
        except (IntegrityFailed, InvalidInput) as error:
            raise IntegrityFailed(
                f"the bytes stored as {digest} in {self._bucket} have another digest",
                field="digest",
                remedy="Quarantine the blob, and store the bytes again from their source.",
            ) from error

    @contextlib.contextmanager
    def _held_copy(self, digest: Digest) -> Iterator[Path]:
        with contextlib.ExitStack() as stack:
            try:
                path = stack.enter_context(self._copies.held(digest))
            except NotFound:
                raise _not_kept(digest) from None
            yield path

    def _upload(self, blob: Blob, path: Path) -> None:
        """Let the bucket have a copy under its name, unless it does already."""
        key = self._key(blob.digest)
        for _ in range(_TRIES):
            if self._bucket.changed_at(key) is None and self._created(blob, path):
                self._hook("named")
                return
            if self._whole(blob.digest):
                self._bucket.write(_marker(blob.digest), b"")
                if self._bucket.changed_at(key) is not None:  # see `remove`
                    self._hook("kept")
                    return
        raise Unavailable(f"{self._bucket} does not keep {blob.digest}; try again")

    def _created(self, blob: Blob, path: Path) -> bool:
        """Send a copy, and give it its name if it is free; whether it was."""
        key, seen = self._key(blob.digest), hashlib.sha256()
        if blob.size <= PART_BYTES:
            content = path.read_bytes()
            seen.update(content)
            _demand_same(blob.digest, seen.hexdigest())
            return self._bucket.create(key, content)
        aside = _temporary()
        try:
            self._bucket.send(aside, _pieces(path, seen))
            _demand_same(blob.digest, seen.hexdigest())
            self._hook("sent")
            return self._bucket.name(aside, key)
        finally:
            with contextlib.suppress(Unavailable):  # a later start sweeps it
                self._bucket.delete(aside)

    def _whole(self, digest: Digest) -> bool:
        """Whether the object has its digest; one that has not is moved aside."""
        seen = hashlib.sha256()
        try:
            incoming = self._bucket.read(self._key(digest))
            while piece := incoming.read(_READ_BYTES):
                seen.update(piece)
            if seen.hexdigest() == _hex(digest):
                return True
            log.error("a stored object was damaged; it is stored again", digest=digest)
            self._set_aside(digest)
        except NotFound:
            pass  # somebody else has moved it aside, or removed it
        return False

    def _set_aside(self, digest: Digest) -> str:
        key = self._key(digest)
        aside = f"{_QUARANTINE}{_hex(digest)}.{secrets.token_hex(4)}"
        self._bucket.name(key, aside)
        self._bucket.delete(key)
        self._quarantined = None
        return aside

    def _listed(self) -> Iterator[tuple[Digest, int]]:
        for key, at in self._bucket.listed(_BLOBS):
            found = _KEY.fullmatch(key)
            if found is not None:
                yield Digest(f"sha256:{found[1]}{found[2]}"), at

    def _key(self, digest: Digest) -> str:
        """The only way from a caller's text to a key; `path` refuses what is no digest."""
        path = self._copies.path(digest)
        return f"{_BLOBS}{path.parent.name}/{path.name}"


def _hex(digest: Digest) -> str:
    return digest.removeprefix("sha256:")


def _marker(digest: Digest) -> str:
    return _STORED + _hex(digest)


def _temporary() -> str:
    return TEMPORARY + secrets.token_hex(16)


def _pieces(path: Path, seen: hashlib._Hash) -> Iterator[bytes]:
    """The bytes of a copy as they are sent, each of which `seen` has hashed."""
    try:
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                seen.update(piece)
                yield piece
    except OSError as error:
        raise Unavailable(f"the disk does not give the bytes: {error.strerror}") from error


def _not_kept(digest: Digest) -> Unavailable:
    """Of a copy that was made a moment ago; the blob itself is no worse for it."""
    return Unavailable(
        f"the copy of {digest} did not stay",
        remedy="try again; the operator gives S3_COPIES_MIB more room",
    )


def _demand_same(digest: Digest, seen: str) -> None:
    """Make sure that what was sent is what was hashed when it came."""
    if seen != _hex(digest):
        raise Unavailable(f"the disk gave other bytes than those of {digest}; try again")
