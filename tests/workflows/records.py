"""Records of other registries, made by hand, as they are kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from trimtab.inventory.compliance import Evaluation, Judged, Outcome, Pointer
from trimtab.inventory.record import CLAIMS, FIELDS, Finding, Known, Origin, Record
from trimtab.inventory.rulebook import Framework, Regulation, Severity

AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
SEEN = "2026-11-03T09:30:00.000000Z"
OWN, RUN = Origin.MODEL_VERSION, Origin.RUN


def record(
    model: str = "credit-scoring",
    version: int = 7,
    *,
    findings: tuple[Finding, ...] = (),
    incomplete: str | None = None,
    **known: Known,
) -> Record:
    """A record that says nothing but its name, its stage, and what is given."""
    said = {
        "model_name": Known(model, OWN, "name"),
        "version_number": Known(version, OWN, "version"),
        "lifecycle_stage": Known("development", OWN, "current_stage"),
        **known,
    }
    fields = {name: said.get(name, Known(claim=name in CLAIMS)) for name in FIELDS}
    return Record(model, version, fields, findings=findings, incomplete=incomplete)


def full() -> Record:
    """A record in which everything is said."""
    listed: list[dict[str, Any]] = [
        {"path": "MLmodel", "size": 812, "sha256": "b" * 64, "format": "yaml", "result": "clean"},
        {"path": "model.pkl", "size": 48_211, "sha256": "c" * 64, "format": "pickle",
         "result": "suspicious", "findings": ["names the global my_package.Thing"]},
        {"path": "requirements.txt", "size": 44, "result": "clean"},
        {"path": "big.bin"},
    ]  # fmt: skip
    environment = {
        "files": [{**listed[2], "python": "3.11.9", "dependencies": [
            {"name": "scikit-learn", "specifier": "==1.7.2", "pinned": True},
            {"name": "numpy", "specifier": ">=2", "pinned": False},
            {"name": "pandas", "specifier": "", "pinned": False},
        ]}],
        "pinned": False,
    }  # fmt: skip
    return record(
        findings=(Finding("stage_alias_conflict", "the stage says development"),),
        lifecycle_stage=Known("production", Origin.REGISTERED_MODEL, "aliases.champion",
                              coerced_from="champion"),
        aliases=Known(["blue", "champion"], Origin.REGISTERED_MODEL, "aliases"),
        business_purpose=Known("Scores small loans", OWN, "tags.purpose", claim=True),
        owner=Known("risk-team", OWN, "tags.owner", claim=True),
        created_at=Known(SEEN, OWN, "creation_timestamp", coerced_from="1793784600000"),
        risk_category=Known("high", OWN, "tags.riskCategory", coerced_from="High-Risk", claim=True),
        data_sensitivity=Known(None, OWN, "tags.pii", coerced_from="TBD", claim=True),
        experiment_name=Known(fault="the experiment could not be read: it took longer than 10 s"),
        metrics=Known({"auc": {"value": 0.8731, "step": 3, "at": SEEN},
                       "loss": {"value": None, "invalid": "nan"}}, RUN, "data.metrics"),
        hyperparameters=Known({"max_depth": "7"}, RUN, "data.params"),
        dataset_inputs=Known([{"name": "loans", "digest": "1f3a9c02", "context": "training"}],
                             RUN, "inputs.dataset_inputs"),
        artifact_manifest=Known({"root": "runs:/x/model", "files": listed, "result": "suspicious",
                                 "truncated": "1000 files"}, Origin.ARTIFACTS, "files"),
        runtime_environment=Known(environment, Origin.ARTIFACTS, "files"),
    )  # fmt: skip


def rule(outcome: str, name: str = "owner", *, waiver: str | None = None) -> Judged:
    """A rule with its outcome."""
    return Judged(
        rule=name,
        version=1,
        title=f"The rule {name}",
        severity=Severity.HIGH,
        outcome=Outcome(outcome),
        sentence=f"{name} is {outcome}",
        evidence=(Pointer("owner", OWN, "tags.owner", claim=True), Pointer("risk_category")),
        regulations=(Regulation(Framework.EU_AI_ACT, "Art. 11"),),
        remedy=f"do something about {name}",
        waiver=waiver,
    )


def judged(*rules: Judged) -> Evaluation:
    """How a record was judged."""
    return Evaluation("credit-scoring", 7, "1", "sha256:" + "8f" * 32, AT, rules)
