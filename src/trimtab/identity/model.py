"""Tenants, people, service accounts and keys: what they are, and what happens to them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from trimtab.identity.roles import Role, grants_of, permissions_of
from trimtab.kernel.actor import Actor, ActorKind
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.events import Event
from trimtab.kernel.ids import PersonId, TenantId, new_id

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
_KEY = re.compile(r"(ak_[0-9a-z]{16})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Tenant:
    """An organisation whose data and dedicated models nobody else sees."""

    id: TenantId
    name: str
    created_at: datetime
    disabled: bool = False
    revision: int = 0


@dataclass(frozen=True)
class Person:
    """A human being. `tenant` None is somebody of the platform itself.

    `generation` counts how often all their sessions and tokens were ended at once: each of
    these carries the generation that it was given in, and is of no use in the next.
    """

    id: PersonId
    email: str
    name: str
    tenant: TenantId | None
    roles: tuple[Role, ...]
    password_hash: str
    disabled: bool
    created_at: datetime
    generation: int = 0
    revision: int = 0

    def actor(self) -> Actor:
        """This person as somebody who acts."""
        return Actor(
            self.id,
            ActorKind.PERSON,
            self.tenant,
            permissions_of(self.roles),
            self.name,
            self.id,
            grants_of(self.roles),
        )


@dataclass(frozen=True)
class ServiceAccount:
    """A program that acts for itself, owned by a person who answers for it."""

    id: str
    name: str
    owner: PersonId
    tenant: TenantId | None
    roles: tuple[Role, ...]
    disabled: bool
    created_at: datetime
    revision: int = 0

    def actor(self, scopes: frozenset[str] | None = None) -> Actor:
        """This account as somebody who acts: within `scopes`, or with all it may do."""
        whole = Actor(
            self.id,
            ActorKind.SERVICE,
            self.tenant,
            permissions_of(self.roles),
            self.name,
            self.owner,
            grants_of(self.roles),
        )
        return whole if scopes is None else whole.within(scopes)


@dataclass(frozen=True)
class ApiKey:
    """A credential of a service account. Only the SHA-256 of its secret is kept: the secret
    has 256 random bits, so there is nothing to guess and nothing to slow down.

    `wrapped` is what verifies signatures made with it, under a key that the database does not
    hold; None where it was issued without.
    """

    id: str
    account: str
    tenant: TenantId | None
    scopes: tuple[str, ...]
    sha256: str
    default_model: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None
    wrapped: str | None = None
    revision: int = 0

    def fits(self, secret: str) -> bool:
        """Whether `secret` is this key's, compared in constant time."""
        return hmac.compare_digest(secret_digest(secret), self.sha256)

    def usable(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired at `now`."""
        expired = self.expires_at is not None and now >= self.expires_at
        return self.revoked_at is None and not expired

    def revoke(self, at: datetime) -> tuple[ApiKey, KeyRevoked]:
        """The key, of no use any more."""
        event = KeyRevoked(subject=self.id, tenant=self.tenant, account=self.account)
        return replace(self, revoked_at=self.revoked_at or at), event


@dataclass(frozen=True)
class TenantCreated(Event):
    """A tenant came to be."""

    kind: ClassVar[str] = "tenant.created"

    name: str


@dataclass(frozen=True)
class PersonAdded(Event):
    """A person may log in from now on, in these roles: names, or roles with conditions."""

    kind: ClassVar[str] = "person.added"

    name: str
    roles: list[Any]


@dataclass(frozen=True)
class RolesChanged(Event):
    """A person holds other roles from now on: names, or roles with conditions."""

    kind: ClassVar[str] = "person.roles_changed"

    name: str
    before: list[Any]
    after: list[Any]


@dataclass(frozen=True)
class ServiceAccountAdded(Event):
    """A program may act from now on, in these roles: names, or roles with conditions."""

    kind: ClassVar[str] = "service_account.added"

    name: str
    owner: str
    roles: list[Any]


@dataclass(frozen=True)
class KeyIssued(Event):
    """A key was given out; its secret was shown once and is not kept."""

    kind: ClassVar[str] = "api_key.issued"

    account: str
    scopes: list[str]
    expires_at: datetime | None


@dataclass(frozen=True)
class KeyRevoked(Event):
    """A key is of no use any more."""

    kind: ClassVar[str] = "api_key.revoked"

    account: str


def new_key() -> tuple[str, str, str]:
    """A fresh key: its public id, the whole text to show once, the digest to keep."""
    key_id, secret = new_id("ak"), secrets.token_urlsafe(32)
    return key_id, f"{key_id}.{secret}", secret_digest(secret)


def split_key(text: str) -> tuple[str, str] | None:
    """Public id and secret of a key's text, or None if it is not the text of a key."""
    match = _KEY.fullmatch(text)
    return None if match is None else (match[1], match[2])


def secret_digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def checked_tenant(slug: str, *, field: str = "tenant") -> TenantId:
    """`slug` as the id of a tenant.

    Raises:
        InvalidInput: it cannot be one.
    """
    if not _SLUG.fullmatch(slug):
        raise InvalidInput(
            f"{ascii(slug)[:80]} cannot be a tenant",
            field=field,
            remedy="use lower-case letters, digits and hyphens, 63 at most",
        )
    return TenantId(slug)


def checked_email(text: str) -> str:
    """`text` as the address that a person logs in with, in lower case.

    Raises:
        InvalidInput: it cannot be one.
    """
    if not _EMAIL.fullmatch(text):
        raise InvalidInput(f"{ascii(text)[:80]} is not an e-mail address", field="email")
    return text.lower()
