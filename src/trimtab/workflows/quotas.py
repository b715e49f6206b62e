"""How much a tenant may have. The fleet has as much as there is room for.

What is on record is counted after whatever was added, in the same transaction, in which nobody
else adds to the tenant: so the same thing sent twice is never refused, and two that come at once
cannot both be the last.
"""

from __future__ import annotations

from trimtab.audit.work import Reading, Work
from trimtab.identity import store as people
from trimtab.kernel.errors import QuotaExceeded
from trimtab.kernel.ids import TenantId
from trimtab.platform.settings import Settings
from trimtab.registry import store

_GIB = 1 << 30


def demand_people(reading: Reading, settings: Settings, tenant: TenantId | None) -> None:
    """Make sure that a tenant has no more people who may log in than it may have.

    Raises:
        QuotaExceeded: it has.
    """
    if tenant is not None:
        _hold(reading, tenant)
        used = people.count_people(reading, tenant)
        _demand("people", used, settings.quota_people, "disable somebody who has left")


def demand_keys(reading: Reading, settings: Settings, tenant: TenantId | None) -> None:
    """Make sure that a tenant has no more keys that are not revoked than it may have.

    Raises:
        QuotaExceeded: it has.
    """
    if tenant is not None:
        _hold(reading, tenant)
        used = people.count_keys(reading, tenant)
        _demand("keys", used, settings.quota_keys, "revoke a key that nobody uses")


def demand_versions(
    reading: Reading, settings: Settings, tenant: TenantId | None, *, more: int = 0
) -> None:
    """Make sure that a tenant has no more versions, and no more bytes of them, than it may
    have, with `more` versions that are to come.

    Raises:
        QuotaExceeded: it has.
    """
    if tenant is not None:
        _hold(reading, tenant)
        count, size = store.versions_of_tenant(reading, tenant)
        _demand("versions", count + more, settings.quota_versions, _WIDER)
        _demand("bytes of models", size, settings.quota_storage_gib * _GIB, _WIDER)


def _hold(reading: Reading, tenant: TenantId) -> None:
    if isinstance(reading, Work):  # who only looks ahead holds nobody up
        people.hold_tenant(reading, tenant)


_WIDER = "ask somebody of the platform for more"


def _demand(what: str, used: int, limit: int, remedy: str) -> None:
    if used > limit:
        raise QuotaExceeded(
            f"your tenant would have {used} {what}, and may have {limit}",
            field="tenant",
            remedy=remedy,
        )
