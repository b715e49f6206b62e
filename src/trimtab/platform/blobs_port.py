"""What the house needs of a store of blobs, wherever it keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from trimtab.kernel.ids import Digest
from trimtab.platform.blobs import Blob, Readable


class Blobs(Protocol):
    """Content-addressed bytes: whole or absent, and hashed before they are served.

    `blobs.BlobStore` keeps them in local files, `blobs_objects.ObjectBlobs` in a bucket.
    Every method that takes a digest refuses any other text with InvalidInput; every method
    raises Unavailable where the disk or the bucket does not answer.
    """

    @property
    def unhealthy(self) -> str | None:
        """Why nothing can be stored on this machine's disk; None when it can."""
        ...

    @property
    def bucket(self) -> str | None:
        """How the bucket is, in a word of `/health`; None where there is none."""
        ...

    def put(self, stream: Readable, *, expected: Digest | None = None, max_bytes: int) -> Blob:
        """Store the bytes of `stream`; when this returns, they are safe.

        Raises:
            InvalidInput: more than `max_bytes` bytes.
            IntegrityFailed: the bytes do not have the digest `expected`.
        """
        ...

    def has(self, digest: Digest) -> bool:
        """Whether a blob of this name is there; its bytes are not looked at."""
        ...

    def path(self, digest: Digest) -> Path:
        """Where this machine's file of the blob is, or would be. Nothing is verified."""
        ...

    def held(self, digest: Digest) -> AbstractContextManager[Path]:
        """A file of the blob for a child process to read, which stays for the block.

        Raises:
            NotFound, IntegrityFailed: where the bytes have to be fetched first.
        """
        ...

    def read_verified(self, digest: Digest, *, max_bytes: int) -> bytes:
        """All bytes of a small blob, verified.

        Raises:
            InvalidInput: more than `max_bytes` bytes.
            NotFound, IntegrityFailed: not there, or not these bytes.
        """
        ...

    def open_verified(self, digest: Digest) -> BinaryIO:
        """The blob as a file at its start, hashed to its end before the first byte leaves.

        Raises:
            NotFound, IntegrityFailed: not there, or not these bytes.
        """
        ...

    def quarantine(self, digest: Digest) -> object:
        """Move a blob aside, to where nothing is served from.

        Raises:
            NotFound: no such blob.
        """
        ...

    def quarantined(self) -> int:
        """How many blobs were moved aside."""
        ...

    def digests(self) -> Iterator[Digest]:
        """Every blob's digest, in ascending order."""
        ...

    def stored_before(self, moment: datetime) -> Iterator[tuple[Digest, int]]:
        """Blobs whose bytes nobody has stored since `moment`, and when that was, in ns."""
        ...

    def remove(self, digest: Digest, *, stored_at_ns: int) -> bool:
        """Remove a blob, unless somebody has stored its bytes again since; whether it went."""
        ...
