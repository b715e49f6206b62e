"""The way in by address and password, with its limits on guessing."""

from __future__ import annotations

from datetime import datetime

from trimtab.audit.work import Records
from trimtab.identity import service, sessions
from trimtab.identity.brakes import Brakes
from trimtab.identity.model import Person
from trimtab.kernel.actor import system

_ENTRY = system("access")


def enter(
    records: Records, brakes: Brakes, email: str, password: str, *, address: str, at: datetime
) -> Person:
    """The person whom an e-mail address and a password belong to.

    Whether there is such a person changes neither the words nor the limits nor the time.

    Args:
        address: Where they come from. Who has logged in from there before is not held up by
            what others try from elsewhere.
        at: Real time.

    Raises:
        TooManyRequests: there were too many wrong ones; the password was not looked at.
        NotAuthenticated: they do not belong to somebody who may log in.
    """
    with records.look() as reading:
        known = sessions.known_place(reading, email, address, at=at)
    brakes.attempt(address, email, known=known)
    person = service.authenticate_password(records, email, password)
    brakes.succeeded(address, email, known=known)
    if not known:
        with records.begin(_ENTRY, reason="address and password fit") as work:
            sessions.remember_place(work, person, address, at=at)
    return person
