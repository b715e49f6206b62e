"""The level of the log, for some minutes another one, in every process of an installation.

The change is an entry of the ledger, with who asked for it and why, and the ledger is where
each process reads it: those without HTTP too, and one that is started meanwhile. When the time
is over each goes back by itself; nobody has to remember.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from trimtab.audit import ledger
from trimtab.audit.work import Reading, Work
from trimtab.kernel.clock import Clock, parse_iso
from trimtab.kernel.errors import InvalidInput, TrimtabError
from trimtab.kernel.events import Note
from trimtab.platform import logs
from trimtab.platform.logs import logger
from trimtab.workflows.parts import Parts

log = logger(__name__)

MOST_MINUTES = 240
"""A level is for finding something out; what is to stay so is the setting LOG_LEVEL."""

LOOK_SECONDS = 2.0
"""Between two looks into the ledger: how late a process follows, in real time."""

SUBJECT = "log-level"


@dataclass(frozen=True)
class LogLevelChanged(Note):
    """For some time, every process logs from another level up. `until` is real time."""

    kind: ClassVar[str] = "log_level.changed"

    level: str
    until: datetime


@dataclass(frozen=True)
class Level:
    """The level from which up is logged, and until when; None where it is the setting's."""

    level: str
    until: datetime | None


def change(work: Work, level: str, minutes: int, *, real_clock: Clock) -> Level:
    """Log from `level` up for `minutes`.

    Raises:
        InvalidInput: no such level, or too long or too short a time.
    """
    wanted = logs.known_level(level)
    if not 1 <= minutes <= MOST_MINUTES:
        raise InvalidInput(
            f"a level holds for 1 to {MOST_MINUTES} minutes",
            field="minutes",
            remedy="ask again when they are over, or set LOG_LEVEL and start anew",
        )
    until = real_clock.now() + timedelta(minutes=minutes)
    work.record(LogLevelChanged(subject=SUBJECT, tenant=None, level=wanted, until=until))
    return Level(wanted, until)


def wanted(reading: Reading, otherwise: str, *, real_clock: Clock) -> Level:
    """The level that is to hold now; `otherwise` where nobody has asked for another one."""
    found = ledger.entries(
        reading.connection, kinds=(LogLevelChanged.kind,), newest_first=True, limit=1
    )
    if found and found[0].data is not None:
        until = parse_iso(found[0].data["until"])
        # A clock that went back must not make the time longer than it can have been meant.
        now = real_clock.now()
        if now < until <= now + timedelta(minutes=MOST_MINUTES):
            return Level(found[0].data["level"], until)
    return Level(otherwise, None)


class LevelKeeper:
    """A thread that keeps the level of this process as the ledger has it."""

    def __init__(self, parts: Parts, *, look_seconds: float = LOOK_SECONDS):
        self._parts = parts
        self._seconds = look_seconds
        self._held = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-level", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Log from the level up that is to hold now."""
        parts = self._parts
        with parts.records.look() as reading:
            asked = wanted(reading, parts.settings.log_level, real_clock=parts.real_clock)
        if asked.until is None and not self._held:
            return  # nobody has asked: it is as whoever started this process wants it
        self._held = asked.until is not None
        if asked.level != logs.current_level():
            before = logs.set_level(asked.level)
            log.warning("the log has another level", before=before, now=asked.level)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self.look()
            except TrimtabError:  # the level stays; /health says what does not answer
                continue
