from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from trimtab.incidents.model import Kind, Severity, Signal
from trimtab.kernel.ids import TenantId

START = datetime(2015, 3, 1, tzinfo=UTC)


@pytest.fixture
def a_signal() -> Callable[..., Signal]:
    """A signal that distance has drifted, unless asked otherwise."""

    def make(sequence: int = 1, tenant: str | None = None, **changes: Any) -> Signal:
        values: dict[str, Any] = {
            "model": "flights",
            "kind": Kind.DATA_DRIFT,
            "cause_key": "drift:distance_miles",
            "severity": Severity.MEDIUM,
            "title": "distance_miles has moved.",
            "at": START,
            "feature": "distance_miles",
            "data": {"ks_d": 0.31},
            **changes,
        }
        place = None if tenant is None else TenantId(tenant)
        return Signal(sequence=sequence, tenant=place, **values)

    return make
