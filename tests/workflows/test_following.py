"""One trace follows an incident from the window to the recovery, told to a real collector."""

from __future__ import annotations

import gzip
import io
import json
import logging
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.databases import database_for
from tests.workflows.house import FIRST, MODEL, PASSWORD, House, opened

from trimtab.app import ADMINISTRATOR
from trimtab.kernel.errors import InvalidInput
from trimtab.platform import logs, tracing
from trimtab.platform.durable import Job, JobArgs
from trimtab.platform.logs import logger
from trimtab.platform.settings import load_settings

pytestmark = pytest.mark.slow

SERVER, CONSUMER = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET = "correct-horse"


@dataclass
class Collector:
    """An OTLP receiver, and what it has received."""

    port: int = 0
    spans: list[Span] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def of(self, trace: bytes) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace]


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    found = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            request = ExportTraceServiceRequest.FromString(body)
            found.raw.append(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    found.spans += scope.spans
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span: Span) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def lived(house: House) -> None:
    """Eight good days, two with harm, and days in which it is well again."""
    for n in range(8):
        house.day(n)
    for n in range(8, 10):
        house.day(n, flagged=120)
    for n in range(10, 15):
        house.day(n)
    house.step_to(FIRST + timedelta(days=17))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collector, dict[str, int]]]:
    """What a collector received of an incident and its end, and the numbers of its entries."""
    home = tmp_path_factory.mktemp("traced") / "home"
    with collecting() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        with opened(home, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as house:
            lived(house)
            kinds = ("incident.opened", "incident.resolved")
            numbers = {kind: house.entries(kind)[0].sequence for kind in kinds}
            who = {"email": ADMINISTRATOR, "password": PASSWORD}
            house.client.post("/api/v1/tokens", json=who, headers={"traceparent": CALLER})
            house.client.get("/api/v1/models/parcels?tenant=x%0Ay", headers=house.admin)
        yield collector, numbers


def test_one_trace_leads_from_the_window_to_the_recovery(
    story: tuple[Collector, dict[str, int]],
) -> None:
    collector, _ = story
    (opened_,) = collector.named("incident.opened")
    trace = collector.of(opened_.trace_id)
    names = {span.name for span in trace}
    assert {
        "window.scheduled",
        "job watch.window",
        "performance.degraded",
        "job watch.signal",
        "incident.opened",
        "job repair.diagnose",
        "incident.diagnosed",
        "job repair.plan",
        "remediation.proposed",
        "job repair.gate",
        "action_permit.issued",
        "remediation.permitted",
        "job repair.carry_out",
        "incident.resolved",
    } <= names, sorted(names)
    (resolved,) = collector.named("incident.resolved")
    assert resolved.trace_id == opened_.trace_id


def test_every_span_hangs_below_what_brought_it_about(
    story: tuple[Collector, dict[str, int]],
) -> None:
    collector, numbers = story
    (opened_,) = collector.named("incident.opened")
    trace = collector.of(opened_.trace_id)
    by_id = {span.span_id: span for span in trace}
    assert len(by_id) == len(trace), "an id stands for two spans"
    (root,) = (span for span in trace if not span.parent_span_id)
    assert root.name == "window.scheduled"
    assert all(s.parent_span_id in by_id for s in trace if s is not root)
    assert attributes(opened_)["trimtab.sequence"] == numbers["incident.opened"]
    path = []
    at = collector.named("remediation.permitted")[0]
    while at.parent_span_id:
        path.append(at.name)
        at = by_id[at.parent_span_id]
    assert path == [
        "remediation.permitted",
        "job repair.gate",
        "remediation.proposed",
        "job repair.plan",
        "incident.diagnosed",
        "job repair.diagnose",
        "incident.opened",
        "job watch.signal",
        "performance.degraded",
        "job watch.window",
    ]
    # What scheduled the window is another story: it is linked, and is not a parent.
    (link,) = root.links
    (scheduler,) = (s for s in collector.spans if s.span_id == link.span_id)
    assert scheduler.name == "job watch.schedule"
    jobs = [span for span in trace if span.name.startswith("job ")]
    assert all(job.kind == CONSUMER for job in jobs)
    assert all(attributes(job)["trimtab.outcome"] == "done" for job in jobs)
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in trace)


def test_a_request_goes_on_with_the_callers_trace_and_tells_no_text_of_its(
    story: tuple[Collector, dict[str, int]],
) -> None:
    collector, _ = story
    (asked,) = collector.of(bytes.fromhex(CALLER.split("-")[1]))
    assert (asked.name, asked.kind) == ("POST /api/v1/tokens", SERVER)
    assert asked.parent_span_id.hex() == CALLER.split("-")[2]
    assert attributes(asked)["http.response.status_code"] == 200
    everything = b"".join(collector.raw)
    for text in (PASSWORD, ADMINISTRATOR, SECRET, "Bearer", "tenant=x", "Administrator"):
        assert text.encode() not in everything, text


