"""Blobs that nothing refers to: what an upload that was refused, or a job that was given up,
has stored, and what was only needed for a while."""

from __future__ import annotations

from datetime import timedelta

from trimtab.kernel.ids import Digest
from trimtab.platform import references
from trimtab.platform.logs import logger
from trimtab.workflows.parts import Parts

log = logger(__name__)


class Leftovers:
    """Removes them, at the second look that finds the same ones.

    An upload stores its bytes first and is registered after that, so a blob that nothing
    refers to may be part of one under way. It is safe because

    - only blobs that nobody has stored for days are thought of; storing bytes that are
      there already counts, and no upload takes that long;
    - a clock that is set forward makes everything old at once, so two looks have to find
      the blob unreferenced and untouched; between them lies time that no clock can shorten;
    - the last look at its age is made with its folder locked, as storing does it.
    """

    def __init__(self, parts: Parts):
        self._parts = parts
        self._keep = timedelta(hours=parts.settings.unreferenced_blobs_keep_hours)
        self._seen: dict[Digest, int] = {}

    def look(self) -> int:
        """Remove what the look before has found, too; return how many that were."""
        parts = self._parts
        old = dict(parts.blobs.stored_before(parts.real_clock.now() - self._keep))
        with parts.records.look() as reading:  # after the list: what is new is not on it
            named = references.digests(reading.connection)
        found = {digest: at for digest, at in old.items() if digest not in named}
        again = found.items() & self._seen.items()
        removed = sum(parts.blobs.remove(digest, stored_at_ns=at) for digest, at in again)
        self._seen = found
        if removed:
            log.info("blobs that nothing refers to were removed", blobs=removed)
        return removed
