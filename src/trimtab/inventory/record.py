"""The canonical record of a version in somebody else's registry, each field with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.kernel.clock import parse_iso
from trimtab.kernel.events import plain


class Group(StrEnum):
    """The parts of a record, in the order in which people read it."""

    IDENTITY = "identity"
    LIFECYCLE = "lifecycle"
    TRAINING = "training"
    LINEAGE = "lineage"
    RISK = "risk"
    EVIDENCE = "evidence"


GROUPS: Mapping[Group, tuple[str, ...]] = {
    Group.IDENTITY: ("model_name", "description", "business_purpose", "owner"),
    Group.LIFECYCLE: (
        "version_number",
        "lifecycle_stage",
        "created_at",
        "last_updated_at",
        "deployment_status",
        "source_run_id",
        "source_artifact_uri",
        "registry_stage",
        "registry_status",
        "aliases",
    ),
    Group.TRAINING: (
        "training_status",
        "training_started_at",
        "training_ended_at",
        "metrics",
        "hyperparameters",
        "evaluation_tags",
    ),
    Group.LINEAGE: (
        "experiment_id",
        "experiment_name",
        "code_commit",
        "training_entrypoint",
        "dataset_reference",
        "artifact_uri",
        "dataset_inputs",
        "logged_model_id",
    ),
    Group.RISK: (
        "risk_category",
        "regulatory_scope",
        "data_sensitivity",
        "privacy_assessment_status",
        "compliance_approver",
        "security_assessment_version",
    ),
    Group.EVIDENCE: ("runtime_environment", "artifact_manifest", "evidence_files"),
}
"""Every field of a record, by its group. A record has all of them, known or not."""

FIELDS: tuple[str, ...] = tuple(name for names in GROUPS.values() for name in names)

CLAIMS = frozenset((*GROUPS[Group.RISK], "business_purpose", "owner"))
"""What the author of a model says of it. It is shown, and counts as evidence that somebody said
so; it is never an approval, and never lowers a tier."""


class Stage(StrEnum):
    """Where a version stands, in the one vocabulary of all registries."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


class Origin(StrEnum):
    """What a field was read from."""

    REGISTERED_MODEL = "registered_model"
    MODEL_VERSION = "model_version"
    RUN = "run"
    EXPERIMENT = "experiment"
    LOGGED_MODEL = "logged_model"
    ARTIFACTS = "artifacts"


@dataclass(frozen=True)
class Known:
    """A value, and where it comes from.

    `value` is plain JSON; None: nobody says. `origin` and `key` (such as `tags.owner`) tell
    where it was read, `at` when the source says that it held. `coerced_from` is the text that
    it was made from, where it is not as it was read; `fault` says why there is no value although
    something stood there.
    """

    value: Any = None
    origin: Origin | None = None
    key: str = ""
    at: datetime | None = None
    coerced_from: str | None = None
    fault: str | None = None
    claim: bool = False


@dataclass(frozen=True)
class Finding:
    """What is odd about a record, in a word and a sentence: `run_missing`, `lineage_mismatch`.
    A finding is no compliance gap, and never a reason to leave a version out."""

    code: str
    detail: str


@dataclass(frozen=True)
class Record:
    """A version as it is governed. `fields` has every name of `FIELDS`. `incomplete` says which
    part could not be read this time, and why; None: all of it was."""

    model: str
    version: int
    fields: Mapping[str, Known]
    model_tags: Mapping[str, str] = field(default_factory=dict)
    version_tags: Mapping[str, str] = field(default_factory=dict)
    run_tags: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    incomplete: str | None = None

    def value(self, name: str) -> Any:
        """The value of a field; None: nobody says."""
        return self.fields[name].value

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return Stage(self.value("lifecycle_stage"))

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names that its registry gives it, in order."""
        return tuple(self.value("aliases") or ())

    def plain(self) -> dict[str, Any]:
        """As it is kept, in JSON types; what a field does not have is left out."""
        return {
            "model": self.model,
            "version": self.version,
            "fields": {name: _plain(known) for name, known in self.fields.items()},
            "model_tags": dict(self.model_tags),
            "version_tags": dict(self.version_tags),
            "run_tags": dict(self.run_tags),
            "findings": [vars(finding) for finding in self.findings],
            "incomplete": self.incomplete,
        }

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Record:
        """What `plain` has made."""
        return cls(
            model=kept["model"],
            version=kept["version"],
            fields={name: _known(kept["fields"].get(name, {})) for name in FIELDS},
            model_tags=kept["model_tags"],
            version_tags=kept["version_tags"],
            run_tags=kept["run_tags"],
            findings=tuple(Finding(**finding) for finding in kept["findings"]),
            incomplete=kept["incomplete"],
        )


_NOTHING = Known()


def _plain(known: Known) -> dict[str, Any]:
    return {
        name: plain(value)
        for name, value in vars(known).items()
        if value != getattr(_NOTHING, name) or (name == "value" and value is not None)
    }


def _known(kept: Mapping[str, Any]) -> Known:
    values = dict(kept)
    if "origin" in values:
        values["origin"] = Origin(values["origin"])
    if "at" in values:
        values["at"] = parse_iso(values["at"])
    return Known(**values)
