"""Models and their versions: what they are, and the lifecycle each version goes through.

Two axes, kept apart. The *lifecycle* of a version says what has been decided about it;
the *deployment* of a version to a tenant and environment (`deployments.py`) says what
traffic it carries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from trimtab.kernel.errors import InvalidInput, InvalidMove
from trimtab.kernel.events import Event, Note
from trimtab.kernel.ids import Digest, ModelId, TenantId, VersionId

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SEMVER = re.compile(r"(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}")


class Lifecycle(StrEnum):
    """What has been decided about a version."""

    DEVELOPMENT = "development"
    """Registered; its bytes are stored and inspected, nothing is decided."""
    STAGING = "staging"
    """Checks are running, or an approval is being asked for."""
    APPROVED = "approved"
    """Somebody who may has said yes, to exactly these bytes."""
    PRODUCTION = "production"
    """It is, or was last, the stable version of somebody."""
    REJECTED = "rejected"
    """A check failed or a reviewer said no; a new version is the way on."""
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"
    QUARANTINED = "quarantined"
    """Its stored bytes are no longer what was signed; never served."""


MOVES: dict[Lifecycle, frozenset[Lifecycle]] = {
    Lifecycle.DEVELOPMENT: frozenset({Lifecycle.STAGING, Lifecycle.REJECTED}),
    Lifecycle.STAGING: frozenset({Lifecycle.APPROVED, Lifecycle.REJECTED}),
    Lifecycle.APPROVED: frozenset({Lifecycle.PRODUCTION, Lifecycle.REJECTED, Lifecycle.DEPRECATED}),
    Lifecycle.PRODUCTION: frozenset({Lifecycle.APPROVED, Lifecycle.DEPRECATED}),
    Lifecycle.REJECTED: frozenset({Lifecycle.ARCHIVED}),
    Lifecycle.DEPRECATED: frozenset({Lifecycle.ARCHIVED}),
    Lifecycle.ARCHIVED: frozenset(),
    Lifecycle.QUARANTINED: frozenset({Lifecycle.ARCHIVED}),
}
"""Allowed moves; any state but the archived may also become quarantined."""


class TrainingTrigger(StrEnum):
    """Why a version was trained."""

    MANUAL = "manual"
    DRIFT = "drift"
    FALSE_POSITIVE_RATE = "false_positive_rate"
    SCHEDULE = "schedule"

    @property
    def occasion(self) -> str:
        """Why, to follow the word `trained`."""
        return _OCCASIONS[self]


_OCCASIONS = {
    TrainingTrigger.MANUAL: "because a person wanted it",
    TrainingTrigger.DRIFT: "because its input drifted",
    TrainingTrigger.FALSE_POSITIVE_RATE: "because of its false-positive rate",
    TrainingTrigger.SCHEDULE: "on schedule",
}


@dataclass(frozen=True)
class Feature:
    """One input of a model, as the model was trained on it. `kind`: numeric or category."""

    name: str
    kind: str


@dataclass(frozen=True)
class Model:
    """Something that predicts one thing, in many versions. Names are unique in the fleet."""

    id: ModelId
    name: str
    owner: str
    description: str
    risk_facts: dict[str, Any]
    tier: int
    risk_level: str
    policy: str
    features: tuple[Feature, ...]
    label: str
    created_at: datetime
    revision: int = 0

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order in which a matrix has its columns."""
        return tuple(feature.name for feature in self.features)


