"""Rows of what comes and goes with people and keys: sessions, places, uses, nonces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.identity import store
from trimtab.identity.model import ApiKey
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Kind, Moment, plain_table

SESSIONS = plain_table(
    "sessions",
    Kind.SESSION,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    sa.Column("person", sa.String(80), nullable=False),
    sa.Column("id", sa.String(80), nullable=False, unique=True),
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Index(None, "person"),
)
PLACES = plain_table(
    "log_in_places",
    Kind.SESSION,
    sa.Column("person", sa.String(80), primary_key=True),
    sa.Column("address", sa.String(64), primary_key=True),
    sa.Column("at", Moment, nullable=False),
)
KEY_USES = plain_table(
    "key_uses",
    Kind.SESSION,
    sa.Column("key", sa.String(80), primary_key=True),
    sa.Column("used_at", Moment, nullable=False),
)
NONCES = plain_table(
    "request_nonces",
    Kind.IDEMPOTENCY,
    sa.Column("key", sa.String(80), primary_key=True),
    sa.Column("nonce", sa.String(64), primary_key=True),
    sa.Column("until", Moment, nullable=False),
    sa.Index(None, "until"),
)


@dataclass(frozen=True)
class Session:
    """A session, as the person whose it is may see it. Its token is not known here."""

    id: str
    person: str
    csrf: str
    generation: int
    address: str
    opened_at: datetime
    seen_at: datetime
    expires_at: datetime

    def over(self, at: datetime, idle: timedelta) -> bool:
        """Whether it has ended by itself: by its age, or because nobody used it."""
        return at >= self.expires_at or at >= self.seen_at + idle


_SESSION = sa.select(SESSIONS).where(SESSIONS.c.token_sha256 == sa.bindparam("sha256"))


def add_session(work: Work, session: Session, token_sha256: str) -> None:
    """Keep a session; those of the same person that are past their age are removed."""
    c = SESSIONS.c
    old = (c.person == session.person, c.expires_at <= session.opened_at)
    work.execute(SESSIONS.delete().where(*old))
    work.append(SESSIONS, [{**vars(session), "token_sha256": token_sha256}])


def session(reading: Reading, token_sha256: str) -> Session | None:
    """The session that this digest of a token opens, or None."""
    row = reading.row(_SESSION, {"sha256": token_sha256})
    return None if row is None else _session(row)


def sessions(reading: Reading, person: str) -> list[Session]:
    """Sessions of somebody, newest first; of whatever generation, and over or not."""
    query = sa.select(SESSIONS).where(SESSIONS.c.person == person)
    return [_session(row) for row in reading.rows(query.order_by(SESSIONS.c.id.desc()))]


def note_session(work: Work, session_id: str, at: datetime) -> None:
    """A session was in use."""
    work.execute(SESSIONS.update().where(SESSIONS.c.id == session_id).values(seen_at=at))


def remove_session(work: Work, token_sha256: str) -> None:
    """Forget the session that this digest of a token opens."""
    work.execute(SESSIONS.delete().where(SESSIONS.c.token_sha256 == token_sha256))


def remove_own_session(work: Work, person: str, session_id: str) -> bool:
    """Forget a session of somebody; whether there was one."""
    c = SESSIONS.c
    return work.execute(SESSIONS.delete().where(c.id == session_id, c.person == person)) > 0


def note_place(work: Work, person: str, address: str, *, at: datetime, forgotten: datetime) -> None:
    """Somebody logged in from an address; those not seen since `forgotten` are removed."""
    c = PLACES.c
    work.execute(PLACES.delete().where(c.person == person, c.at <= forgotten))
    if not work.execute(
        PLACES.update().where(c.person == person, c.address == address).values(at=at)
    ):
        work.append(PLACES, [{"person": person, "address": address, "at": at}])


def place(reading: Reading, email: str, address: str) -> datetime | None:
    """When somebody with this e-mail address was last noted at `address`."""
    query = (
        sa.select(PLACES.c.at)
        .join(store.PEOPLE, store.PEOPLE.c.id == PLACES.c.person)
        .where(store.PEOPLE.c.email == email.lower(), PLACES.c.address == address)
    )
    row = reading.row(query)
    return None if row is None else row["at"]


def note_use(work: Work, key_id: str, at: datetime) -> None:
    """A key was used; what another process has noted later stays."""
    c = KEY_USES.c
    known = work.row(sa.select(c.used_at).where(c.key == key_id))
    if known is None:
        work.append(KEY_USES, [{"key": key_id, "used_at": at}])
    else:
        work.execute(KEY_USES.update().where(c.key == key_id, c.used_at < at).values(used_at=at))


def keys(
    reading: Reading,
    *,
    tenant: TenantId | None,
    account: str | None,
    after: str | None,
    limit: int,
) -> list[tuple[ApiKey, datetime | None]]:
    """Keys by id, each with its last use; a tenant sees its own, None is everybody."""
    c = store.KEYS.c
    query = sa.select(store.KEYS, KEY_USES.c.used_at).outerjoin(KEY_USES, KEY_USES.c.key == c.id)
    if after is not None:
        query = query.where(c.id > after)
    if tenant is not None:
        query = query.where(c.tenant == tenant)
    if account is not None:
        query = query.where(c.account == account)
    found = []
    for row in map(dict, reading.rows(query.order_by(c.id).limit(limit))):
        used_at = row.pop("used_at")
        found.append((store.key_of(row), used_at))
    return found


def add_nonce(work: Work, key: str, nonce: str, *, until: datetime) -> None:
    """Take a signed request.

    Raises:
        Conflict: it was taken before.
    """
    work.append(NONCES, [{"key": key, "nonce": nonce, "until": until}])


def forget_nonces(work: Work, at: datetime) -> None:
    """Remove the nonces of requests whose timestamps are too old by now."""
    work.execute(NONCES.delete().where(NONCES.c.until < at))


def _session(row: sa.RowMapping) -> Session:
    return Session(**{k: v for k, v in row.items() if k != "token_sha256"})
