"""The verbs of identity: add, issue, revoke, and turn a credential into an actor."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from trimtab.audit.work import Reading, Records, Work
from trimtab.identity import passwords, store
from trimtab.identity.assigning import checked_roles, demand_not_last
from trimtab.identity.model import (
    ApiKey,
    KeyIssued,
    LoggedIn,
    Person,
    PersonAdded,
    PersonDisabled,
    ServiceAccount,
    ServiceAccountAdded,
    Tenant,
    TenantCreated,
    checked_email,
    checked_tenant,
    new_key,
    secret_digest,
    split_key,
)
from trimtab.identity.reach import demand_fleet, demand_own, owns
from trimtab.identity.roles import Role, grants_of, permissions_of, plain_roles
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import InvalidInput, NotAuthenticated, NotFound, NotPermitted
from trimtab.kernel.ids import PersonId, TenantId, new_id

TOKEN_LIFETIME = timedelta(minutes=30)
"""How long a bearer token lasts, in real time."""

_REFUSED = "this credential is not known, or is of no use any more"


def create_tenant(work: Work, slug: str, name: str) -> Tenant:
    """Add a tenant.

    Raises:
        NotPermitted: whoever acts for one tenant adds no other.
        InvalidInput: the slug cannot be one.
        Conflict: it is taken.
    """
    demand_fleet(work.actor)
    tenant = Tenant(checked_tenant(slug), name, work.now)
    store.add(work, tenant, TenantCreated(subject=slug, tenant=tenant.id, name=name))
    return tenant


def add_person(
    work: Work,
    *,
    email: str,
    name: str,
    roles: tuple[Role, ...],
    password: str,
    tenant: TenantId | None = None,
) -> Person:
    """Add a person who may log in.

    Raises:
        NotPermitted: it is not the tenant of whoever adds them.
        InvalidInput: address, roles or password cannot be taken.
        NotFound: there is no such tenant.
        Conflict: the address is taken.
    """
    demand_own(work.actor, tenant)
    demand_tenant(work, tenant)
    person = Person(
        id=PersonId(new_id("usr")),
        email=checked_email(email),
        name=name,
        tenant=tenant,
        roles=tuple(checked_roles(work, roles, tenant)),
        password_hash=passwords.hash_password(password),
        disabled=False,
        created_at=work.now,
    )
    given = plain_roles(person.roles)
    event = PersonAdded(subject=person.id, tenant=tenant, name=name, roles=given)
    store.add(work, person, event)
    return person


def disable_person(work: Work, person_id: str) -> None:
    """Let a person log in no more; sessions and tokens end with it.

    Raises:
        NotFound: there is no such person, or it is another tenant's.
        Conflict: it is the last administrator of the platform.
    """
    person = _person_of(work, person_id)
    if not person.disabled:
        gone = replace(person, disabled=True)
        demand_not_last(work, person, gone)
        event = PersonDisabled(subject=person.id, tenant=person.tenant, name=person.name)
        store.save(work, gone, event)


def add_account(
    work: Work, *, name: str, owner: PersonId, roles: tuple[Role, ...], tenant: TenantId | None
) -> ServiceAccount:
    """Add a service account that `owner` answers for.

    Raises:
        NotPermitted: it is not the tenant of whoever adds it.
        InvalidInput, NotFound, Conflict: roles, tenant, owner or name cannot be taken.
    """
    demand_own(work.actor, tenant)
    demand_tenant(work, tenant)
    if owner != work.actor.person:  # quorums count the person behind it, who so has to be one
        _person_of(work, owner, field="owner")
    account = ServiceAccount(
        id=new_id("svc"),
        name=name,
        owner=owner,
        tenant=tenant,
        roles=tuple(checked_roles(work, roles, tenant)),
        disabled=False,
        created_at=work.now,
    )
    event = ServiceAccountAdded(
        subject=account.id,
        tenant=tenant,
        name=name,
        owner=owner,
        roles=plain_roles(account.roles),
    )
    store.add(work, account, event)
    return account


def issue_key(
    work: Work,
    account: ServiceAccount,
    *,
    scopes: tuple[str, ...] | None = None,
    default_model: str | None = None,
    lifetime: timedelta | None = None,
) -> tuple[ApiKey, str]:
    """Give out a key; the second value is its text, shown this once.

    Args:
        scopes: What the key may do, at most what the account may; None for all of that.
        default_model: The model that is meant where a request names none.
        lifetime: Until it expires; None for no end.

    Raises:
        NotFound: the account is another tenant's.
        InvalidInput: a scope that the account itself does not have.
    """
    if not owns(work.actor, account.tenant):
        raise NotFound("there is no such service account", field="account")
    own = permissions_of(account.roles).union(*(g.permissions for g in grants_of(account.roles)))
    wanted = own if scopes is None else frozenset(scopes)
    if wanted - own:
        raise InvalidInput(
            f"the account may not do {', '.join(sorted(wanted - own))} itself", field="scopes"
        )
    key_id, text, digest = new_key()
    key = ApiKey(
        id=key_id,
        account=account.id,
        tenant=account.tenant,
        scopes=tuple(sorted(wanted)),
        sha256=digest,
        default_model=default_model,
        created_at=work.now,
        expires_at=None if lifetime is None else work.now + lifetime,
    )
    event = KeyIssued(
        subject=key.id,
        tenant=key.tenant,
        account=account.id,
        scopes=list(key.scopes),
        expires_at=key.expires_at,
    )
    store.add(work, key, event)
    return key, text


def revoke_key(work: Work, key_id: str) -> None:
    """Make a key useless.

    Raises:
        NotFound: there is no such key, or it is another tenant's.
    """
    key = store.key(work, key_id)
    if key is None or not owns(work.actor, key.tenant):
        raise NotFound("there is no such key", field="key")
    if key.revoked_at is None:
        revoked, event = key.revoke(work.now)
        store.save(work, revoked, event)


def authenticate_key(reading: Reading, text: str) -> Actor:
    """Whom a key speaks for.

    Raises:
        NotAuthenticated: it is not the text of a key that can be used; always the same
            words, whatever the reason.
    """
    parts = split_key(text)
    key = store.key(reading, parts[0]) if parts else None
    if parts is None or key is None or not key.fits(parts[1]) or not key.usable(reading.now):
        raise NotAuthenticated(_REFUSED)
    account = store.account(reading, key.account)
    if account is None or account.disabled:
        raise NotAuthenticated(_REFUSED)
    return account.actor(frozenset(key.scopes))


def authenticate_password(records: Records, email: str, password: str) -> Person:
    """The person whom an address and a password belong to.

    Hashing takes a tenth of a second on purpose. It is done between transactions: whoever
    guesses passwords must not hold up those who work.

    Raises:
        NotAuthenticated: they do not belong to somebody who may log in.
    """
    with records.look() as reading:
        person = store.person_by_email(reading, email)
    known = None if person is None or person.disabled else person.password_hash
    if not passwords.fits(known, password) or person is None:
        raise NotAuthenticated("address and password do not fit", field="email")
    return person


def open_session(work: Work, person: Person, *, until: datetime) -> tuple[str, str]:
    """Open a session at the pages for somebody whose password was right just now; return its
    token and the token for its forms.

    Raises:
        NotAuthenticated: the person was disabled, or has another password, since.
    """
    present = store.person(work, person.id)
    if present.disabled or present.password_hash != person.password_hash:
        raise NotAuthenticated("address and password do not fit", field="email")
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    row = {
        "token_sha256": secret_digest(token),
        "person": person.id,
        "csrf": csrf,
        "expires_at": until,
    }
    work.append(store.SESSIONS, [row])
    work.record(LoggedIn(subject=person.id, tenant=person.tenant, person=person.name))
    return token, csrf


def authenticate_session(reading: Reading, token: str, *, at: datetime) -> tuple[Actor, str]:
    """Whom a session belongs to, and the token that its forms must carry.

    Sessions live in real time: `at` is the machine's time, not the domain's.

    Raises:
        NotAuthenticated: there is no such session, it has ended, or the person has gone.
    """
    row = store.session(reading, secret_digest(token))
    if row is None or at >= row["expires_at"]:
        raise NotAuthenticated("you are not logged in", remedy="log in")
    return authenticate_subject(reading, row["person"]), row["csrf"]


def log_out(work: Work, token: str) -> None:
    """End a session."""
    table = store.SESSIONS
    work.execute(table.delete().where(table.c.token_sha256 == secret_digest(token)))


def authenticate_subject(reading: Reading, subject: str) -> Actor:
    """The person or service account that a verified token or session names.

    Raises:
        NotAuthenticated: it does not exist any more, or was disabled.
    """
    account = store.account(reading, subject)
    if account is not None and not account.disabled:
        return account.actor()
    try:
        person = store.person(reading, subject)
    except NotFound:
        raise NotAuthenticated(_REFUSED) from None
    if person.disabled:
        raise NotAuthenticated(_REFUSED)
    return person.actor()


def narrow(actor: Actor, header: str | None) -> Actor:
    """`actor` within the tenant that a request names; a header never widens.

    Raises:
        NotPermitted: the credential belongs to another tenant.
        InvalidInput: it is not the name of a tenant.
    """
    if header is None:
        return actor
    tenant = checked_tenant(header, field="X-Tenant-Id")
    if actor.tenant is not None and actor.tenant != tenant:
        raise NotPermitted(
            "this credential belongs to another tenant",
            field="X-Tenant-Id",
            remedy="leave the header out, or name your own tenant",
        )
    return replace(actor, tenant=tenant)


def demand_tenant(reading: Reading, tenant: str | None, *, field: str = "tenant") -> None:
    """Make sure that `tenant` is one of ours, if one is named.

    Raises:
        NotFound: it is not.
    """
    if tenant is not None and not store.tenant_exists(reading, tenant):
        raise NotFound(f"there is no tenant {ascii(tenant)[:80]}", field=field)


def _person_of(work: Work, person_id: str, *, field: str = "person") -> Person:
    """A person whom whoever acts may change or name: of their own tenant, or anybody's for
    the fleet."""
    person = store.person(work, person_id, field=field)
    if not owns(work.actor, person.tenant):
        raise NotFound("there is no such person", field=field)
    return person
