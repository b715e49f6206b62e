"""Somebody for each role, of a tenant and of the fleet, and every way to have no credential."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from tests.api.neighbours import Street
from tests.web.conftest import PASSWORD

from trimtab.identity import service as identity
from trimtab.identity import sessions, standing
from trimtab.identity.model import Person
from trimtab.identity.passwords import hash_password
from trimtab.identity.roles import ROLES
from trimtab.identity.tokens import Claims
from trimtab.kernel.actor import system
from trimtab.kernel.ids import TenantId
from trimtab.web.session import cookie_name


@dataclass
class Resident:
    """Somebody who may ask the interface with a token, and the pages in a session."""

    name: str
    tenant: TenantId | None
    permissions: frozenset[str] | None
    """None: nobody whom the control plane knows."""
    headers: dict[str, str]
    cookie: tuple[str, str] | None
    csrf: str
    origin: str
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        cookies = {} if self.cookie is None else dict([self.cookie])
        self.client = httpx.Client(
            base_url=self.origin, cookies=cookies, trust_env=False, verify=False, timeout=60
        )

    def ask(
        self,
        method: str,
        address: str,
        *,
        page: bool,
        form: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Ask as this somebody: a page in the session, anything else with the token."""
        said = more.pop("headers", {})
        if page:
            headers = {"Accept": "text/html", "Origin": self.origin, **said}
            data = None if form is None else {**form, "csrf": self.csrf}
            return self.client.request(method, address, headers=headers, data=data, **more)
        # A range, for the versions of this world say that they have more bytes than they do.
        headers = {"Range": "bytes=0-3", **self.headers, **said}
        return self.client.request(method, address, headers=headers, **more)


def resident(street: Street, role: str, tenant: str | None, *, email: str = "") -> Resident:
    """A person who has this role and no other."""
    return with_session(street, person(street, role, tenant, email=email), ROLES[role])


def person(street: Street, role: str, tenant: str | None, *, email: str = "") -> Person:
    """A new person of this role."""
    whose = None if tenant is None else TenantId(tenant)
    with street.world.parts.records.begin(system("test"), reason="a resident") as work:
        return identity.add_person(
            work,
            email=email or f"{role}@{tenant or 'the-fleet'}.example.net",
            name=f"{role} of {tenant or 'the fleet'}",
            roles=(role,),
            password_hash=hash_password(PASSWORD),
            tenant=whose,
        )


def with_session(street: Street, known: Person, permissions: frozenset[str] | None) -> Resident:
    """A token and a session for a person."""
    parts = street.world.parts
    token = identity.token_for(parts.tokens, known)
    at = parts.real_clock.now()
    with parts.records.begin(system("pages"), reason="logged in") as work:
        cookie, csrf = sessions.open_session(work, known, at=at, until=at + timedelta(hours=1))
    return Resident(
        known.name,
        known.tenant,
        permissions,
        {"Authorization": f"Bearer {token}"},
        (cookie_name(parts), cookie),
        csrf,
        street.world.origin,
    )


def strangers(street: Street) -> list[Resident]:
    """Everybody whose credential is none: each had one of everything, or says so."""
    parts = street.world.parts
    gone_for_good = person(street, "admin", None, email="gone@example.net")
    gone = with_session(street, gone_for_good, None)
    with parts.records.begin(system("test"), reason="has left") as work:
        standing.disable_person(work, gone_for_good.id)
    known = person(street, "admin", None, email="stays@example.net")
    with parts.records.begin(system("test"), reason="a key that was") as work:
        account = identity.add_account(
            work,
            name="has been",
            owner=known.id,
            roles=("admin",),
            tenant=None,
        )
        revoked, text = identity.issue_key(work, account)
        expired = identity.issue_key(work, account, lifetime=timedelta(0))[1]
    with parts.records.begin(system("test"), reason="revoked") as work:
        identity.revoke_key(work, revoked.id)
    over = parts.tokens.issue(
        Claims(known.id, known.tenant, known.generation), lifetime=timedelta(seconds=-3600)
    )
    with parts.records.begin(system("pages"), reason="logged in") as work:
        ended, csrf = sessions.open_session(
            work, known, at=parts.real_clock.now(), until=parts.real_clock.now()
        )

    def stranger(name: str, headers: dict[str, str], cookie: str | None = None) -> Resident:
        kept = None if cookie is None else (cookie_name(parts), cookie)
        return Resident(name, None, None, headers, kept, csrf, street.world.origin)

    return [
        stranger("nobody", {}),
        stranger("a forger", {"Authorization": f"Bearer {forged(known.id)}"}, "x" * 43),
        stranger("whose key was revoked", {"X-Api-Key": text}, revoked.id),
        stranger("whose key has expired", {"X-Api-Key": expired}),
        stranger("whose time is over", {"Authorization": f"Bearer {over}"}, ended),
        gone,
    ]


def forged(subject: str) -> str:
    """A token that says whatever a good one says, under a signature that is none."""

    def part(value: dict[str, Any] | bytes) -> str:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    claims = {"sub": subject, "iss": "trimtab", "aud": "trimtab", "iat": 1, "exp": 1 << 40}
    return ".".join((part({"alg": "RS256", "typ": "JWT"}), part(claims), part(b"x" * 256)))