@dataclass(frozen=True)
class Version:
    """One set of bytes under one semantic version, for everybody or for one tenant.

    `cutoff` turns a score in [0, 1] into a decision. `training_metrics` were measured when
    it was trained and are never overwritten; production is measured apart, by window.
    `number` counts the versions of the model from 1. `bump` says how much is new against
    `predecessor`, and `bump_reasons` why; see `bumps.py`. `contributors` are the persons
    who had a hand in it and so cannot approve it. Without a `signer` it was never signed.
    """

    id: VersionId
    model: str
    tenant: TenantId | None
    version: str
    number: int
    predecessor: str | None
    bump: str
    bump_reasons: tuple[str, ...]
    lifecycle: Lifecycle
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
    signed_at: datetime
    inspection: dict[str, Any]
    contributors: tuple[str, ...]
    created_by: str
    created_at: datetime
    held_because: str | None = None
    """Why nothing goes on with it by itself; None where nothing stands in its way."""
    revision: int = 0

    def move(self, to: Lifecycle, why: str) -> tuple[Version, VersionMoved]:
        """The version in its next lifecycle state, and the event that says so.

        Raises:
            InvalidMove: there is no such move from here.
        """
        quarantine = to is Lifecycle.QUARANTINED and self.lifecycle is not Lifecycle.ARCHIVED
        if to not in MOVES[self.lifecycle] and not quarantine:
            raise InvalidMove(
                f"version {self.version} of {self.model} is {self.lifecycle.value} and cannot "
                f"become {to.value}",
                remedy="possible from here: "
                + (", ".join(sorted(MOVES[self.lifecycle])) or "nothing"),
            )
        event = VersionMoved(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            version=self.version,
            before=self.lifecycle.value,
            after=to.value,
            digest=self.digest,
            why=why,
        )
        return replace(self, lifecycle=to, held_because=None), event

    def hold(self, why: str) -> tuple[Version, VersionHeld]:
        """The version where it stands, with what keeps it from going on."""
        event = VersionHeld(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            version=self.version,
            lifecycle=self.lifecycle.value,
            digest=self.digest,
            why=why,
        )
        return replace(self, held_because=why), event


@dataclass(frozen=True)
class ModelRegistered(Event):
    """A model was registered, with the facts its risk tier follows from."""

    kind: ClassVar[str] = "model.registered"

    name: str
    owner: str
    tier: int
    risk_level: str
    risk_reasons: list[str]
    policy: str


@dataclass(frozen=True)
class VersionRegistered(Event):
    """A version was stored, inspected and signed; the digest is what everything binds to.

    The bump is derived from what changed since the predecessor, and picks the checks. Without
    a `signer` it was not signed: inspection called it malicious, or could not read it."""

    kind: ClassVar[str] = "version.registered"

    model: str
    version: str
    number: int
    predecessor: str | None
    bump: str
    bump_reasons: list[str]
    digest: str
    size_bytes: int
    signer: str
    parent: str | None
    trigger: str
    inspection: str
    training_metrics: dict[str, float]


@dataclass(frozen=True)
class VersionMoved(Event):
    """A version changed its lifecycle state."""

    kind: ClassVar[str] = "version.moved"

    model: str
    version: str
    before: str
    after: str
    digest: str
    why: str


@dataclass(frozen=True)
class VersionHeld(Event):
    """A version stays where it is, because a policy lets it go no further."""

    kind: ClassVar[str] = "version.held"

    model: str
    version: str
    lifecycle: str
    digest: str
    why: str


@dataclass(frozen=True)
class ArtifactDownloaded(Note):
    """Verified bytes of a version left for somebody."""

    kind: ClassVar[str] = "artifact.downloaded"

    model: str
    version: str
    digest: str
    first_byte: int
    last_byte: int


def checked_name(name: str, *, field: str = "name") -> str:
    """`name` if it may be one: lower-case letters, digits and hyphens, 63 at most.

    Raises:
        InvalidInput: it may not.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{ascii(name)[:80]} cannot be a name",
            field=field,
            remedy="use lower-case letters, digits and hyphens, 63 at most",
        )
    return name


def checked_version(text: str, *, field: str = "version") -> str:
    """`text` if it is a semantic version in its one canonical form, such as `2.4.1`.

    Raises:
        InvalidInput: `01.0.0`, `1.0`, `1.0.0+x` and look-alikes are not.
    """
    if not is_version(text):
        raise InvalidInput(
            f"{ascii(text)[:80]} is not a version",
            field=field,
            remedy="write MAJOR.MINOR.PATCH in plain digits without leading zeros",
        )
    return text


def is_version(text: str) -> bool:
    """Whether `text` is a semantic version in its one canonical form."""
    return _SEMVER.fullmatch(text) is not None


def version_key(text: str) -> tuple[int, ...]:
    """What versions are ordered by."""
    return tuple(int(part) for part in text.split("."))
