"""One trace follows one story, from the window in which something was seen to the recovery.

The id of a trace is derived from the hash of the entry that the story begins with, that of an
entry's span from the entry's own hash. So nothing has to be handed along with a job or kept
beside the ledger, and every process, also after a restart, comes to the same ids:

    entry ── job that reacts to it ── entries that the job writes ── jobs that react to them

An entry that is written in another trace than its own (by a request of a person, by a turn
that schedules windows) has a link to the span that wrote it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog

from trimtab.audit import chains, ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading, Records
from trimtab.kernel.clock import Clock
from trimtab.kernel.errors import TrimtabError
from trimtab.platform import tracing
from trimtab.platform.durable import JobArgs
from trimtab.platform.logs import logger
from trimtab.platform.tracing import Finished, SpanId, Spans

log = logger(__name__)

_MOST_KNOWN = 10_000
"""Entries whose story's beginning is remembered."""


class Following:
    """Follows jobs and what they write, as spans.

    Args:
        records: Where entries are read; each unit of work that leaves some is followed.
        spans: Where spans go; with None nothing is read and nothing kept for them, and a job
            only has ids to be logged with.
        real_clock: Spans are of real time, whatever the domain's clock says.
    """

    def __init__(self, records: Records, spans: Spans | None, real_clock: Clock):
        self._records = records
        self._clock = real_clock
        self._beginnings: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.spans = spans
        if spans is not None:
            records.written = self._entries

    @contextmanager
    def job(self, name: str, args: JobArgs) -> Iterator[None]:
        """A run of a job: what is logged inside names it, and it is a span of its story. Where
        nobody is told of spans, that of whatever it runs in, for its story would have to be
        looked up; else one of its own."""
        with structlog.contextvars.bound_contextvars(job=name, job_key=args.key):
            above = tracing.current() if self.spans is None else self._tried_above(args)
            span = tracing.fresh() if above is None else above.child()
            if self.spans is None:
                with tracing.inside(span):
                    yield
                return
            began, failed = self._clock.now(), True
            try:
                with tracing.inside(span):
                    yield
                failed = False
            finally:
                self._emit(
                    Finished(
                        name=f"job {name}",
                        id=span,
                        parent=above,
                        began=began,
                        ended=self._clock.now(),
                        kind="consumer",
                        attributes={
                            "trimtab.job": name,
                            "trimtab.job_key": args.key,
                            "trimtab.outcome": "failed" if failed else "done",
                        },
                        failed=failed,
                    )
                )

    def request(
        self,
        span: SpanId,
        parent: SpanId | None,
        began: datetime,
        method: str,
        route: str,
        status: int,
    ) -> None:
        """A request was answered; `route` is a template."""
        if self.spans is not None:
            attributes: dict[str, tracing.Attribute] = {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
            }
            self._emit(
                Finished(
                    name=f"{method} {route}",
                    id=span,
                    parent=parent,
                    began=began,
                    ended=self._clock.now(),
                    kind="server",
                    attributes=attributes,
                    failed=status >= 500,
                )
            )

    def close(self) -> None:
        """Send what waits."""
        if self.spans is not None:
            self.spans.close()

    def _emit(self, span: Finished) -> None:
        if self.spans is not None:
            self.spans.emit(span)

    def _tried_above(self, args: JobArgs) -> SpanId | None:
        """The entry's span that a job hangs below: the one that it reacts to, or the first
        about the thing that it gives a turn. A job is not held up by what cannot be read."""
        try:
            with self._records.look() as reading:
                sequence, thing = args.values.get("sequence"), args.values.get("id")
                entry = None
                if isinstance(sequence, int):
                    entry = chains.numbered(reading.connection, sequence)
                elif isinstance(thing, str):
                    entry = chains.begun_with(reading.connection, thing)
                return None if entry is None else self._span_of(reading, entry)
        except TrimtabError as error:
            log.warning("a job is not followed", why=error.message)
            return None

    def _entries(self, first: int, last: int) -> None:
        """A unit of work has written these entries; each is a span without a length."""
        try:
            with self._records.look() as reading:
                found = ledger.entries(
                    reading.connection, after=first - 1, before=last + 1, limit=last - first + 1
                )
                for entry in found:
                    self._emit(self._entry_span(reading, entry))
        except TrimtabError as error:  # what was written is written
            log.warning("entries are not followed", why=error.message)

    def _entry_span(self, reading: Reading, entry: Entry) -> Finished:
        own, writer, now = self._span_of(reading, entry), tracing.current(), self._clock.now()
        parent: SpanId | None = writer
        links: list[SpanId] = []
        if writer is None or writer.trace != own.trace:
            earlier = chains.before(reading.connection, entry)
            parent = None if earlier is None else self._span_of(reading, earlier)
            links = [] if writer is None else [writer]
        attributes: dict[str, tracing.Attribute] = {
            "trimtab.sequence": entry.sequence,
            "trimtab.actor": entry.actor,
        }
        if ledger.is_id(entry.subject):  # else it may be an address, or a name
            attributes["trimtab.subject"] = entry.subject
        if entry.tenant is not None:
            attributes["trimtab.tenant"] = str(entry.tenant)
        return Finished(entry.kind, own, parent, now, now, attributes=attributes, links=links)

    def _span_of(self, reading: Reading, entry: Entry) -> SpanId:
        with self._lock:
            root = self._beginnings.get(entry.sequence)
        if root is None:
            root = chains.beginning(reading.connection, entry).leaf
            with self._lock:
                self._beginnings[entry.sequence] = root
                while len(self._beginnings) > _MOST_KNOWN:
                    self._beginnings.popitem(last=False)
        return tracing.derived(root, entry.leaf)
