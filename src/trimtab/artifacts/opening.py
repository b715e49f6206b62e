"""Opening files that nobody vouches for: what is hashed is what was opened."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from trimtab.kernel.errors import IntegrityFailed
from trimtab.kernel.ids import Digest

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class OpenedFile:
    """What came out of one descriptor: size in bytes, digest of all of it, and the bytes.

    `content` is None when the file is larger than the caller wanted to hold.
    """

    size: int
    digest: Digest
    content: bytes | None


def read_untrusted(path: Path, *, max_bytes: int) -> OpenedFile:
    """Read a plain file once, through one descriptor, without following a link.

    Content is kept up to `max_bytes`; the digest is always of the whole file. The folders
    above `path` are the caller's and are trusted.

    Raises:
        IntegrityFailed: a symbolic link, a file with a second name (hard link), or
            anything that is not a regular file. `field` names which of the three.
        OSError: the file cannot be opened or read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise IntegrityFailed("the file is a symbolic link", field="symlink") from error
        if error.errno == errno.ENXIO:
            raise IntegrityFailed("this is not a regular file", field="not_regular") from error
        raise
    try:
        return _read(descriptor, max_bytes)
    finally:
        os.close(descriptor)


def _read(descriptor: int, max_bytes: int) -> OpenedFile:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise IntegrityFailed("this is not a regular file", field="not_regular")
    if found.st_nlink > 1:
        raise IntegrityFailed("the file has a second name elsewhere", field="hardlink")
    hasher = hashlib.sha256()
    kept: list[bytes] | None = []
    size = 0
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        hasher.update(chunk)
        size += len(chunk)
        if size > max_bytes:
            kept = None
        if kept is not None:
            kept.append(chunk)
    content = None if kept is None else b"".join(kept)
    return OpenedFile(size, Digest("sha256:" + hasher.hexdigest()), content)
