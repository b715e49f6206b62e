"""Real models, made once for the whole folder from tiny scikit-learn pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Trained:
    """A model in ONNX, rows to score, and what scikit-learn itself says of them."""

    onnx: bytes
    columns: dict[str, Any]
    probabilities: Any


@pytest.fixture(scope="session")
def numeric() -> Trained:
    """Logistic regression over one float tensor `X` of shape [N, 4]."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    rows = rng.normal(size=(200, 4)).astype(np.float32)
    outcome = (rows[:, 0] - rows[:, 2] + rng.normal(size=200) > 0).astype(np.int64)
    model = LogisticRegression().fit(rows, outcome)
    exported = to_onnx(model, rows[:1], options={"zipmap": False}, target_opset=18)
    columns = {name: rows[:, i].astype(np.float64) for i, name in enumerate("abcd")}
    return Trained(exported.SerializeToString(), columns, model.predict_proba(rows)[:, 1])


@pytest.fixture(scope="session")
def mixed() -> Trained:
    """A pipeline over one input per column: two floats and a text, scaled and one-hot."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rng = np.random.default_rng(8)
    columns = {
        "amount": rng.gamma(2.0, 50.0, 300),
        "age": rng.integers(18, 90, 300).astype(np.float64),
        "country": rng.choice(["DE", "FR", "IT"], 300).astype(object),
    }
    table = np.column_stack(list(columns.values()))
    outcome = ((columns["amount"] > 90) ^ (columns["country"] == "IT")).astype(int)
    steps = ColumnTransformer(
        [
            ("numbers", StandardScaler(), [0, 1]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), [2]),
        ]
    )
    model = Pipeline([("prepare", steps), ("classify", LogisticRegression())]).fit(table, outcome)
    inputs = [
        ("amount", FloatTensorType([None, 1])),
        ("age", FloatTensorType([None, 1])),
        ("country", StringTensorType([None, 1])),
    ]
    exported = to_onnx(model, initial_types=inputs, options={"zipmap": False}, target_opset=18)
    return Trained(exported.SerializeToString(), columns, model.predict_proba(table)[:, 1])


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """A path that comes into being only if somebody runs what a test file carries."""
    return tmp_path / "somebody-ran-it"
