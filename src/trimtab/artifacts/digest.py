"""Digests: the one name of a sequence of bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import Digest

_FORM = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


def sha256_of(source: Path | BinaryIO | bytes) -> Digest:
    """The digest of a file, of the rest of an open binary file, or of bytes.

    A path follows symbolic links; for bytes that nobody vouches for, open them with
    `opening.read_untrusted` and hash what was opened.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return Digest("sha256:" + hashlib.sha256(source).hexdigest())
    if isinstance(source, Path):
        with source.open("rb") as file:
            return sha256_of(file)
    hasher = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        hasher.update(chunk)
    return Digest("sha256:" + hasher.hexdigest())


def parse_digest(text: str) -> Digest:
    """`text` as a digest, in its one spelling: `sha256:` and 64 lower-case hex digits.

    Raises:
        InvalidInput: any other spelling.
    """
    if not _FORM.fullmatch(text):
        raise InvalidInput(
            "a digest is 'sha256:' followed by 64 lower-case hexadecimal digits",
            field="digest",
            remedy="Copy the digest as the registry or `sha256sum` shows it.",
        )
    return Digest(text)
