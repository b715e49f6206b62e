"""The verbs of identity: add, issue, revoke, and turn a credential into an actor."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from trimtab.audit.work import Reading, Records, Wanted, Work
from trimtab.identity import passwords, store
from trimtab.identity.assigning import checked_roles
from trimtab.identity.model import (
    ApiKey,
    KeyIssued,
    Person,
    PersonAdded,
    ServiceAccount,
    ServiceAccountAdded,
    Tenant,
    TenantCreated,
    checked_email,
    checked_tenant,
    new_key,
    split_key,
)
from trimtab.identity.reach import demand_fleet, demand_own, owns
from trimtab.identity.roles import Role, grants_of, permissions_of, plain_roles
from trimtab.identity.tokens import Claims, Tokens
from trimtab.identity.wrapping import Wrapping
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import InvalidInput, NotAuthenticated, NotFound, NotPermitted
from trimtab.kernel.ids import PersonId, TenantId, new_id
from trimtab.sdk.request_signing import signing_key

TOKEN_LIFETIME = timedelta(minutes=30)
"""How long a bearer token lasts, in real time."""

REFUSED = "this credential is not known, or is of no use any more"


def unfit() -> NotAuthenticated:
    """The refusal of an address and a password, in one form, whichever of them is wrong."""
    return NotAuthenticated(
        "address and password do not fit",
        remedy="check both and try again; an administrator can tell whether you may log in, and "
        "give you another password",
    )


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
    password_hash: str,
    tenant: TenantId | None = None,
) -> Person:
    """Add a person who may log in.

    `password_hash` was computed before this transaction: it takes a tenth of a second on purpose,
    and nobody else shall wait for it.

    Raises:
        NotPermitted: it is not the tenant of whoever adds them.
        InvalidInput: address or roles cannot be taken.
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
        password_hash=password_hash,
        disabled=False,
        created_at=work.now,
    )
    given = plain_roles(person.roles)
    event = PersonAdded(subject=person.id, tenant=tenant, name=name, roles=given)
    store.add(work, person, event)
    return person


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
        person_of(work, owner, field="owner")
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
    wrapping: Wrapping | None = None,
) -> tuple[ApiKey, str]:
    """Give out a key; the second value is its text, shown this once.

    Args:
        scopes: What the key may do, at most what the account may; None for all of that.
        default_model: The model that is meant where a request names none.
        lifetime: Until it expires; None for no end.
        wrapping: Keeps what verifies signatures; without it the key cannot sign requests.

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
    verifier = signing_key(text.partition(".")[2])
    key = ApiKey(
        id=key_id,
        account=account.id,
        tenant=account.tenant,
        scopes=tuple(sorted(wanted)),
        sha256=digest,
        default_model=default_model,
        created_at=work.now,
        expires_at=None if lifetime is None else work.now + lifetime,
        wrapped=None if wrapping is None else wrapping.wrap(verifier, key_id),
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
    key, account = acting_key(reading, parts[0] if parts else "")
    if parts is None or not key.fits(parts[1]):
        raise NotAuthenticated(REFUSED)
    return account.actor(frozenset(key.scopes))


def authenticate_token(reading: Reading, claims: Claims) -> Actor:
    """Whom a verified token speaks for, by the records as they are now: what was changed since
    it was issued counts, and what it says must agree with them.

    Raises:
        NotAuthenticated: whoever it names is gone, was disabled, belongs elsewhere, or has had
            their tokens ended; always the same words.
    """
    if claims.key is not None:
        return _exchanged(reading, claims)
    try:
        person = store.person(reading, claims.subject)
    except NotFound:
        raise NotAuthenticated(REFUSED) from None
    same = person.tenant == claims.tenant and person.generation == claims.generation
    if not same:
        raise NotAuthenticated(REFUSED)
    return acting(reading, person)


def _exchanged(reading: Reading, claims: Claims) -> Actor:
    """The account behind a token that was got for a key, which must be good still."""
    key, account = acting_key(reading, claims.key or "")
    if (key.account, key.tenant) != (claims.subject, claims.tenant):
        raise NotAuthenticated(REFUSED)
    return account.actor(frozenset(key.scopes)).within(frozenset(claims.scopes))


def wanted_key(key_id: str) -> Wanted:
    """What `acting_key` looks for."""
    return Wanted(store.acting_keys, key_id)


def acting_key(reading: Reading, key_id: str) -> tuple[ApiKey, ServiceAccount]:
    """A key that is good now, whoever shows it, and its account, which may act.

    Raises:
        NotAuthenticated: there is none, it was revoked or has expired, or the account or its
            tenant was disabled.
    """
    found = reading.get(store.acting_keys, key_id)
    if found is None or not found[0].usable(reading.now):
        raise NotAuthenticated(REFUSED)
    return found


def authenticate_password(records: Records, email: str, password: str) -> Person:
    """The person whom an address and a password belong to.

    Hashing takes a tenth of a second on purpose. It is done between transactions: whoever
    guesses passwords must not hold up those who work.

    Raises:
        NotAuthenticated: they do not belong to somebody who may log in.
    """
    with records.look() as reading:
        person = store.person_by_email(reading, email)
        welcome = person is not None and _welcome(reading, person)
    known = person.password_hash if person is not None and welcome else None
    if not passwords.fits(known, password) or person is None:
        raise unfit()
    return person


def token_for(tokens: Tokens, person: Person) -> str:
    """A bearer token for a person."""
    claims = Claims(person.id, person.tenant, person.generation)
    return tokens.issue(claims, lifetime=TOKEN_LIFETIME)


def acting(reading: Reading, person: Person) -> Actor:
    """A person as somebody who acts.

    Raises:
        NotAuthenticated: they, or their tenant, were disabled.
    """
    if not _welcome(reading, person):
        raise NotAuthenticated(REFUSED)
    return person.actor()


def _welcome(reading: Reading, person: Person) -> bool:
    return not person.disabled and store.tenant_open(reading, person.tenant)


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


def person_of(work: Work, person_id: str, *, field: str = "person") -> Person:
    """A person whom whoever acts may change or name: of their own tenant, or anybody's for
    the fleet."""
    person = store.person(work, person_id, field=field)
    if not owns(work.actor, person.tenant):
        raise NotFound("there is no such person", field=field)
    return person


def account_of(work: Work, account_id: str) -> ServiceAccount:
    """A service account that whoever acts may change: of their tenant, or any for the fleet.

    Raises:
        NotFound: there is no such account, or it is another tenant's.
    """
    account = store.account(work, account_id)
    if account is None or not owns(work.actor, account.tenant):
        raise NotFound("there is no such service account", field="account")
    return account
