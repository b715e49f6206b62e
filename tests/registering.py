"""Models and versions as they stand in the registry, for tests that are about something else."""

from __future__ import annotations

from typing import Any

from trimtab.audit.work import Work
from trimtab.kernel.ids import Digest
from trimtab.registry import service
from trimtab.registry.model import Model, TrainingTrigger
from trimtab.registry.registration import Registration

GRAPH: dict[str, Any] = {
    "inputs": [{"name": "X", "elem_type": "float", "dims": [None, 2]}],
    "outputs": [{"name": "probabilities", "elem_type": "float", "dims": [None, 2]}],
    "architecture": "sha256:" + "5" * 64,
    "trees": 60,
}
"""What inspection says of every training of one recipe."""


def registered(work: Work, name: str, **changes: Any) -> Model:
    """A registered model, by default of the third tier and without features."""
    facts: dict[str, Any] = {
        "owner": "Ann",
        "description": "",
        "risk_facts": {},
        "tier": 3,
        "risk_level": "medium",
        "risk_reasons": [],
        "policy": "standard",
        "features": (),
        "label": "late",
    }
    return service.register_model(work, name=name, **(facts | changes))


def registration(model: str, version: str, digest: Digest, **changes: Any) -> Registration:
    """What registers a version; where nothing else is said, `digest` stands for each file."""
    facts: dict[str, Any] = {
        "tenant": None,
        "size_bytes": 1,
        "framework": "onnx",
        "cutoff": 0.5,
        "training_metrics": {},
        "training_trigger": TrainingTrigger.MANUAL,
        "parent": None,
        "reference_digest": digest,
        "reference_rows": 1,
        "holdout_digest": digest,
        "lineage": {},
        "binding": "",
        "signature": "",
        "signer": "",
        "inspection": {"result": "clean", "onnx": GRAPH},
        "contributors": (),
    }
    return Registration(model=model, version=version, digest=digest, **(facts | changes))
