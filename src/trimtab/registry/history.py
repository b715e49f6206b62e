"""What the registry said at a moment that is past, read off the ledger.

A row says how things are; each of its moves is an entry of the ledger. What was true at a
moment is what the last entry up to and including it said, so that what moved at that very
moment has moved. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.kernel.ids import PermitId
from trimtab.registry import deployment_store
from trimtab.registry.deployments import Deployed, Deployment, DeploymentMoved
from trimtab.registry.model import Lifecycle, Version, VersionHeld, VersionMoved

FIELD = "as_of"
"""What whoever asks calls the moment."""


def demand_past(reading: Reading, at: datetime | None) -> None:
    """Make sure that a moment somebody asks about has come.

    Raises:
        InvalidInput: it lies ahead of domain time.
    """
    if at is not None and at > reading.now:
        raise InvalidInput(
            f"{at.isoformat()} has not come yet: it is {reading.now.isoformat()}",
            field=FIELD,
            remedy="name a moment that is past, or leave it out for what is true now",
        )


def lifecycles_then(
    reading: Reading, version_ids: Sequence[str], at: datetime
) -> dict[str, Lifecycle]:
    """The lifecycle state of each of these versions at the moment `at`.

    Raises:
        NotFound: what an entry said has been removed by retention.
    """
    moves = ledger.newest_about(reading.connection, (VersionMoved.kind,), version_ids, until=at)
    return {
        known: Lifecycle(_said(moves[known])["after"]) if known in moves else Lifecycle.DEVELOPMENT
        for known in version_ids
    }


def versions_then(reading: Reading, versions: Sequence[Version], at: datetime) -> list[Version]:
    """Of `versions` those that were registered by the moment `at`, as they stood then.

    Raises:
        NotFound: what an entry said has been removed by retention.
    """
    known = [version for version in versions if version.created_at <= at]
    ids = [version.id for version in known]
    states = lifecycles_then(reading, ids, at)
    held = _held_then(reading, ids, at)
    return [replace(v, lifecycle=states[v.id], held_because=held.get(v.id)) for v in known]


def _held_then(reading: Reading, version_ids: Sequence[str], at: datetime) -> dict[str, str]:
    """Why versions were held at the moment `at`; a move ends that."""
    kinds = (VersionMoved.kind, VersionHeld.kind)
    newest = ledger.newest_about(reading.connection, kinds, version_ids, until=at)
    return {
        known: str(_said(entry)["why"])
        for known, entry in newest.items()
        if entry.kind == VersionHeld.kind
    }


def deployments_then(reading: Reading, models: Sequence[str], at: datetime) -> list[Deployed]:
    """The deployments of these models as they stood at the moment `at`, oldest first.

    Raises:
        NotFound: what an entry said has been removed by retention.
    """
    rows = deployment_store.of_models(reading, models)
    moves = ledger.newest_about(
        reading.connection, (DeploymentMoved.kind,), [row.id for row in rows], until=at
    )
    then = [_then(row, moves[row.id]) for row in rows if row.id in moves]
    return sorted(then, key=lambda deployed: (deployed.since, deployed.id))


def _then(row: Deployed, move: Entry) -> Deployed:
    said = _said(move)
    return replace(
        row,
        state=Deployment(said["after"]),
        percent=float(said["percent_after"]),
        permit=PermitId(said["permit"]),
        since=move.at,
    )


def _said(entry: Entry) -> dict[str, Any]:
    if entry.data is None:
        raise NotFound(
            f"what entry {entry.sequence} said has been removed by retention",
            field=FIELD,
            remedy="ask about a later moment",
        )
    return entry.data
