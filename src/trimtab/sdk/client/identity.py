"""Tenants, people, service accounts and their keys."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun, read


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

    def disable_tenant(self, tenant: str, *, reason: str) -> None:
        """Let nobody act any more who belongs to a tenant."""
        self._say(f"/api/v1/tenants/{tenant}/disable", reason)

    def enable_tenant(self, tenant: str, *, reason: str) -> None:
        """Let who belongs to a tenant act again."""
        self._say(f"/api/v1/tenants/{tenant}/enable", reason)

    def people(self) -> Iterator[shapes.PersonShape]:
        """All people."""
        return self._wire.pages("/api/v1/people", shapes.PersonShape)

    def add_person(self, person: shapes.NewPerson) -> shapes.PersonShape:
        """Add a person; where no tenant is named, of whoever adds them."""
        body = person.model_dump(exclude_unset=True)
        return self._wire.post("/api/v1/people", body, shapes.PersonShape)

    def change_roles(self, person: str, roles: shapes.NewRoles) -> shapes.PersonShape:
        """Let a person hold these roles instead of those they hold."""
        body = roles.model_dump(mode="json", exclude_unset=True)
        answer = self._wire.send("PUT", f"/api/v1/people/{person}/roles", json_body=body)
        return read(shapes.PersonShape, answer)

    def disable_person(self, person: str, *, reason: str) -> None:
        """Let a person log in no more; their sessions and tokens end for good."""
        self._say(f"/api/v1/people/{person}/disable", reason)

    def enable_person(self, person: str, *, reason: str) -> None:
        """Let a person who was disabled log in again."""
        self._say(f"/api/v1/people/{person}/enable", reason)

    def reset_password(self, person: str, fresh: shapes.PasswordReset) -> None:
        """Give a person another password; their sessions and tokens end."""
        body = fresh.model_dump()
        self._wire.send("PUT", f"/api/v1/people/{person}/password", json_body=body)

    def end_credentials(self, person: str, *, reason: str) -> None:
        """End all sessions and tokens of a person, who may log in again."""
        self._say(f"/api/v1/people/{person}/end-credentials", reason)

    def add_account(self, account: shapes.NewAccount) -> shapes.IssuedKey:
        """Add a service account and get its key, shown this once; where no tenant is named, of
        whoever adds it."""
        body = account.model_dump(exclude_unset=True)
        return self._wire.post("/api/v1/service-accounts", body, shapes.IssuedKey)

    def disable_account(self, account: str, *, reason: str) -> None:
        """Let a program act no more."""
        self._say(f"/api/v1/service-accounts/{account}/disable", reason)

    def enable_account(self, account: str, *, reason: str) -> None:
        """Let a program that was disabled act again."""
        self._say(f"/api/v1/service-accounts/{account}/enable", reason)

    def _say(self, path: str, reason: str) -> None:
        self._wire.send("POST", path, json_body={"reason": reason})


class Credentials(Noun):
    """Keys, tokens and passwords."""

    def keys(self, account: str | None = None) -> Iterator[shapes.KeyShape]:
        """Keys with their last use, in the order in which they were issued."""
        return self._wire.pages("/api/v1/keys", shapes.KeyShape, account=account)

    def issue_key(self, account: str, key: shapes.NewKey) -> shapes.IssuedKey:
        """A further key of an account, whose text is shown this once."""
        body = key.model_dump(exclude_unset=True)
        return self._wire.post(f"/api/v1/service-accounts/{account}/keys", body, shapes.IssuedKey)

    def revoke_key(self, key: str) -> None:
        """Make a key useless, with all tokens that were got for it."""
        self._wire.send("DELETE", f"/api/v1/keys/{key}")

    def exchange(self, scopes: list[str] | None = None) -> shapes.TokenShape:
        """A short-lived token for the key of this client, with its scopes or fewer."""
        return self._wire.post("/api/v1/tokens/exchange", {"scopes": scopes}, shapes.TokenShape)

    def change_password(self, change: shapes.PasswordChange) -> shapes.TokenShape:
        """Another password of one's own; the answer is a fresh token."""
        return self._wire.post("/api/v1/password", change.model_dump(), shapes.TokenShape)

    def rotate_token_key(self, rotation: shapes.TokenKeyRotation) -> shapes.TokenKeyShape:
        """Sign tokens with a new key pair."""
        return self._wire.post("/api/v1/token-keys", rotation.model_dump(), shapes.TokenKeyShape)

    def key_set(self) -> shapes.KeySetShape:
        """The public keys that tokens are verified with."""
        return self._wire.get("/.well-known/jwks.json", shapes.KeySetShape)
