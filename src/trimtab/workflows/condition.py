"""How the parts are that this process depends on, for `/health` and `/metrics`."""

from __future__ import annotations

from collections import Counter

from trimtab.kernel.errors import Unavailable
from trimtab.workflows.parts import Parts

GOOD = frozenset({"connected", "accessible", "running", "recorded"})


def components(parts: Parts) -> dict[str, str]:
    """What each part says of itself; whatever is not in `GOOD` does not answer."""
    return {
        "database": parts.records.database.state(),
        "artifacts": "accessible" if parts.blobs.unhealthy is None else "failing",
        "jobs": _jobs(parts),
        "refusals": "recorded" if parts.refusals.failing is None else "failing",
    }


def set_aside(parts: Parts) -> Counter[str]:
    """Jobs that failed for good, by name; none where the engine does not answer, which
    `components` says."""
    try:
        return Counter(job.name for job in parts.engine.failed())
    except Unavailable:
        return Counter()


def _jobs(parts: Parts) -> str:
    try:
        parts.engine.idle()
    except Unavailable:
        return "stopped"
    return "running"
