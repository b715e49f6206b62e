"""Local copies of what lies in a bucket: verified at each use, bounded in room.

A copy has the digest for its name, so it cannot be stale: it is those bytes or it is damaged,
and then it is dropped and fetched again. The copies that were used longest ago make room.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trimtab.kernel.errors import IntegrityFailed, NotFound
from trimtab.kernel.ids import Digest
from trimtab.platform.blobs import Blob, BlobStore, Readable
from trimtab.platform.logs import logger

log = logger(__name__)


class Copies:
    """One folder of copies. Several threads and processes may share it.

    Args:
        root: The folder; made when absent, for the owner only.
        max_bytes: The room that copies take, but for those in use. The newest one stays,
            whatever its size.

    Raises:
        Unavailable: the folder cannot be made, read or written.
    """

    def __init__(self, root: Path, *, max_bytes: int):
        self._files = BlobStore(root)
        self.max_bytes = max_bytes

    @property
    def unhealthy(self) -> str | None:
        """Why nothing can be copied until it is opened anew; None when it can."""
        return self._files.unhealthy

    def path(self, digest: Digest) -> Path:
        """Where the copy is or would be. Nothing is verified."""
        return self._files.path(digest)

    def put(self, stream: Readable, *, expected: Digest | None, max_bytes: int) -> Blob:
        """Keep a copy, as `BlobStore.put` does, and make room for it."""
        blob = self._files.put(stream, expected=expected, max_bytes=max_bytes)
        self._make_room()
        return blob

    def open_verified(self, digest: Digest) -> BinaryIO:
        """The copy as a file at its start, hashed to its end before the first byte leaves.

        Raises:
            NotFound: there is none that is whole.
        """
        try:
            file = self._files.open_verified(digest)
        except IntegrityFailed as error:
            log.error("a local copy is damaged; it is fetched again", why=error.message)
            self.set_aside(digest)
            raise NotFound(f"no copy of {digest} is whole") from error
        os.utime(file.fileno())
        return file

    @contextlib.contextmanager
    def held(self, digest: Digest) -> Iterator[Path]:
        """The file of a copy, verified, which stays where it is for the block.

        Raises:
            NotFound: there is none that is whole.
        """
        with self.open_verified(digest) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            if os.fstat(file.fileno()).st_nlink == 0:
                raise NotFound(f"the copy of {digest} has just made room")
            yield self.path(digest)

    def set_aside(self, digest: Digest) -> None:
        """Move a copy to where nothing is served from, if there is one."""
        with contextlib.suppress(NotFound):
            self._files.quarantine(digest)

    def quarantined(self) -> int:
        """How many copies were moved aside."""
        return self._files.quarantined()

    def drop(self, digest: Digest) -> None:
        """Remove a copy that nobody holds, if there is one."""
        with contextlib.suppress(OSError):
            self._drop(digest, self.path(digest).lstat().st_mtime_ns)

    def _make_room(self) -> None:
        found = []
        for digest in self._files.digests():
            with contextlib.suppress(OSError):
                seen = self.path(digest).lstat()
                found.append((seen.st_mtime_ns, seen.st_size, digest))
        left = sum(size for _, size, _ in found)
        for used_at, size, digest in sorted(found)[:-1]:
            if left <= self.max_bytes:
                return
            with contextlib.suppress(OSError):
                left -= size if self._drop(digest, used_at) else 0

    def _drop(self, digest: Digest, used_at: int) -> bool:
        """Remove a copy that nobody has used since; whether it went."""
        with self.path(digest).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self._files.remove(digest, stored_at_ns=used_at)
