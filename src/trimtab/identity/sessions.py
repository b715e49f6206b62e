"""Sessions at the pages: opened under a fresh token, ended by time, by hand, or all at once.

Sessions live in real time: `at` is the machine's time everywhere here, not the domain's.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.identity import service, store
from trimtab.identity.model import Person, secret_digest
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotAuthenticated, NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import new_id

SEEN_SECONDS = 60.0
"""A session that is in use is noted as such so often, and not with every page."""

PLACES_KEEP = timedelta(days=90)
"""How long an address counts as one from which somebody has logged in before."""


@dataclass(frozen=True)
class LoggedIn(Event):
    """Somebody logged in at the pages."""

    kind: ClassVar[str] = "session.opened"

    person: str


@dataclass(frozen=True)
class SessionEnded(Event):
    """A session was ended by hand from another one, before its time."""

    kind: ClassVar[str] = "session.ended"

    person: str


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


def open_session(
    work: Work, person: Person, *, at: datetime, until: datetime, address: str = "unknown"
) -> tuple[str, str]:
    """Open a session for somebody whose password was right just now; return its token and the
    token for its forms. Sessions of theirs that are over are removed.

    Args:
        until: When it ends, however much it is used.
        address: Where they logged in from.

    Raises:
        NotAuthenticated: the person, or their tenant, was disabled, or they have another password, since.
    """
    present = store.person(work, person.id)
    service.acting(work, present)
    if present.password_hash != person.password_hash:
        raise NotAuthenticated("address and password do not fit", field="email")
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    row = {
        "token_sha256": secret_digest(token),
        "id": new_id("ses"),
        "person": person.id,
        "csrf": csrf,
        "generation": present.generation,
        "address": address,
        "opened_at": at,
        "seen_at": at,
        "expires_at": until,
    }
    table = store.SESSIONS
    work.execute(table.delete().where(table.c.person == person.id, table.c.expires_at <= at))
    work.append(table, [row])
    work.record(LoggedIn(subject=person.id, tenant=person.tenant, person=person.name))
    return token, csrf


def authenticate_session(
    reading: Reading, token: str, *, at: datetime, idle: timedelta
) -> tuple[Actor, Session]:
    """Whom a session belongs to, and the session, with the token that its forms must carry.

    Raises:
        NotAuthenticated: there is no such session, it has ended, or the person has gone.
    """
    table = store.SESSIONS
    row = reading.row(sa.select(table).where(table.c.token_sha256 == secret_digest(token)))
    session = None if row is None else _session(row)
    if session is None or session.over(at, idle):
        raise _logged_out()
    person = store.person(reading, session.person)
    if person.generation != session.generation:
        raise _logged_out()
    return service.acting(reading, person), session


def seen(work: Work, session: Session, *, at: datetime) -> None:
    """Note that a session is in use."""
    table = store.SESSIONS
    work.execute(table.update().where(table.c.id == session.id).values(seen_at=at))


def log_out(work: Work, token: str) -> None:
    """End a session."""
    table = store.SESSIONS
    work.execute(table.delete().where(table.c.token_sha256 == secret_digest(token)))


def sessions_of(
    reading: Reading, person: Person, *, at: datetime, idle: timedelta
) -> list[Session]:
    """The sessions in which somebody is logged in, newest first."""
    table = store.SESSIONS
    query = sa.select(table).where(
        table.c.person == person.id, table.c.generation == person.generation
    )
    found = [_session(row) for row in reading.rows(query.order_by(table.c.id.desc()))]
    return [session for session in found if not session.over(at, idle)]


def end_session(work: Work, session_id: str) -> None:
    """End a session of whoever acts, by its id.

    Raises:
        NotFound: they have no such session.
    """
    table = store.SESSIONS
    own = (table.c.id == session_id, table.c.person == work.actor.id)
    if not work.execute(table.delete().where(*own)):
        raise NotFound("you have no such session", field="session")
    work.record(
        SessionEnded(subject=work.actor.id, tenant=work.actor.tenant, person=work.actor.name)
    )


def remember_place(work: Work, person: Person, address: str, *, at: datetime) -> None:
    """Keep in mind that somebody has logged in from an address."""
    table = store.PLACES
    work.execute(table.delete().where(table.c.person == person.id, table.c.at <= at - PLACES_KEEP))
    here = (table.c.person == person.id, table.c.address == address)
    if not work.execute(table.update().where(*here).values(at=at)):
        work.append(table, [{"person": person.id, "address": address, "at": at}])


def known_place(reading: Reading, email: str, address: str, *, at: datetime) -> bool:
    """Whether somebody with this e-mail address has logged in from `address` before."""
    table = store.PLACES
    query = (
        sa.select(table.c.at)
        .join(store.PEOPLE, store.PEOPLE.c.id == table.c.person)
        .where(store.PEOPLE.c.email == email.lower(), table.c.address == address)
    )
    row = reading.row(query)
    return row is not None and at < row["at"] + PLACES_KEEP


def _session(row: sa.RowMapping) -> Session:
    return Session(**{k: v for k, v in row.items() if k != "token_sha256"})


def _logged_out() -> NotAuthenticated:
    return NotAuthenticated("you are not logged in", remedy="log in")
