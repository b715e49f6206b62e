"""A model that is registered, and a version of it as somebody hands it in."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.app import Application
from trimtab.kernel.actor import system
from trimtab.policies.risk import Criticality, EnvironmentCap, RiskFacts
from trimtab.registry.model import Feature, TrainingTrigger, Version
from trimtab.workflows import intake

ACTOR = replace(system("test"), person="per_who_hands_in")
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


NAMES = ("amount", "age_days")


@functools.cache
def good_files() -> tuple[bytes, bytes, bytes]:
    """A model over `NAMES` that is good, what it learnt from, and rows that it has not seen."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    rows = rng.normal(size=(6000, 2)).astype(np.float32)
    late = (3 * rows[:, 0] + rng.normal(size=6000) * 0.05 > 0).astype(int)
    model = LogisticRegression(C=100).fit(rows[:2000], late[:2000])
    onnx = to_onnx(model, rows[:1], options={"zipmap": False}, target_opset=18)
    parts = (rows[:2000], late[:2000]), (rows[2000:], late[2000:])
    reference, holdout = (_parquet(*part) for part in parts)
    return onnx.SerializeToString(), reference, holdout


def _parquet(rows: np.ndarray, late: np.ndarray) -> bytes:
    sink = BytesIO()
    columns = {name: rows[:, i] for i, name in enumerate(NAMES)}
    pq.write_table(pa.table({**columns, "late": late}), sink)
    return sink.getvalue()


def register(
    application: Application, features: Sequence[str], *, facts: RiskFacts = FACTS, policy: str = ""
) -> None:
    """Register the model over numeric `features`; its label is `late`."""
    intake.register_model(
        application.parts,
        ACTOR,
        name=MODEL,
        owner="Collections",
        description="",
        facts=facts,
        features=tuple(Feature(name, "numeric") for name in features),
        label="late",
        policy=policy,
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
