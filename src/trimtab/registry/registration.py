"""What is handed in for a version, and whether it is what was handed in before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trimtab.kernel.errors import Conflict, OtherBytes
from trimtab.kernel.events import plain
from trimtab.kernel.ids import Digest, TenantId
from trimtab.registry.model import TrainingTrigger, Version

_HANDED_IN = {
    "digest": "artifact",
    "tenant": "tenant",
    "cutoff": "cutoff",
    "reference_digest": "reference",
    "holdout_digest": "holdout",
    "framework": "framework",
    "training_metrics": "training_metrics",
    "training_trigger": "training_trigger",
    "parent": "parent",
    "lineage": "lineage",
}
"""What a version is handed in with, and how whoever does so calls it. All else follows from
it, or from who sent it and when."""

_DIGESTS = {"digest", "reference_digest", "holdout_digest"}


@dataclass(frozen=True)
class Registration:
    """What is known of a version when its bytes have been stored, inspected and signed."""

    model: str
    tenant: TenantId | None
    version: str
    digest: Digest
    size_bytes: int
    framework: str
    cutoff: float
    training_metrics: dict[str, float]
    training_trigger: TrainingTrigger
    parent: str | None
    reference_digest: Digest
    reference_rows: int
    holdout_digest: Digest
    lineage: dict[str, Any]
    binding: str
    signature: str
    signer: str
    inspection: dict[str, Any]
    contributors: tuple[str, ...]


def demand_same(known: Version, registration: Registration) -> None:
    """Make sure that what is handed in again is what stands under its number.

    Raises:
        OtherBytes: it has other bytes.
        Conflict: something else is different, or it is another tenant's.
    """
    if registration.tenant is not None and known.tenant not in (None, registration.tenant):
        raise Conflict(  # any difference would tell what another tenant's version is made of
            f"the number {known.version} of {known.model} is taken",
            field="version",
            remedy="version numbers are shared by all tenants; take another one",
        )
    for part, name in _HANDED_IN.items():
        if plain(getattr(known, part)) != plain(getattr(registration, part)):
            kind = OtherBytes if part in _DIGESTS else Conflict
            raise kind(
                f"version {known.version} of {known.model} exists with another {name}",
                field=name,
                remedy="a version number is used once; take the next one",
            )
