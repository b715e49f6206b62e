"""How the parts are that this process depends on, for `/health` and `/metrics`."""

from __future__ import annotations

from collections import Counter

from trimtab.inventory import connection_store
from trimtab.inventory.model import Health
from trimtab.kernel.errors import Unavailable
from trimtab.platform import executors
from trimtab.workflows.jobs import Role
from trimtab.workflows.parts import Parts

NOT_CONFIGURED = "not configured"
GOOD = frozenset({"connected", "accessible", "running", "recorded", "attended"})


def components(parts: Parts) -> dict[str, str]:
    """What each part says of itself; whatever is not in `GOOD` does not answer."""
    bucket = parts.blobs.bucket
    return {
        **({} if bucket is None else {"s3": bucket}),
        "database": parts.records.database.state(),
        "artifacts": "accessible" if parts.blobs.unhealthy is None else "failing",
        "jobs": _jobs(parts),
        "roles": _roles(parts),
        "refusals": "recorded" if parts.refusals.failing is None else "failing",
    }


def registries(parts: Parts) -> str:
    """How reading other registries goes, at worst. It is no part that this process depends on:
    what a registry does not answer is on record as it was."""
    try:
        with parts.records.look() as reading:
            read = [c.health for c in connection_store.every(reading) if not c.paused]
    except Unavailable:
        return "unknown"
    for health in (Health.FAILING, Health.LAGGING):
        if count := read.count(health):
            return f"{health.value}: {count} of {len(read)}"
    return "connected" if read else NOT_CONFIGURED


def _roles(parts: Parts) -> str:
    """Whether each role has a process that is alive; this one's own on SQLite has them all."""
    if parts.records.database.is_sqlite:
        return "attended"
    try:
        with parts.records.look() as reading:
            found = executors.living(reading.connection)
    except Unavailable:
        return "unknown"
    nobody = [role for role in Role if not any(role in one.roles for one in found)]
    return "nobody does " + ", ".join(nobody) if nobody else "attended"


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
