"""What a process makes of three days in March 2026: windows, cut-offs, leases and shown times.

`in_its_zone.py DATABASE_URL`, under whatever time zone `TZ` names. Everything is the product's,
and everything that it says of time is printed.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import sqlalchemy as sa
from tests.registering import registered

from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.cli.models import moment as as_of
from trimtab.identity.keyring import KeyFolder
from trimtab.identity.tokens import OVERLAP, Claims, Tokens
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock, SystemClock, begin_of, iso
from trimtab.kernel.events import canonical
from trimtab.monitoring import late, service, store
from trimtab.observations.batches import labels_batch, made_at, moments_of_labels
from trimtab.platform import executors, migrate
from trimtab.platform.database import Database
from trimtab.policies.loader import load_preset
from trimtab.web import words

START = datetime(2026, 3, 7, 5, 30, tzinfo=UTC)
"""A day before New York's clocks go from two to three, which is at 07:00 UTC."""
STEPS, HOURS = 20, 3
ACROSS = "019ccc3d-fb20-7000-8000-000000000001"
"""A prediction of that very hour."""


def say(*what: object) -> None:
    """One line."""
    sys.stdout.write(" ".join(map(str, what)) + "\n")


def windows(records: Records, clock: SteppedClock) -> None:
    """Those of a model, as they are made while the days pass; and what was entered of it."""
    with records.begin(system("test"), reason="r") as work:
        registered(work, "late-flights")
    demands = load_preset("standard").tier(3).monitoring
    made = []
    for number in range(STEPS):
        clock.step_to(START + timedelta(hours=number * HOURS))
        with records.begin(system("test"), reason="r") as work:
            made += service.schedule_windows(work, "late-flights", START, demands)
    moments = moments_of_labels(labels_batch([ACROSS], [0], [1]))
    with records.look() as reading:
        for window in (store.get(reading, one.id) for one in made):
            cut_off = late.received_by(window, demands)
            inside = late.rows_inside(moments, window.start, window.end)
            say(*map(iso, (window.start, window.end, cut_off)), iso(window.due_at or START))
            say(inside, late.rows_before(moments, window.start), words.moment(window.start))
        for entry in ledger.entries(reading.connection, limit=100):
            said = {name: value for name, value in (entry.data or {}).items() if name != "id"}
            say(entry.sequence, iso(entry.at), entry.kind, canonical(said).decode())


def credentials(clock: SteppedClock, home: Path) -> None:
    """When a token begins and ends."""
    keys = KeyFolder(home, clock, overlap=OVERLAP)
    tokens = Tokens("http://localhost", keys.ring, clock)
    token = tokens.issue(Claims("somebody"), lifetime=timedelta(minutes=10))
    said = jwt.decode(token, options={"verify_signature": False})
    say(said["iat"], said["nbf"], said["exp"], tokens.read(token).subject)


def leases(database: Database) -> None:
    """How long the row of an executor holds, by the clock of the database and by ours."""
    claim = executors.Claim(database.engine, "one", ("watch",), 3600.0)
    say(claim.acquire(), claim.acquire(), claim.renew())
    expires = sa.select(executors.EXECUTORS.c.expires_at)
    with database.read() as connection:
        lasts = connection.execute(expires).scalar_one() - SystemClock().now()
        say(round(lasts / timedelta(minutes=5)), len(executors.living(connection)))
    claim.release()


def main(address: str, home: Path) -> None:
    """Live through the days."""
    clock, database = SteppedClock(START), Database(address)
    migrate.upgrade(database)
    windows(Records(database, clock), clock)
    credentials(clock, home)
    say(iso(made_at(ACROSS)), words.moment(made_at(ACROSS)), words.day(made_at(ACROSS)))
    say(iso(as_of("2026-03-08T02:30:00-05:00") or START))
    say(iso(begin_of(made_at(ACROSS), timedelta(days=1))))
    if not database.is_sqlite:
        leases(database)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
