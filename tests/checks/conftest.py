"""A tiny real model, its holdout, and both as somebody would hand them in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trimtab.artifacts.binding import FILE_NAME, Binding
from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.signing import ArtifactSigner
from trimtab.artifacts.verifying import MODEL_FILE, Expected, Trust
from trimtab.kernel.ids import Digest
from trimtab.policies.admission import ChildLimits, PerformanceDemands
from trimtab.policies.loader import load_preset

FEATURES = ("distance", "wind", "hour", "delay")


@dataclass(frozen=True)
class Trained:
    """ONNX bytes and a labelled holdout that the model has not seen."""

    onnx: bytes
    holdout: dict[str, Any]
    scores: Any


@pytest.fixture(scope="session")
def trained() -> Trained:
    """Logistic regression over one float tensor [N, 4], good but not perfect."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    rows = rng.normal(size=(6000, 4)).astype(np.float32)
    late = (2 * rows[:, 1] + 2 * rows[:, 3] + 0.4 * rng.normal(size=6000) > 1).astype(np.int64)
    model = LogisticRegression().fit(rows[:2000], late[:2000])
    exported = to_onnx(model, rows[:1], options={"zipmap": False}, target_opset=18)
    holdout: dict[str, Any] = {
        name: rows[2000:, i].astype(np.float64) for i, name in enumerate(FEATURES)
    }
    holdout["late"] = late[2000:]
    return Trained(exported.SerializeToString(), holdout, model.predict_proba(rows[2000:])[:, 1])


@dataclass(frozen=True)
class Handed:
    """Files on disk, their signature, and what they are supposed to be."""

    model: Path
    data: Path
    digest: Digest
    files: dict[str, Path | bytes]
    bundle: bytes
    trust: Trust
    expected: Expected
    signer: ArtifactSigner

    def signed_for(self, **changes: Any) -> tuple[dict[str, Path | bytes], bytes]:
        """The same model, rightly signed, but about something else."""
        binding = replace(Binding("delays", "1.0.0", None, self.digest), **changes)
        bundle = self.signer.sign(self.model, binding)
        return {MODEL_FILE: self.model, FILE_NAME: binding.to_bytes()}, bundle


@pytest.fixture
def handed(trained: Trained, tmp_path: Path) -> Handed:
    model, data = tmp_path / "model.onnx", tmp_path / "holdout.parquet"
    model.write_bytes(trained.onnx)
    pq.write_table(pa.table(trained.holdout), data)
    digest = sha256_of(trained.onnx)
    signer = ArtifactSigner(tmp_path / "key.pem", max_metadata_bytes=1 << 20)
    binding = Binding("delays", "1.0.0", None, digest)
    return Handed(
        model=model,
        data=data,
        digest=digest,
        files={MODEL_FILE: model, FILE_NAME: binding.to_bytes()},
        bundle=signer.sign(model, binding),
        trust=Trust({signer.key_id: signer.public_key}),
        expected=Expected("delays", "1.0.0", None, digest),
        signer=signer,
    )


@pytest.fixture
def limits() -> ChildLimits:
    return load_preset("standard").tier(4).checks.child


@pytest.fixture
def demands() -> PerformanceDemands:
    return load_preset("standard").tier(4).checks.performance
