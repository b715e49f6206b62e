"""Traces: spans with ids of our own, sent to an OpenTelemetry collector if one is named.

Which span belongs to which is known here without OpenTelemetry, so the log has the ids of a
request and of a run of a job in any case. The packages of the extra `tracing` are imported only
by a process that is told where to send spans; without that nothing is kept and nothing is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from trimtab import __version__
from trimtab.kernel.errors import Unavailable

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

SERVICE: Final = "trimtab"
EXPORT_SECONDS: Final = 5
"""How long a collector may take for one batch; what it does not take is dropped."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Attribute = str | int | float | bool


@dataclass(frozen=True)
class SpanId:
    """A span in its trace, as hexadecimal digits."""

    trace: str
    span: str
    sampled: bool = True

    def child(self) -> SpanId:
        """A fresh span of the same trace."""
        return SpanId(self.trace, secrets.token_hex(8), self.sampled)


@dataclass(frozen=True)
class Finished:
    """A span that is over. Attributes hold ids, names of ours and templates, never what a
    caller wrote."""

    name: str
    id: SpanId
    parent: SpanId | None
    began: datetime
    ended: datetime
    kind: str = "internal"
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    links: Sequence[SpanId] = ()
    failed: bool = False


_current: ContextVar[SpanId | None] = ContextVar("trimtab_span", default=None)


def fresh() -> SpanId:
    """A span that begins a trace."""
    return SpanId(secrets.token_hex(16), secrets.token_hex(8))


def derived(trace_of: bytes, span_of: bytes) -> SpanId:
    """The span that follows from two hashes: whoever knows them comes to the same ids."""
    trace = hashlib.sha256(b"trimtab trace\n" + trace_of).hexdigest()[:32]
    return SpanId(trace, hashlib.sha256(b"trimtab span\n" + span_of).hexdigest()[:16])


def parse_traceparent(text: str) -> SpanId | None:
    """The caller's span, if the header is well-formed (W3C Trace Context); else None."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return SpanId(trace, span, sampled=bool(int(flags, 16) & 1))


def current() -> SpanId | None:
    """The span that this thread or task is in."""
    return _current.get()


@contextlib.contextmanager
def inside(span: SpanId) -> Iterator[None]:
    """Be in `span`; everything that is logged inside has its ids."""
    token = _current.set(span)
    try:
        yield
    finally:
        _current.reset(token)


class Spans:
    """Sends spans by OTLP over HTTP, in batches, from a thread of its own.

    Args:
        endpoint: Base address of the collector; spans go to `/v1/traces` below it.

    Raises:
        Unavailable: the packages for it are not installed.
    """

    def __init__(self, endpoint: str):
        if importlib.util.find_spec("opentelemetry.exporter") is None:
            raise Unavailable(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the packages for traces are missing",
                remedy="install trimtab[tracing], or remove the variable",
            )
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._ids = _ids()
        about = {"service.name": SERVICE, "service.version": __version__}
        self._provider = TracerProvider(
            resource=Resource.create(about), id_generator=self._ids, shutdown_on_exit=False
        )
        address = endpoint.rstrip("/") + "/v1/traces"
        exporter = OTLPSpanExporter(endpoint=address, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE, __version__)

    def emit(self, span: Finished) -> None:
        """Hand a span over; it never waits and never fails. Beyond a bound spans are dropped."""
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode

        if not span.id.sampled:
            return
        with self._ids.next(span.id):
            made = self._tracer.start_span(
                span.name,
                context=_below(span.parent),
                kind=SpanKind[span.kind.upper()],
                attributes=dict(span.attributes),
                links=[Link(_context(other)) for other in span.links],
                start_time=_nanoseconds(span.began),
            )
        if span.failed:
            made.set_status(Status(StatusCode.ERROR))
        made.end(end_time=_nanoseconds(span.ended))

    def flush(self) -> None:
        """Send what waits, for as long as one batch may take."""
        self._provider.force_flush(1000 * EXPORT_SECONDS)

    def close(self) -> None:
        """Send what waits, and send nothing more."""
        self.flush()
        self._provider.shutdown()


def _below(parent: SpanId | None) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    if parent is None:
        return Context()
    return set_span_in_context(NonRecordingSpan(_context(parent)), Context())


def _context(span: SpanId) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(span.trace, 16), int(span.span, 16), is_remote=True, trace_flags=flags)


def _nanoseconds(moment: datetime) -> int:
    return (moment - _START) // _MICROSECOND * 1000


def _ids() -> Any:  # its base is imported only where spans are sent
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class Given(IdGenerator):
        """Gives the ids that were decided on before."""

        def __init__(self) -> None:
            self._next: ContextVar[SpanId] = ContextVar("trimtab_next_span")

        @contextlib.contextmanager
        def next(self, span: SpanId) -> Iterator[None]:
            token = self._next.set(span)
            try:
                yield
            finally:
                self._next.reset(token)

        def generate_span_id(self) -> int:
            return int(self._next.get().span, 16)

        def generate_trace_id(self) -> int:
            return int(self._next.get().trace, 16)

    return Given()
