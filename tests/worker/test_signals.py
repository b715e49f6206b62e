"""Signals of one moment become incidents in the order of the ledger, in every run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.databases import database_for
from tests.patience import PATIENCE_SECONDS
from tests.registering import registered

from trimtab.app import Application
from trimtab.incidents import store as incidents
from trimtab.incidents.model import Phase
from trimtab.kernel.actor import system
from trimtab.kernel.events import Note
from trimtab.kernel.ids import TenantId
from trimtab.monitoring.watch import DriftConfirmed
from trimtab.platform.settings import Settings

pytestmark = pytest.mark.slow

START = datetime(2015, 3, 1, tzinfo=UTC)
MODELS = [f"m{number}" for number in range(6)]
TENANTS = [TenantId(name) for name in ("aa", "dl", "ev", "oo", "ua", "us", "wn")]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Application]:
    settings: dict[str, Any] = {
        "TRIMTAB_HOME": tmp_path / "home",
        **database_for(tmp_path / "home"),
        "TRIMTAB_CLOCK": f"stepped:{START.isoformat()}",
    }
    application = Application(Settings(**settings))
    application.start()
    with application.parts.records.begin(system("test"), reason="models") as work:
        for name in MODELS:
            registered(work, name, tier=2, policy="")
    yield application
    application.stop(PATIENCE_SECONDS)


def drift(model: str, tenant: TenantId | None, feature: str) -> Note:
    """What the watch enters with a window, which there is not here."""
    confirmed = DriftConfirmed(
        subject=f"watch of {feature}",
        tenant=tenant,
        model=model,
        window="",
        feature=feature,
        drift_type="distribution",
        finding="drift",
        direction=None,
        values={},
        thresholds={},
        votes=[],
        severity="high",
        items=[],
        reason="a test",
        consecutive=2,
        since=START - timedelta(days=2),
    )
    return cast(Note, confirmed)


def test_the_signal_that_was_written_first_opens_the_incident(house: Application) -> None:
    """The fleet's comes first: what its tenants say after it joins, and opens nothing."""
    for model in MODELS:
        with house.parts.records.begin(system("watch"), reason="a window") as work:
            for feature in ("longitude", "latitude"):
                work.record(drift(model, None, feature))
            for tenant in TENANTS:
                work.record(drift(model, tenant, "longitude"))
    assert house.loop.settle(PATIENCE_SECONDS)
    with house.parts.records.look() as reading:
        found = incidents.listed(reading)
    opened = [(i.model, i.tenant, i.feature, i.signals, i.phase) for i in reversed(found)]
    everything = 2 + len(TENANTS)
    assert opened == [(m, None, "longitude", everything, Phase.OPEN) for m in MODELS]
