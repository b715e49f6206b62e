"""Rows of identity."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.identity.model import ApiKey, Person, ServiceAccount, Tenant
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Json, Kind, Moment, decision_table, plain_table

TENANTS = decision_table(
    "tenants",
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
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
)
SESSIONS = plain_table(
    "sessions",
    Kind.SESSION,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    sa.Column("person", sa.String(80), nullable=False),
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
)

# Asked with every request, so built once: to compose a query costs more than to run it.
_ACCOUNT_BY_ID = sa.select(ACCOUNTS).where(ACCOUNTS.c.id == sa.bindparam("id"))
_KEY_BY_ID = sa.select(KEYS).where(KEYS.c.id == sa.bindparam("id"))

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


def people(reading: Reading, *, tenant: TenantId | None = None) -> list[Person]:
    """People by address; a tenant sees its own alone, None is everybody."""
    query = sa.select(PEOPLE).order_by(PEOPLE.c.email)
    if tenant is not None:
        query = query.where(PEOPLE.c.tenant == tenant)
    return [_person(row) for row in reading.rows(query)]


def person(reading: Reading, person_id: str, *, field: str = "person") -> Person:
    """The person with this id; `field` is where somebody named it.

    Raises:
        NotFound: there is none.
    """
    row = reading.row(sa.select(PEOPLE).where(PEOPLE.c.id == person_id))
    if row is None:
        raise NotFound("there is no such person", field=field)
    return _person(row)


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
    return [_key(row) for row in reading.rows(query)]


def key(reading: Reading, key_id: str) -> ApiKey | None:
    """The key with this public id, or None."""
    row = reading.row(_KEY_BY_ID, {"id": key_id})
    return None if row is None else _key(row)


def usable_keys(reading: Reading, scope: str, now: datetime) -> list[ApiKey]:
    """Keys with `scope` that are neither revoked nor expired, by id."""
    query = sa.select(KEYS).where(KEYS.c.revoked_at.is_(None)).order_by(KEYS.c.id)
    keys = [_key(row) for row in reading.rows(query)]
    return [k for k in keys if scope in k.scopes and k.usable(now)]


def default_model(reading: Reading, account_id: str) -> str | None:
    """The model that a service account means when it names none; None if its keys differ."""
    query = sa.select(KEYS.c.default_model).where(KEYS.c.account == account_id).distinct()
    found = {row["default_model"] for row in reading.rows(query)}
    return found.pop() if len(found) == 1 else None


def session(reading: Reading, token_sha256: str) -> sa.RowMapping | None:
    """The session that this digest of a token opens, or None."""
    return reading.row(sa.select(SESSIONS).where(SESSIONS.c.token_sha256 == token_sha256))


def _row(record: Record) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in row.items()}


def _person(row: sa.RowMapping) -> Person:
    return Person(**{**row, "roles": tuple(row["roles"])})


def _account(row: sa.RowMapping) -> ServiceAccount:
    return ServiceAccount(**{**row, "roles": tuple(row["roles"])})


def _key(row: sa.RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": tuple(row["scopes"])})
