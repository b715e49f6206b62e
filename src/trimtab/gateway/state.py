"""What a gateway keeps on disk, so that it can start and serve alone.

Nothing that is read back is believed: envelopes are opened and artifacts verified again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from trimtab.kernel.clock import iso, parse_iso
from trimtab.kernel.errors import Conflict
from trimtab.sdk.routing import VersionEntry

LAST = "last"
"""The newest table that was accepted; no older one ever is again."""
COMPLETE = "complete"
"""The newest table of which every version loaded: what a refused version falls back to."""


@dataclass(frozen=True)
class CachedArtifact:
    """Bytes as they were downloaded, not yet verified."""

    model: bytes
    bundle: bytes
    binding: bytes


class StateFolder:
    """One gateway's folder; a second gateway on the same folder is refused.

    Raises:
        Conflict: another process holds the folder.
        OSError: the folder cannot be made or written.
    """

    def __init__(self, root: Path):
        self._root = root
        self._artifacts = root / "artifacts"
        self.empty = root / "empty"
        for folder in (self._artifacts, self.empty):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = (root / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise Conflict(f"another gateway uses {root}", field="state") from error

    def close(self) -> None:
        """Let another gateway have the folder."""
        self._lock.close()

    def write_table(self, name: str, envelope: bytes, accepted_at: datetime) -> None:
        """Keep a verified table durably, with the machine's time of its acceptance."""
        head = json.dumps({"accepted_at": iso(accepted_at)}).encode()
        _write(self._root / f"{name}.table", head + b"\n" + envelope)

    def read_table(self, name: str) -> tuple[bytes, datetime] | None:
        """The sealed table, unverified, and when it was accepted; None if there is none."""
        try:
            head, _, envelope = (self._root / f"{name}.table").read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        return envelope, parse_iso(json.loads(head)["accepted_at"])

    def write_artifact(self, entry: VersionEntry, artifact: CachedArtifact) -> None:
        """Keep a verified artifact by its digest, and its signature by what it is bound to."""
        folder = self._folder(entry.digest)
        folder.mkdir(exist_ok=True)
        _write(folder / "model.onnx", artifact.model)
        _write(folder / f"{_bound_name(entry)}.binding", artifact.binding)
        _write(folder / f"{_bound_name(entry)}.bundle", artifact.bundle)

    def read_artifact(self, entry: VersionEntry) -> CachedArtifact | None:
        """The artifact, unverified; None unless all its parts are there."""
        folder, name = self._folder(entry.digest), _bound_name(entry)
        try:
            return CachedArtifact(
                (folder / "model.onnx").read_bytes(),
                (folder / f"{name}.bundle").read_bytes(),
                (folder / f"{name}.binding").read_bytes(),
            )
        except FileNotFoundError:
            return None

    def keep_only(self, digests: Collection[str]) -> None:
        """Remove artifacts that no kept table names, so that the folder stays bounded."""
        kept = {self._folder(digest).name for digest in digests}
        for folder in self._artifacts.iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder)

    def _folder(self, digest: str) -> Path:
        return self._artifacts / digest.removeprefix("sha256:")


def _bound_name(entry: VersionEntry) -> str:
    bound = json.dumps([entry.model, entry.version, entry.tenant])
    return hashlib.sha256(bound.encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, also after a crash."""
    draft = path.with_name(path.name + ".draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
