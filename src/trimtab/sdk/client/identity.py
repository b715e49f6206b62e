"""Tenants, people, service accounts and their keys."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun


class Identity(Noun):
    """Tenants, people, service accounts."""

    def log_in(self, email: str, password: str) -> str:
        """A bearer token."""
        body = {"email": email, "password": password}
        return self._wire.post("/api/v1/tokens", body, shapes.TokenShape).access_token

    def add_tenant(self, tenant: shapes.NewTenant) -> shapes.TenantShape:
        """Add a tenant."""
        return self._wire.post("/api/v1/tenants", tenant.model_dump(), shapes.TenantShape)

    def tenants(self) -> Iterator[shapes.TenantShape]:
        """All tenants; a tenant's credential sees its own."""
        return self._wire.pages("/api/v1/tenants", shapes.TenantShape)

    def revoke_key(self, key: str) -> None:
        """Make a key useless."""
        self._wire.send("DELETE", f"/api/v1/keys/{key}")

    def people(self) -> Iterator[shapes.PersonShape]:
        """All people."""
        return self._wire.pages("/api/v1/people", shapes.PersonShape)

    def add_person(self, person: shapes.NewPerson) -> shapes.PersonShape:
        """Add a person; where no tenant is named, of whoever adds them."""
        body = person.model_dump(exclude_unset=True)
        return self._wire.post("/api/v1/people", body, shapes.PersonShape)

    def add_account(self, account: shapes.NewAccount) -> shapes.IssuedKey:
        """Add a service account and get its key, shown this once; where no tenant is named, of
        whoever adds it."""
        body = account.model_dump(exclude_unset=True)
        return self._wire.post("/api/v1/service-accounts", body, shapes.IssuedKey)
