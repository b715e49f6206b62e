"""Rights on a condition: a role that holds for some things only, and what is acted on."""

from __future__ import annotations

from dataclasses import dataclass, fields

from trimtab.kernel.ids import TenantId


@dataclass(frozen=True)
class Subject:
    """What somebody wants to act on. None is what is not known or what it does not have, and
    what is not known fulfils no condition.

    `traffic_percent` is the greatest share of the traffic that the act may lead to; what only
    takes traffic away has 0. `status` is the lifecycle of the version that it is about.
    """

    tier: int | None = None
    tenant: TenantId | None = None
    environment: str | None = None
    traffic_percent: float | None = None
    status: str | None = None


@dataclass(frozen=True)
class Conditions:
    """What a role is limited to; None is no limit. All that are set must be fulfilled."""

    tiers: tuple[int, ...] | None = None
    statuses: tuple[str, ...] | None = None
    tenants: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None
    max_traffic_percent: float | None = None

    def admit(self, about: Subject) -> bool:
        """Whether `about` fulfils each of them."""
        share = about.traffic_percent
        return (
            (self.tiers is None or about.tier in self.tiers)
            and (self.statuses is None or about.status in self.statuses)
            and (self.environments is None or about.environment in self.environments)
            and self.admit_tenant(about.tenant)
            and (
                self.max_traffic_percent is None
                or (share is not None and share <= self.max_traffic_percent)
            )
        )

    def admit_tenant(self, tenant: TenantId | None) -> bool:
        """Whether the role holds at all for whoever acts for `tenant`."""
        return self.tenants is None or tenant in self.tenants

    def __str__(self) -> str:
        """The conditions in words, as a refusal names them."""
        parts = []
        if self.tiers is not None:
            parts.append("tiers " + ", ".join(map(str, self.tiers)))
        if self.statuses is not None:
            parts.append("versions that are " + " or ".join(self.statuses))
        if self.tenants is not None:
            parts.append("the tenants " + ", ".join(self.tenants))
        if self.environments is not None:
            parts.append("the environments " + ", ".join(self.environments))
        if self.max_traffic_percent is not None:
            parts.append(f"at most {self.max_traffic_percent:g} % of the traffic")
        return "; ".join(parts) or "everything"

    @property
    def any(self) -> bool:
        """Whether there is any condition at all."""
        return any(getattr(self, f.name) is not None for f in fields(self))


@dataclass(frozen=True)
class Grant:
    """What a role allows somebody on conditions."""

    role: str
    permissions: frozenset[str]
    conditions: Conditions
