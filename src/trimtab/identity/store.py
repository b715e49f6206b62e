"""Rows of identity."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.identity.model import ApiKey, Person, ServiceAccount, Tenant
from trimtab.identity.roles import permissions_of, plain_roles, read_roles
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Json, Moment, decision_table

TENANTS = decision_table(
    "tenants",
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
)
PEOPLE = decision_table(
    "people",
    sa.Column("email", sa.String(255), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("roles", Json, nullable=False),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
)
ACCOUNTS = decision_table(
    "service_accounts",
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("owner", sa.String(80), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("roles", Json, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
KEYS = decision_table(
    "api_keys",
    sa.Column("account", sa.String(80), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("scopes", Json, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("default_model", sa.String(63)),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("revoked_at", Moment),
    sa.Column("wrapped", sa.String(200)),
)
# Asked with every request, so built once: to compose a query costs more than to run it.
_TENANT_BY_ID = sa.select(TENANTS.c.disabled).where(TENANTS.c.id == sa.bindparam("id"))
_PERSON_BY_ID = sa.select(PEOPLE).where(PEOPLE.c.id == sa.bindparam("id"))
_ACCOUNT_BY_ID = sa.select(ACCOUNTS).where(ACCOUNTS.c.id == sa.bindparam("id"))
_KEY_BY_ID = sa.select(KEYS).where(KEYS.c.id == sa.bindparam("id"))
_KEY_AND_ACCOUNT = (
    sa.select(
        KEYS,
        *(column.label(f"account_{column.name}") for column in ACCOUNTS.c),
        TENANTS.c.disabled.label("tenant_disabled"),
    )
    .join(ACCOUNTS, ACCOUNTS.c.id == KEYS.c.account)
    .outerjoin(TENANTS, TENANTS.c.id == ACCOUNTS.c.tenant)
    .where(KEYS.c.id.in_(sa.bindparam("ids", expanding=True)))
)

Record = Tenant | Person | ServiceAccount | ApiKey
_TABLES: dict[type, sa.Table] = {
    Tenant: TENANTS,
    Person: PEOPLE,
    ServiceAccount: ACCOUNTS,
    ApiKey: KEYS,
}


def add(work: Work, record: Record, because: Event) -> None:
    """Keep a new tenant, person, account or key.

    Raises:
        Conflict: its id or its name is taken.
    """
    work.create(_TABLES[type(record)], _row(record), because=because)


def save(work: Work, record: Record, because: Event) -> None:
    """Keep a changed record over the revision it was computed from.

    Raises:
        Conflict: somebody changed it meanwhile.
    """
    work.replace(_TABLES[type(record)], _row(record), because=because)


def tenants(reading: Reading, *, tenant: TenantId | None = None) -> list[Tenant]:
    """Tenants by id; a tenant sees itself alone, None is everybody."""
    query = sa.select(TENANTS).order_by(TENANTS.c.id)
    if tenant is not None:
        query = query.where(TENANTS.c.id == tenant)
    return [Tenant(**row) for row in reading.rows(query)]


def tenant_exists(reading: Reading, tenant: str) -> bool:
    """Whether there is such a tenant."""
    return reading.row(sa.select(TENANTS.c.id).where(TENANTS.c.id == tenant)) is not None


def tenant_open(reading: Reading, tenant: TenantId | None) -> bool:
    """Whether who belongs to `tenant` may act: it exists and was not disabled; or the fleet."""
    if tenant is None:
        return True
    row = reading.row(_TENANT_BY_ID, {"id": tenant})
    return row is not None and not row["disabled"]


def people(reading: Reading, *, tenant: TenantId | None = None) -> list[Person]:
    """People by address; a tenant sees its own alone, None is everybody."""
    query = sa.select(PEOPLE).order_by(PEOPLE.c.email)
    if tenant is not None:
        query = query.where(PEOPLE.c.tenant == tenant)
    return [_person(row) for row in reading.rows(query)]


def hold_tenant(work: Work, tenant: TenantId) -> None:
    """Let nobody else add to a tenant until this is done: who counts must not count past
    another's half."""
    work.row(sa.select(TENANTS.c.id).where(TENANTS.c.id == tenant).with_for_update())


def hold_people(work: Work) -> list[Person]:
    """All people, whom nobody else changes until this is done."""
    query = sa.select(PEOPLE).order_by(PEOPLE.c.id).with_for_update()
    return [_person(row) for row in work.rows(query)]


def count_people(reading: Reading, tenant: TenantId) -> int:
    """How many people of a tenant may log in."""
    query = sa.select(sa.func.count().label("count")).select_from(PEOPLE)
    return _count(reading, query.where(PEOPLE.c.tenant == tenant, ~PEOPLE.c.disabled))


def count_keys(reading: Reading, tenant: TenantId) -> int:
    """How many keys of a tenant are not revoked."""
    query = sa.select(sa.func.count().label("count")).select_from(KEYS)
    return _count(reading, query.where(KEYS.c.tenant == tenant, KEYS.c.revoked_at.is_(None)))


def _count(reading: Reading, query: sa.Select[Any]) -> int:
    row = reading.row(query)
    return 0 if row is None else int(row["count"])


