"""A model that is registered, and a version of it as somebody hands it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

from trimtab.app import Application
from trimtab.kernel.actor import system
from trimtab.policies.risk import Criticality, EnvironmentCap, RiskFacts
from trimtab.registry.model import Feature, TrainingTrigger, Version
from trimtab.workflows import intake

ACTOR = system("test")
MODEL = "late-payment"
FACTS = RiskFacts(
    customer_facing=False,
    pii=False,
    sensitive_data=False,
    annual_financial_impact_usd=10_000,
    regulated_domain=False,
    criticality=Criticality.ORDINARY,
    reversible=True,
    environment_cap=EnvironmentCap.NONE,
)


def register(application: Application, features: Sequence[str]) -> None:
    """Register the model over numeric `features`; its label is `late`."""
    intake.register_model(
        application.parts,
        ACTOR,
        name=MODEL,
        owner="Collections",
        description="",
        facts=FACTS,
        features=tuple(Feature(name, "numeric") for name in features),
        label="late",
        policy="",
        reason="a test",
    )


def hand_in(
    application: Application, artifact: bytes, reference: bytes, holdout: bytes, /, **changes: Any
) -> Version:
    """Hand version 1.0.0 in, with `changes` to what is said of it."""
    given = intake.Upload(
        model=MODEL,
        version="1.0.0",
        tenant=None,
        framework="",
        cutoff=0.5,
        training_metrics={},
        training_trigger=TrainingTrigger.MANUAL,
        parent=None,
        lineage={},
        digest=None,
        artifact=BytesIO(artifact),
        reference=BytesIO(reference),
        holdout=BytesIO(holdout),
    )
    return intake.upload(application.parts, ACTOR, replace(given, **changes), reason="a test")
