"""A diagnosis: causes in order of confidence, and what to do about the first of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from trimtab.kernel.events import Event
from trimtab.kernel.ids import DiagnosisId, IncidentId, TenantId
from trimtab.policies.operation import ActionName


class CauseType(StrEnum):
    """What can be behind it."""

    DATA_QUALITY_FAULT = "data_quality_fault"
    """A feed sends something else than was agreed: another unit, nulls, a frozen value."""
    COVARIATE_SHIFT = "covariate_shift"
    """The population moved; what an input means for the outcome did not."""
    CONCEPT_SHIFT = "concept_shift"
    """The same score now means another outcome."""
    BAD_RELEASE = "bad_release"
    """One version is worse; others beside it are not."""
    POPULATION_CHANGE = "population_change"
    """A group came or went, without harm to the rest."""

    @property
    def family(self) -> str:
        """Causes of one family go together; a lead is asked for between families."""
        shift = (CauseType.COVARIATE_SHIFT, CauseType.CONCEPT_SHIFT)
        return "shift" if self in shift else self.value


class Verdict(StrEnum):
    """What a diagnosis ends in."""

    CAUSE_FOUND = "cause_found"
    NONE_FOUND = "none_found"
    """Enough data, and nothing in it that explains; a legal answer."""
    INSUFFICIENT_DATA = "insufficient_data"
    """Too few rows to say anything, which is not the same as calm."""


@dataclass(frozen=True)
class Cause:
    """One candidate. `summary` and the evidence are sentences with numbers; `fault` is the
    kind of data fault, where it is one; `values` are the numbers, as plain JSON types."""

    type: CauseType
    confidence: float
    summary: str
    feature: str | None = None
    fault: str | None = None
    evidence_for: tuple[str, ...] = ()
    evidence_against: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Advice:
    """An action that is recommended, or one that is to be refused, and why."""

    action: ActionName
    refused: bool
    why: str


@dataclass(frozen=True)
class Factor:
    """A feature's part in what happened; the weights of a diagnosis add up to 1."""

    factor: str
    weight: float


@dataclass(frozen=True)
class Analysis:
    """What the evidence says. `summary` is one sentence."""

    verdict: Verdict
    summary: str
    causes: tuple[Cause, ...]
    advice: tuple[Advice, ...]
    factors: tuple[Factor, ...]
    drift_start: datetime | None
    detected_at: datetime | None

    @property
    def cause(self) -> Cause | None:
        """The cause that was found, or None."""
        return self.causes[0] if self.verdict is Verdict.CAUSE_FOUND else None

    @property
    def harmed(self) -> bool | None:
        """Whether the answers are said to suffer from the cause; None where that is not known,
        or where the cause is one that needs no harm to be repaired."""
        return None if self.cause is None else self.cause.values.get("harmed")

    @property
    def waits_for_outcomes(self) -> bool:
        """Whether the question of harm could not be answered yet."""
        asked = self.cause is not None and "harmed" in self.cause.values
        return asked and self.harmed is None


@dataclass(frozen=True)
class Diagnosis:
    """An analysis that was kept for an incident; it is never changed, only followed by one."""

    id: DiagnosisId
    incident: IncidentId
    model: str
    tenant: TenantId | None
    analysis: Analysis
    policy_digest: str
    made_at: datetime
    revision: int = 0


@dataclass(frozen=True)
class Made(Event):
    """An incident was diagnosed."""

    kind: ClassVar[str] = "diagnosis.made"

    model: str
    incident: str
    verdict: str
    summary: str
    causes: list[dict[str, Any]]
    advice: list[dict[str, Any]]
    factors: list[dict[str, Any]]
    drift_start: datetime | None
    detected_at: datetime | None
    policy_digest: str
