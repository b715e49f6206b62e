"""What a client may send is refused before it is sent, where it could not be kept."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trimtab.sdk import shapes


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["cutoff", "training_metrics", "lineage"])
def test_a_version_has_finite_numbers_only(field: str, number: float) -> None:
    sent: dict[str, Any] = {"version": "1.0.0", "cutoff": 0.5, "reason": "a test"}
    sent[field] = number if field == "cutoff" else {"value": number}
    with pytest.raises(ValidationError) as refused:
        shapes.NewVersion(**sent)
    assert refused.value.errors()[0]["loc"][0] == field


def test_a_model_has_a_finite_impact_only() -> None:
    with pytest.raises(ValidationError):
        shapes.RiskFactsShape(annual_financial_impact_usd=float("inf"))
