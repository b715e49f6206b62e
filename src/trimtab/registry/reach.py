"""Whom a version reaches."""

from __future__ import annotations

from trimtab.audit.work import Reading
from trimtab.kernel.ids import TenantId
from trimtab.registry import deployment_store
from trimtab.registry.model import Version
from trimtab.registry.service import rollback_target


def deployed_to(
    reading: Reading, version: Version, tenant: TenantId | None, environment: str
) -> bool:
    """Whether a version carries traffic of `tenant` here, or is where a rollback would go.

    What is for everybody is for each tenant; a tenant's own is for nobody else, the fleet's
    own endpoints included.
    """
    known = (version.version, version.digest)
    for place in dict.fromkeys((tenant, None)):
        back = rollback_target(reading, version.model, place, environment)
        if back is not None and (back.version, back.digest) == known:
            return True
    placed = deployment_store.carrying(reading, environment, model=version.model)
    return any((d.version, d.digest) == known and d.tenant in (tenant, None) for d in placed)
