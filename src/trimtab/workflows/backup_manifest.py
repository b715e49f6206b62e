"""The manifest of a backup: what it is, where its ledger ends, and the digest of every file.

It guards against accidents. Whoever may change a backup may write another manifest for it:
against that stand the signed heads, which are kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, NotFound

FORMAT = "trimtab-backup/1"
KEYS_FORMAT = "trimtab-keys/1"
MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 1 << 28
_CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """A file of a backup, by its path within it."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Head:
    """Where the ledger of a backup ends."""

    size: int
    root: str


@dataclass(frozen=True)
class Manifest:
    """What a backup says about itself."""

    format: str
    made_at: str
    version: str
    database: str
    ledger: Head | None
    files: tuple[File, ...]
    damaged: tuple[str, ...] = ()
    """Blobs whose bytes are not what their names say; they were left out."""

    @property
    def total_bytes(self) -> int:
        """What all files take."""
        return sum(file.bytes for file in self.files)


def read(folder: Path) -> Manifest:
    """The manifest that lies in `folder`.

    Raises:
        NotFound: there is none.
        IntegrityFailed: it cannot be read, or names files outside its folder.
        InvalidInput: it is of a format that is not ours.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(
            f"there is no {MANIFEST} in {folder}",
            remedy="a folder whose name ends in .part is a backup that was interrupted",
        )
    try:
        body: dict[str, Any] = json.loads(path.read_bytes()[:MOST_MANIFEST_BYTES])
        head = body["ledger"]
        manifest = Manifest(
            format=str(body["format"]),
            made_at=str(body["made_at"]),
            version=str(body["version"]),
            database=str(body["database"]),
            ledger=None if head is None else Head(int(head["size"]), str(head["root"])),
            files=tuple(File(**file) for file in body["files"]),
            damaged=tuple(body["damaged"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityFailed(f"{path} cannot be read: {error}") from error
    if manifest.format not in (FORMAT, KEYS_FORMAT):
        raise InvalidInput(f"{path} has the format {manifest.format[:40]!r}, which is not ours")
    strange = [f.path for f in manifest.files if not _inside(f.path)]
    if strange:
        raise IntegrityFailed(f"{path} names a file outside its folder: {strange[0][:80]!r}")
    return manifest


def _inside(path: str) -> bool:
    parts = Path(path).parts
    return bool(parts) and not Path(path).is_absolute() and ".." not in parts


def names(manifest: Manifest) -> set[str]:
    """Every file that a backup consists of."""
    return {MANIFEST, *(file.path for file in manifest.files)}


def described(folder: Path, path: Path) -> File:
    """A file below `folder` as it is now."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return File(path.relative_to(folder).as_posix(), size, digest.hexdigest())
