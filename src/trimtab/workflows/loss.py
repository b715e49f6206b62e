"""Going on from an older backup: the loss is written down, and no number is used twice.

Between a backup and its return decisions were taken that are gone, and others know of them:
gateways have seen routing tables, auditors heads. The heads of what is lost are moved aside,
not removed: they are the proof that it was there. Epochs of routing tables go on above any
that can have been published; ids hold the time and chance, and cannot come again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from trimtab.audit import ledger
from trimtab.audit.heads import read_note
from trimtab.audit.work import Reading
from trimtab.kernel.actor import system
from trimtab.kernel.clock import begin_of
from trimtab.kernel.errors import IntegrityFailed, InvalidMove
from trimtab.kernel.events import Note
from trimtab.workflows import release
from trimtab.workflows.parts import Parts

_RESTORE = system("restore")
_SECOND = timedelta(seconds=1)
_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class LossAccepted(Note):
    """Somebody in charge went on from a backup that is older than what had been published.

    The subject is the name of the ledger. The head that was lost had `lost_size` entries and
    `lost_root`; the backup ended at `size`. Where `lost_heads` is 0, nothing but the key that
    had signed is lost. Routing tables go on at `routing_epoch`.
    """

    kind: ClassVar[str] = "ledger.loss_accepted"

    size: int
    lost_size: int
    lost_root: str
    lost_heads: int
    routing_epoch: int


def accept(parts: Parts, heads: Path, *, reason: str) -> LossAccepted:
    """Go on from the present records although more was published, or although the key that
    signed the published heads is lost; `heads` is where they are.

    Safe to repeat when it was interrupted: the entry is written first, and heads that are
    still there are moved by the next call.

    Raises:
        InvalidMove: nothing is lost: the records continue the newest published head, which
            the present key has signed.
        IntegrityFailed: they do not even continue an older head: this is no backup of what
            was published, but another history.
    """
    notes = {path: read_note(path.read_text("utf-8")) for path in sorted(heads.glob("*.note"))}
    newest = max(notes.values(), default=(0, b""))
    with parts.records.look() as reading:
        size = ledger.size(reading.connection)
        begun = _begun(reading, newest)
        kept = size if begun is None else begun.size
        lost = [path for path, (number, _) in notes.items() if number > kept]
        wrong = [
            number
            for number, root in notes.values()
            if number <= kept and ledger.tree(reading.connection, number).root() != root
        ]
    if wrong:
        raise IntegrityFailed(
            f"the records do not continue the head that was published at {wrong[0]} entries",
            remedy="this is no older copy of what was published; look for another backup",
        )
    if not lost and parts.heads.origin() == parts.heads.signer.origin:
        raise InvalidMove("nothing is lost: the records continue every published head")
    accepted = (begun if lost else None) or _entered(parts, kept, newest, len(lost), reason)
    if lost:
        _set_aside(lost, parts)
    parts.heads.sign()
    return accepted


def _begun(reading: Reading, newest: tuple[int, bytes]) -> LossAccepted | None:
    """What an earlier call, which was interrupted, has written about the loss of this head."""
    found = ledger.entries(
        reading.connection, kinds=(LossAccepted.kind,), newest_first=True, limit=1
    )
    if not found or found[0].data is None:
        return None
    event = LossAccepted(subject=found[0].subject, tenant=None, **found[0].data)
    return event if (event.lost_size, event.lost_root) == (newest[0], newest[1].hex()) else None


def _entered(
    parts: Parts, size: int, lost: tuple[int, bytes], heads: int, reason: str
) -> LossAccepted:
    """Publish a routing table above all that can have been published, and write the loss down."""
    # Milliseconds of real time since 1970: fewer tables than that have ever been published,
    # here or in what is lost, and each loss that is accepted is accepted later.
    epoch = (parts.real_clock.now() - _START) // timedelta(milliseconds=1)
    event = LossAccepted(
        subject=parts.heads.signer.origin,
        tenant=None,
        size=size,
        lost_size=lost[0],
        lost_root=lost[1].hex(),
        lost_heads=heads,
        routing_epoch=release.publish_routing(parts, at_least=epoch)[0],
    )
    with parts.records.begin(_RESTORE, reason=reason) as work:
        work.record(event)
    return event


def _set_aside(lost: list[Path], parts: Parts) -> None:
    moment = begin_of(parts.real_clock.now(), _SECOND)
    folder = lost[0].parent.with_name(f"heads-lost-{moment:%Y%m%dT%H%M%SZ}")
    folder.mkdir()
    for path in lost:
        path.rename(folder / path.name)