def person(reading: Reading, person_id: str, *, field: str = "person") -> Person:
    """The person with this id; `field` is where somebody named it.

    Raises:
        NotFound: there is none.
    """
    row = reading.row(_PERSON_BY_ID, {"id": person_id})
    if row is None:
        raise NotFound("there is no such person", field=field)
    return _person(row)


def tenant(reading: Reading, tenant_id: str) -> Tenant:
    """The tenant with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.row(sa.select(TENANTS).where(TENANTS.c.id == tenant_id))
    if row is None:
        raise NotFound("there is no such tenant", field="tenant")
    return Tenant(**row)


def person_by_email(reading: Reading, email: str) -> Person | None:
    """The person with this address, or None."""
    row = reading.row(sa.select(PEOPLE).where(PEOPLE.c.email == email.lower()))
    return None if row is None else _person(row)


def account(reading: Reading, account_id: str) -> ServiceAccount | None:
    """The service account with this id, or None."""
    row = reading.row(_ACCOUNT_BY_ID, {"id": account_id})
    return None if row is None else _account(row)


def account_named(reading: Reading, name: str) -> ServiceAccount | None:
    """The service account of this name, or None."""
    row = reading.row(sa.select(ACCOUNTS).where(ACCOUNTS.c.name == name))
    return None if row is None else _account(row)


def accounts(reading: Reading, *, tenant: TenantId | None = None) -> list[ServiceAccount]:
    """Service accounts by name; a tenant sees its own alone, None is everybody."""
    query = sa.select(ACCOUNTS).order_by(ACCOUNTS.c.name)
    if tenant is not None:
        query = query.where(ACCOUNTS.c.tenant == tenant)
    return [_account(row) for row in reading.rows(query)]


def keys(reading: Reading, *, tenant: TenantId | None = None) -> list[ApiKey]:
    """Every key, whatever became of it, newest first; a tenant sees its own alone."""
    query = sa.select(KEYS).order_by(KEYS.c.created_at.desc(), KEYS.c.id)
    if tenant is not None:
        query = query.where(KEYS.c.tenant == tenant)
    return [key_of({**row}) for row in reading.rows(query)]


def key(reading: Reading, key_id: str) -> ApiKey | None:
    """The key with this public id, or None."""
    row = reading.row(_KEY_BY_ID, {"id": key_id})
    return None if row is None else key_of({**row})


def acting_keys(
    reading: Reading, key_ids: Sequence[str]
) -> dict[str, tuple[ApiKey, ServiceAccount]]:
    """The keys with these public ids, and the accounts that they speak for, by id. Left out is
    one that is not there, or whose account or the account's tenant may not act. One query: it is
    asked with every request that carries a key."""
    found = {}
    for row in reading.rows(_KEY_AND_ACCOUNT, {"ids": list(key_ids)}):
        acting = _acting(dict(row))
        if acting is not None:
            found[row["id"]] = acting
    return found


def _acting(row: dict[str, Any]) -> tuple[ApiKey, ServiceAccount] | None:
    tenant_disabled = row.pop("tenant_disabled")
    account = _account({column.name: row.pop(f"account_{column.name}") for column in ACCOUNTS.c})
    # Where the tenant is not there at all, nothing says that it is not disabled.
    open_ = account.tenant is None or tenant_disabled is False
    return None if account.disabled or not open_ else (key_of(row), account)


_USABLE = (
    sa.select(KEYS, ACCOUNTS.c.roles)
    .join(ACCOUNTS, ACCOUNTS.c.id == KEYS.c.account)
    .outerjoin(TENANTS, TENANTS.c.id == KEYS.c.tenant)
    .where(KEYS.c.revoked_at.is_(None), ACCOUNTS.c.disabled.is_(False))
    .where(sa.or_(KEYS.c.tenant.is_(None), TENANTS.c.disabled.is_(False)))
    .order_by(KEYS.c.id)
)


def usable_keys(reading: Reading, scope: str, now: datetime) -> list[ApiKey]:
    """Keys that may do what `scope` says and can be used at `now`, by id: not revoked or expired,
    of an account that has the right itself, and that was not disabled, nor its tenant."""
    found = []
    for row in map(dict, reading.rows(_USABLE)):
        granted = permissions_of(read_roles(row.pop("roles")))
        key = key_of(row)
        if scope in granted.intersection(key.scopes) and key.usable(now):
            found.append(key)
    return found


def default_model(reading: Reading, account_id: str) -> str | None:
    """The model that a service account means when it names none; None if its keys differ."""
    query = sa.select(KEYS.c.default_model).where(KEYS.c.account == account_id).distinct()
    found = {row["default_model"] for row in reading.rows(query)}
    return found.pop() if len(found) == 1 else None


def _row(record: Record) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    if "roles" in row:
        row["roles"] = plain_roles(row["roles"])
    return {k: list(v) if isinstance(v, tuple) else v for k, v in row.items()}


def _person(row: sa.RowMapping) -> Person:
    return Person(**{**row, "roles": read_roles(row["roles"])})


def _account(row: Mapping[Any, Any]) -> ServiceAccount:
    return ServiceAccount(**{**row, "roles": read_roles(row["roles"])})


def key_of(row: dict[str, Any]) -> ApiKey:
    """The key that a row of `KEYS` holds."""
    return ApiKey(**{**row, "scopes": tuple(row["scopes"])})