def test_a_collector_that_fails_or_is_away_holds_nothing_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with collecting(status=500) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        with opened(tmp_path / "home", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as house:
            house.day(0)
            assert house.client.get("/health").status_code == 200
        assert collector.raw


def test_without_a_collector_nothing_of_it_is_imported(tmp_path: Path) -> None:
    settings = {"TRIMTAB_HOME": str(tmp_path / "home"), **database_for(tmp_path / "home")}
    program = f"""
import sys
from trimtab.app import Application
from trimtab.platform.settings import Settings
application = Application(Settings(**{settings!r}))
assert application.parts.records.written is None
assert application.parts.following.spans is None
print([name for name in sys.modules if name.startswith("opentelemetry.exporter")
       or name.startswith("opentelemetry.sdk")])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("address", ["collector:4318", "http://user:pw@h:1", "ftp://h", "http://"])
def test_an_address_that_is_none_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    with pytest.raises(InvalidInput, match="OTEL_EXPORTER_OTLP_ENDPOINT") as refused:
        load_settings()
    assert "pw" not in str(refused.value)


@contextmanager
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Call it for the lines of this process; its logging is left as it was found."""
    root, ours = logging.getLogger(), logging.getLogger("trimtab")
    handlers, before, our_level = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    logs.configure_logs("WARNING", stream=stream)
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        root.handlers[:], root.level = handlers, before
        ours.setLevel(our_level)
        structlog.reset_defaults()


def test_a_job_that_fails_is_a_span_that_says_so_and_a_line_with_its_ids(tmp_path: Path) -> None:
    def fails(_: JobArgs) -> None:
        raise ValueError("no such row")

    with collecting() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        with (
            opened(tmp_path / "home", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as house,
            logged() as said,
        ):
            run = house.application.loop._timed(Job("a.job", fails, max_attempts=1))
            with pytest.raises(ValueError, match="no such row"):
                run(JobArgs("a.job:1", {"id": "1"}))
            lines = said()
    (span,) = collector.named("job a.job")
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span)["trimtab.outcome"] == "failed"
    assert b"no such row" not in b"".join(collector.raw), "what an error says may hold anything"
    (line,) = [one for one in lines if one.get("job") == "a.job"]
    assert (line["trace_id"], line["span_id"]) == (span.trace_id.hex(), span.span_id.hex())
    assert line["job_key"] == "a.job:1"


def test_what_a_job_logs_has_its_ids_where_nobody_is_told_of_spans(house: House) -> None:
    """Two lines of a run have the same, two runs do not; nothing is asked of the database."""
    parts, asked = house.application.parts, list[str]()

    def notes(_: JobArgs) -> None:
        for _line in range(2):
            logger("trimtab.tests").warning("in a job")

    run = house.application.loop._timed(Job("a.job", notes, max_attempts=1))

    def begun(*_: Any) -> None:
        asked.append(threading.current_thread().name)

    with logged() as said:
        sa.event.listen(parts.records.database.engine, "begin", begun)
        try:
            for number in range(2):
                run(JobArgs(f"a.job:{number}", {"sequence": 1, "id": "1"}))
        finally:
            sa.event.remove(parts.records.database.engine, "begin", begun)
        with tracing.inside(above := tracing.fresh()):
            run(JobArgs("a.job:2", {}))
        lines = [line for line in said() if line["event"] == "in a job"]
        assert tracing.current() is None
    assert threading.current_thread().name not in asked
    ids = [(line["trace_id"], line["span_id"]) for line in lines]
    assert [len(trace + span) for trace, span in ids] == [48] * 6
    assert ids[::2] == ids[1::2]
    assert len(set(ids)) == 3
    assert len({trace for trace, _ in ids}) == 3
    assert ids[4][0] == above.trace, "what it runs in has brought it about"
    assert ids[4][1] != above.span


def test_what_the_engine_runs_logs_with_ids(house: House) -> None:
    """In the threads of the engine, which no request has anything to do with."""
    with logged() as said:
        house.instants.between("watch.window", lambda: logger("trimtab.tests").warning("in a job"))
        house.day(0)
        house.step_to(FIRST + timedelta(days=4))
        lines = [line for line in said() if line["event"] == "in a job"]
    (line,) = lines
    assert (line["job"], len(line["trace_id"]), len(line["span_id"])) == ("watch.window", 32, 16)


def test_what_is_logged_in_a_look_that_is_shared_has_the_ids_of_who_asked(house: House) -> None:
    """It is taken in a thread of its own, for several requests step by step; what is asked for all
    of them at once is nobody's in particular."""

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        shared = threading.current_thread().name.startswith("looks")
        if shared and not statement.startswith("BEGIN"):  # which is for all of them
            logger("trimtab.tests").warning("in a look")

    engine = house.application.parts.records.database.engine
    traces = {f"request-{n}": secrets.token_hex(16) for n in range(8)}

    def asks(request: str) -> None:
        headers = {"X-Request-Id": request, "traceparent": f"00-{traces[request]}-{'1' * 16}-01"}
        answer = house.client.get(
            f"/api/ml/model/latest?model={MODEL}", headers={**house.admin, **headers}
        )
        assert answer.headers["X-Request-Id"] == request

    with logged() as said, ThreadPoolExecutor(4) as pool:
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            list(pool.map(asks, traces))
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)
        lines = [line for line in said() if line["event"] == "in a look"]
    own = [line for line in lines if "request_id" in line]
    assert {line["request_id"]: line["trace_id"] for line in own} == traces
    assert all(len(line["span_id"]) == 16 for line in own)
    assert not any("trace_id" in line for line in lines if line not in own)
