"""The thread between the control plane and what is served: tables in, reports out."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from trimtab.gateway.control import ControlPlane
from trimtab.gateway.loading import Loader, TrustedKeys, open_table
from trimtab.gateway.serving import Serving, build, require_successor
from trimtab.gateway.settings import Settings
from trimtab.gateway.shipping import Buffer
from trimtab.gateway.state import COMPLETE, LAST, StateFolder
from trimtab.kernel.clock import Clock, iso
from trimtab.kernel.errors import IntegrityFailed, InvalidInput, TrimtabError
from trimtab.sdk.routing import RoutingTable, TableClock

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LinkState:
    """How the link is: what was wrong with the last table, call and report, if anything."""

    table_refused: str | None = None
    unreachable: str | None = None
    unreported: str | None = None


@dataclass(frozen=True)
class _Kept:
    """A verified table, its sealed form, and the machine's time when it was accepted."""

    table: RoutingTable
    envelope: bytes
    accepted_at: datetime


class Link:
    """Keeps `serving` up to date. Only this object replaces it, always as a whole."""

    def __init__(
        self,
        settings: Settings,
        keys: TrustedKeys,
        state: StateFolder,
        control: ControlPlane,
        buffer: Buffer,
        clock: Clock,
    ):
        self._settings = settings
        self._keys = keys
        self._folder = state
        self._control = control
        self._buffer = buffer
        self._clock = clock
        self._loader = Loader(settings, keys, state, control)
        self._started = time.monotonic()
        self._signed: RoutingTable | None = None
        self._last: _Kept | None = None
        self._complete: _Kept | None = None
        self._retry_at = float("inf")
        self._retry_pause = settings.backoff_seconds
        self._report_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self.serving: Serving | None = None
        self.state = LinkState()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Serve what the state folder holds, then follow the control plane."""
        self._restore()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def close(self) -> None:
        """Let go of the connections and the state folder."""
        self._control.close()
        self._folder.close()

    def report(self) -> dict[str, Any]:
        """What the control plane is told, and what health shows."""
        serving, counts = self.serving, self._buffer.counts()
        expired = serving is not None and serving.time.expired()
        versions = {v.entry: None for v in serving.loaded.values()} if serving else {}
        return {
            "name": self._settings.name,
            "epoch": serving.table.epoch if serving else None,
            "versions": [
                {"model": e.model, "version": e.version, "tenant": e.tenant, "digest": e.digest}
                for e in versions
            ],
            "refused": [asdict(refusal) for refusal in serving.refused] if serving else [],
            "table_refused": self.state.table_refused,
            "rows": asdict(counts),
            "expired_since": iso(serving.table.expires_at) if serving and expired else None,
            "uptime_seconds": time.monotonic() - self._started,
        }

    def tick(self) -> None:
        """One look: a new table if there is one, a retry if due, a report if due."""
        applied = False
        try:
            envelope = self._control.table()
            if self.state.unreachable is not None:
                log.warning("the control plane answers again")
            self._note(unreachable=None)
            if envelope is not None:
                applied = self._consider(envelope)
            elif time.monotonic() >= self._retry_at:
                self._retry()
        except (IntegrityFailed, InvalidInput) as error:
            self._note(table_refused=error.message)
            log.error("the routing table is refused: %s", error.message)
        except TrimtabError as error:
            if self.state.unreachable != error.message:  # once, not at every look
                log.warning("no routing table: %s", error.message)
            self._note(unreachable=error.message)
        except OSError as error:  # the state folder: full, or gone
            self._note(table_refused=f"it cannot be kept: {error.strerror}")
            log.error("the state folder cannot be written: %s", error)
        if applied or time.monotonic() >= self._report_at:
            self.send_report()

    def send_report(self) -> None:
        """Report now; a report that is not taken is repeated at the next look."""
        try:
            self._control.report(self.report())
        except TrimtabError as error:
            self._note(unreported=error.message)
            return
        self._note(unreported=None)
        self._report_at = time.monotonic() + self._settings.report_seconds

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.tick()
            self._stopping.wait(self._settings.poll_seconds)

    def _note(self, **changes: str | None) -> None:
        self.state = LinkState(**(asdict(self.state) | changes))

    def _consider(self, envelope: bytes) -> bool:
        """Apply a table that was just fetched; True when it was accepted."""
        table = open_table(envelope, self._keys, self._settings)
        require_successor(table, self._signed, self._settings.origin)
        now = self._clock.now()
        self._folder.write_table(LAST, envelope, now)
        self._apply(_Kept(table, envelope, now), 0.0)
        self._settle()
        self._control.accepted()
        self._note(table_refused=None)
        return True

    def _apply(self, kept: _Kept, age_seconds: float) -> None:
        self.serving = build(kept.table, self._loader.load, self.serving, age_seconds)
        self._last, self._signed = kept, kept.table
        if not self.serving.refused:
            self._complete = kept
        log.info("epoch %d: %d refused", kept.table.epoch, len(self.serving.refused))

    def _settle(self) -> None:
        """Keep what a restart needs, and no more; plan a retry if something was refused."""
        if self._complete is not None and self._complete is self._last:
            self._folder.write_table(COMPLETE, self._complete.envelope, self._complete.accepted_at)
            self._retry_at, self._retry_pause = float("inf"), self._settings.backoff_seconds
        else:
            self._retry_at = time.monotonic() + self._retry_pause
        kept = [kept.table for kept in (self._last, self._complete) if kept is not None]
        self._folder.keep_only({entry.digest for table in kept for entry in table.versions})

    def _retry(self) -> None:
        """Try refused versions again: the network, or the artifact, may be whole by now."""
        if self._last is None or self.serving is None:
            return
        self._retry_pause = min(self._retry_pause * 2, self._settings.backoff_max_seconds)
        before = self.serving.refused
        self._apply(self._last, self.serving.time.age_seconds())
        self._settle()
        if self.serving.refused != before:
            self.send_report()

    def _restore(self) -> None:
        """Serve from disk: first the last complete table, so that a refusal has a fall-back."""
        for name in (COMPLETE, LAST):
            found = self._folder.read_table(name)
            if found is None:
                continue
            envelope, accepted_at = found
            try:
                table = open_table(envelope, self._keys, self._settings)
                require_successor(table, self._signed, self._settings.origin)
            except (IntegrityFailed, InvalidInput) as error:
                log.error("the kept table %s is refused: %s", name, error.message)
                self._note(table_refused=error.message)
                continue
            self._apply(_Kept(table, envelope, accepted_at), self._age(table, accepted_at))
        if self._last is not None:
            self._settle()

    def _age(self, table: RoutingTable, accepted_at: datetime) -> float:
        """Seconds since a kept table was accepted.

        A machine whose clock went back cannot tell: then the table counts as expired,
        since not knowing must not keep a canary in traffic.
        """
        age = (self._clock.now() - accepted_at).total_seconds()
        if table.clock is TableClock.REAL and age < 0:
            return max((table.expires_at - table.now).total_seconds(), 0.0)
        return max(age, 0.0)
