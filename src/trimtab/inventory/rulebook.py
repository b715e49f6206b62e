"""Rules of compliance as data: what is demanded of which versions, and what asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any, Literal

from pydantic import Field

from trimtab.inventory.conditions import NAMES, Condition, parse
from trimtab.inventory.oddities import FINDINGS
from trimtab.inventory.strict import Strict, demand_name, shaped
from trimtab.policies.reading import Document, read


class Framework(StrEnum):
    """Whose demands the rules refer to."""

    EU_AI_ACT = "eu_ai_act"
    GDPR = "gdpr"
    HIPAA = "hipaa"
    ISO_42001 = "iso_42001"
    NIST_AI_RMF = "nist_ai_rmf"
    SOC2 = "soc2"


FRAMEWORKS: Mapping[Framework, str] = {
    Framework.EU_AI_ACT: "EU AI Act, Regulation (EU) 2024/1689",
    Framework.GDPR: "GDPR, Regulation (EU) 2016/679",
    Framework.HIPAA: "HIPAA Security Rule, 45 CFR Part 164 Subpart C",
    Framework.ISO_42001: "ISO/IEC 42001:2023, Annex A",
    Framework.NIST_AI_RMF: "NIST AI RMF 1.0",
    Framework.SOC2: "SOC 2, Trust Services Criteria 2017",
}
"""What each is, in full."""


class Severity(StrEnum):
    """How grave a gap is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True)
class Regulation:
    """A place in a framework that a rule gives evidence for."""

    framework: Framework
    reference: str


@dataclass(frozen=True)
class Rule:
    """What is demanded of whom. `when` None: of every version. `evidence` are the fields that
    tell; `waivable`: whether a gap can be waived at all."""

    id: str
    version: int
    title: str
    sentence: str
    severity: Severity
    waivable: bool
    regulations: tuple[Regulation, ...]
    when: Condition | None
    require: Condition
    evidence: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Rulebook:
    """Rules, in their order. `digest` is that of the text that they were read from."""

    version: str
    digest: str
    max_waiver_days: int
    rules: tuple[Rule, ...]

    def rule(self, rule_id: str) -> Rule | None:
        """The rule with this id; None: there is none."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


class _Reference(Strict):
    framework: str
    reference: str = Field(min_length=1)


class _Waivers(Strict):
    max_days: int = Field(ge=1, le=1_096)


class _Rule(Strict):
    id: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=80)
    version: int = Field(ge=1)
    title: str = Field(min_length=1)
    sentence: str = Field(min_length=1)
    severity: Literal["critical", "high", "medium", "low"]
    waivable: bool = True
    regulations: tuple[_Reference, ...] = Field(min_length=1)
    when: dict[str, Any] | None = None
    require: dict[str, Any]
    evidence: tuple[str, ...] = Field(min_length=1)
    remedy: str = Field(min_length=1)


class _Rulebook(Strict):
    rulebook: str = Field(min_length=1, max_length=40)
    waivers: _Waivers
    rules: tuple[_Rule, ...] = Field(min_length=1)


def load_rulebook(text: str, source: str = "rulebook.yaml") -> Rulebook:
    """The rulebook that `text`, YAML or JSON, states.

    Raises:
        InvalidInput: not YAML as policies are read, an unknown or missing key, a field, op,
            finding or framework that there is not, or an id that is given twice. The message
            starts with `source:line:column:` and names the nearest that there is.
    """
    document = read(text, source)
    shape = shaped(_Rulebook, document)
    seen: set[str] = set()
    for number, rule in enumerate(shape.rules):
        if rule.id in seen:
            document.refuse(("rules", number, "id"), f"the rule {rule.id!r} is given twice")
        seen.add(rule.id)
    return Rulebook(
        version=shape.rulebook,
        digest="sha256:" + hashlib.sha256(text.encode()).hexdigest(),
        max_waiver_days=shape.waivers.max_days,
        rules=tuple(_rule(document, number, rule) for number, rule in enumerate(shape.rules)),
    )


def default_text() -> str:
    """What the rulebook that comes with Trimtab is read from."""
    file = resources.files("trimtab.inventory") / "data" / "rulebook.yaml"
    return file.read_bytes().decode()


def _rule(document: Document, number: int, rule: _Rule) -> Rule:
    path = ("rules", number)
    codes = tuple(FINDINGS)
    for place, name in enumerate(rule.evidence):
        demand_name(document, (*path, "evidence", place), name, NAMES, "a field of a record")
    for place, said in enumerate(rule.regulations):
        where = (*path, "regulations", place, "framework")
        demand_name(document, where, said.framework, tuple(Framework), "a framework")
    return Rule(
        id=rule.id,
        version=rule.version,
        title=rule.title,
        sentence=rule.sentence,
        severity=Severity(rule.severity),
        waivable=rule.waivable,
        regulations=tuple(
            Regulation(Framework(said.framework), said.reference) for said in rule.regulations
        ),
        when=parse(document, (*path, "when"), codes) if rule.when is not None else None,
        require=parse(document, (*path, "require"), codes),
        evidence=rule.evidence,
        remedy=rule.remedy,
    )
