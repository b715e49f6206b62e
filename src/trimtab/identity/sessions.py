"""Sessions at the pages: opened under a fresh token, ended by time, by hand, or all at once.

Sessions live in real time: `at` is the machine's time everywhere here, not the domain's.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from trimtab.audit.work import Reading, Work
from trimtab.identity import credential_store as rows
from trimtab.identity import service, store
from trimtab.identity.credential_store import Session
from trimtab.identity.model import Person, secret_digest
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotAuthenticated, NotFound
from trimtab.kernel.events import Note
from trimtab.kernel.ids import new_id

SEEN_SECONDS = 60.0
"""A session that is in use is noted as such so often, and not with every page."""

PLACES_KEEP = timedelta(days=90)
"""How long an address counts as one from which somebody has logged in before."""


@dataclass(frozen=True)
class LoggedIn(Note):
    """Somebody logged in at the pages."""

    kind: ClassVar[str] = "session.opened"

    person: str


@dataclass(frozen=True)
class SessionEnded(Note):
    """A session was ended by hand from another one, before its time."""

    kind: ClassVar[str] = "session.ended"

    person: str


def open_session(
    work: Work, person: Person, *, at: datetime, until: datetime, address: str = "unknown"
) -> tuple[str, str]:
    """Open a session for somebody whose password was right just now; return its token and the
    token for its forms. Sessions of theirs that are over are removed.

    Args:
        until: When it ends, however much it is used.
        address: Where they logged in from.

    Raises:
        NotAuthenticated: the person, or their tenant, was disabled since, or they have another
            password.
    """
    present = store.person(work, person.id)
    service.acting(work, present)
    if present.password_hash != person.password_hash:
        raise service.unfit()
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    session = Session(
        id=new_id("ses"),
        person=person.id,
        csrf=csrf,
        generation=present.generation,
        address=address,
        opened_at=at,
        seen_at=at,
        expires_at=until,
    )
    rows.add_session(work, session, secret_digest(token))
    work.record(LoggedIn(subject=person.id, tenant=person.tenant, person=person.name))
    return token, csrf


def authenticate_session(
    reading: Reading, token: str, *, at: datetime, idle: timedelta
) -> tuple[Actor, Session]:
    """Whom a session belongs to, and the session, with the token that its forms must carry.

    Raises:
        NotAuthenticated: there is no such session, it has ended, or the person has gone.
    """
    session = rows.session(reading, secret_digest(token))
    if session is None or session.over(at, idle):
        raise _logged_out()
    person = store.person(reading, session.person)
    if person.generation != session.generation:
        raise _logged_out()
    return service.acting(reading, person), session


def seen(work: Work, session: Session, *, at: datetime) -> None:
    """Note that a session is in use."""
    rows.note_session(work, session.id, at)


def log_out(work: Work, token: str) -> None:
    """End a session."""
    rows.remove_session(work, secret_digest(token))


def sessions_of(
    reading: Reading, person: Person, *, at: datetime, idle: timedelta
) -> list[Session]:
    """The sessions in which somebody is logged in, newest first."""
    return [
        session
        for session in rows.sessions(reading, person.id)
        if session.generation == person.generation and not session.over(at, idle)
    ]


def end_session(work: Work, session_id: str) -> None:
    """End a session of whoever acts, by its id.

    Raises:
        NotFound: they have no such session.
    """
    if not rows.remove_own_session(work, work.actor.id, session_id):
        raise NotFound("you have no such session", field="session")
    work.record(
        SessionEnded(subject=work.actor.id, tenant=work.actor.tenant, person=work.actor.name)
    )


def remember_place(work: Work, person: Person, address: str, *, at: datetime) -> None:
    """Keep in mind that somebody has logged in from an address where they were not known."""
    rows.note_place(work, person.id, address, at=at, forgotten=at - PLACES_KEEP)


def known_place(reading: Reading, email: str, address: str, *, at: datetime) -> bool:
    """Whether somebody with this e-mail address has logged in from `address` before."""
    last = rows.place(reading, email, address)
    return last is not None and at < last + PLACES_KEEP


def _logged_out() -> NotAuthenticated:
    return NotAuthenticated("you are not logged in", remedy="log in")
