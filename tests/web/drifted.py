"""Windows in which features did what features do: moved, stood still, came too seldom."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from tests.web.conftest import World, feature

from trimtab.incidents import service as incidents
from trimtab.incidents.model import Incident, Kind, Severity, Signal
from trimtab.kernel.actor import system
from trimtab.kernel.ids import TenantId, WindowId, new_id
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring import store as windows
from trimtab.monitoring.model import Drift, Phase, Window
from trimtab.monitoring.watch import Subject, Watch, WatchMoved, WatchPhase

MODEL = "seat-demand"
WINDOWS = 24
MOVED_FROM = 18
"""The window in which the distance has moved for the first time."""
TOO_FEW = "380 more rows needed"


def drifted(world: World) -> datetime:
    """Days of a model whose distance moves, whose carriers change, and which a tenant asks
    seldom; the start of the first window that moved."""
    begun = world.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    for n in range(WINDOWS):
        start = begun + timedelta(days=n)
        look(world, start, _fleet(n), rows=4000 + 37 * n)
        look(world, start, [scarce("distance_miles")], rows=120, tenant="acme")
    since = begun + timedelta(days=MOVED_FROM)
    watch(world, "distance_miles", since)
    return since


def look(
    world: World,
    start: datetime,
    features: list[dict[str, Any]],
    *,
    rows: int = 1200,
    tenant: str | None = None,
    model: str = MODEL,
) -> Window:
    """A window of one day whose input was looked at."""
    whose = None if tenant is None else TenantId(tenant)
    day = timedelta(days=1)
    window = Window(
        WindowId(new_id("win")), model, whose, start, start + day, Phase.SCHEDULED, None
    )
    moved = any(f["moved"] for f in features)
    verdict = Verdict.FAIL if moved else Verdict.PASS
    said = "a feature has moved" if moved else "no feature has moved"
    if window.end > world.now:
        world.step_to(window.end)
    with world.parts.records.begin(system("watch"), reason="the window is over") as work:
        window = windows.add(work, window, window.scheduled())
        closed, event = window.close(
            Drift(verdict, said, features, "sha256:" + "0" * 64),
            rows=rows,
            at=work.now,
            label_wait=day,
            policy_digest=world.policy_digest_of(work, model),
        )
        return windows.save(work, closed, event)


def watch(world: World, name: str, since: datetime) -> None:
    """What is believed of a feature."""
    with world.parts.records.begin(system("watch"), reason="drift is confirmed") as work:
        seen = Watch(
            new_id("wat"),
            MODEL,
            None,
            Subject.DRIFT,
            name,
            WatchPhase.CONFIRMED,
            3,
            0,
            since,
            since,
            None,
        )
        event = WatchMoved(
            seen.id, None, MODEL, "", "drift", name, "calm", "confirmed", 3, 0, 3, "it moved"
        )
        windows.keep_watch(work, seen, event)


def incident(world: World, since: datetime) -> Incident:
    """The incident that a moved distance opens."""
    signal = Signal(
        sequence=9_001,
        model=MODEL,
        tenant=None,
        kind=Kind.DATA_DRIFT,
        cause_key="drift:distance_miles",
        severity=Severity.HIGH,
        title="distance_miles: drift confirmed in 3 windows in a row.",
        at=world.now,
        feature="distance_miles",
        drift_start=since,
        data={},
    )
    with world.parts.records.begin(system("watch"), reason="drift is confirmed") as work:
        return incidents.open_or_join(work, signal)


def _fleet(n: int) -> list[dict[str, Any]]:
    far = 0.03 + 0.02 * math.sin(n) ** 2 + (0.06 * (n - MOVED_FROM + 3) if n >= MOVED_FROM else 0)
    return [
        votes(feature("distance_miles", far)),
        feature("departure_hour", 0.05 + 0.002 * n),
        category("carrier", 0.02 + 0.003 * (n % 5), new=n >= WINDOWS - 2),
    ]


def votes(found: dict[str, Any], threshold: float = 0.2) -> dict[str, Any]:
    """A feature with the vote that was cast on it."""
    value = found["measures"]["ks_d"]
    said = "beyond its threshold" if found["moved"] else "below its threshold"
    vote = {
        "detector": "ks",
        "group": "distribution",
        "weight": 1.0,
        "value": value,
        "threshold": threshold,
        "alarmed": found["moved"],
        "rows": found["n_current"],
        "reason": said,
    }
    return {**found, "votes": [vote]}


def scarce(name: str) -> dict[str, Any]:
    """A feature that too few rows carried."""
    blank = feature(name, 0.0)
    measures = dict.fromkeys(blank["measures"])
    return {
        **blank,
        "n_current": 120,
        "measures": measures,
        "moved": None,
        "severity": None,
        "insufficient": TOO_FEW,
    }


def category(name: str, mass: float, *, new: bool = False) -> dict[str, Any]:
    """A category; `new` ones that nobody has learnt from are a finding."""
    blank = feature(name, 0.0)
    finding = {
        "finding": "new_category",
        "value": 0.041,
        "limit": 0.01,
        "items": ["XQ", "ZZ"],
        "reason": "4.1% of the rows are in 2 categories never seen before",
    }
    measures = {
        **dict.fromkeys(blank["measures"]),
        "category_mass": mass,
        "psi": mass * 1.2,
        "psi_noise": 0.02,
        "p_adjusted": 0.4,
    }
    return {
        **blank,
        "kind": "category",
        "measures": measures,
        "structural": [finding] if new else [],
    }
