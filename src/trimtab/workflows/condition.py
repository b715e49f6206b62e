"""How the parts are that this process depends on, for `/health` and `/metrics`."""

from __future__ import annotations

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


def _jobs(parts: Parts) -> str:
    try:
        parts.engine.idle()
    except Unavailable:
        return "stopped"
    return "running"
