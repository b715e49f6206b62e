"""What is logged of requests: ids that join, who asked, one line whatever was sent, no secret."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog
from tests.patience import PATIENCE_SECONDS
from tests.serving import administered
from tests.worker.test_application import PASSWORD, opened

from trimtab.app import ADMINISTRATOR, Application
from trimtab.audit import ledger
from trimtab.platform import logs
from trimtab.workflows import log_level
from trimtab.workflows.log_level import LevelKeeper

LEVEL = "/api/v1/log-level"
BECAUSE = {"reason": "requests fail now and then"}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Logged:
    """A control plane that answers, and what this process has logged."""

    application: Application
    client: httpx.Client
    stream: io.StringIO

    def lines(self) -> list[dict[str, Any]]:
        """Every line, which is one event as JSON, in printable ASCII."""
        text = self.stream.getvalue()
        assert re.fullmatch(r"(?:[ -~]*\n)*", text)
        return [json.loads(line) for line in text.splitlines()]

    def last(self, route: str) -> dict[str, Any]:
        return [line for line in self.lines() if line.get("route") == route][-1]

    def sent(self, request: bytes) -> bytes:
        """Bytes as they are, to the port that answers; what it says."""
        with socket.create_connection((self.client.base_url.host, self.client.base_url.port)) as s:
            s.settimeout(PATIENCE_SECONDS)
            s.sendall(request)
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
            return answer


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    root, ours = logging.getLogger(), logging.getLogger("trimtab")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    logs.configure_logs("DEBUG", stream=stream)
    application = opened(tmp_path_factory.mktemp("logged") / "home")
    with administered(application, PASSWORD) as client:
        yield Logged(application, client, stream)
    application.parts.records.database.close()
    root.handlers[:], root.level = handlers, level
    ours.setLevel(our_level)
    structlog.reset_defaults()


def test_a_request_is_one_line_with_its_ids_and_who_asked(logged: Logged) -> None:
    headers = {"X-Request-Id": "till-7.2026_a", "traceparent": f"00-{TRACE}-{SPAN}-01"}
    answer = logged.client.get("/api/v1/models", headers=headers)
    line = logged.last("/api/v1/models")
    assert (line["event"], line["method"], line["status"]) == ("request", "GET", 200)
    assert line["request_id"] == answer.headers["x-request-id"] == "till-7.2026_a"
    assert line["trace_id"] == TRACE
    assert re.fullmatch("[0-9a-f]{16}", line["span_id"])
    assert line["span_id"] != SPAN
    assert line["actor"].startswith("per_") or line["actor"].startswith("usr_")
    assert ADMINISTRATOR not in json.dumps(line)
    assert "tenant" not in line  # an administrator of the fleet has none


def test_a_tenant_that_narrows_is_in_the_line(logged: Logged) -> None:
    body = {"id": "acme", "name": "ACME", **BECAUSE}
    assert logged.client.post("/api/v1/tenants", json=body).status_code == 201
    logged.client.get("/api/v1/models", headers={"X-Tenant-Id": "acme"})
    assert logged.last("/api/v1/models")["tenant"] == "acme"
    logged.client.get("/api/v1/models")
    assert "tenant" not in logged.last("/api/v1/models"), "it is of the request before"


@pytest.mark.parametrize(
    "header",
    ["", "-a", "a b", "a" * 65, "a/b", 'a"b', "a,b", "caf\u00e9"],
)  # fmt: skip
def test_a_request_id_without_the_form_of_one_is_made_anew(logged: Logged, header: str) -> None:
    answer = logged.client.get("/health", headers=[(b"X-Request-Id", header.encode("latin-1"))])
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0",
        "garbage",
    ],
)
def test_a_traceparent_that_is_none_begins_a_trace(logged: Logged, header: str) -> None:
    logged.client.get("/api/v1/models", headers={"traceparent": header})
    line = logged.last("/api/v1/models")
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
    assert line["trace_id"].lower() != TRACE


def test_a_header_that_stands_there_twice_is_not_taken_over(logged: Logged) -> None:
    twice = [("X-Request-Id", "one"), ("X-Request-Id", "two")]
    answer = logged.client.get("/health", headers=twice)
    assert answer.headers["x-request-id"] not in ("one", "two", "one, two")


INJECTIONS = [
    b"\r\n{\"event\": \"forged\"}",
    b"%0d%0a{%22event%22:%22forged%22}",
    b'"}\t{"event": "forged", "level": "critical"}',
    b"\x1b[31mred\x1b[0m",
    b"\x9b31m",
    "a\u2028b\u2029c\u0085d".encode(),
    b"\x00\x7f",
    "\u202egpj.exe".encode(),
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_that_is_sent_makes_another_line(logged: Logged, text: bytes) -> None:
    """In the path, the query and every header that we read, as raw bytes on the wire."""
    host = b"Host: x\r\nConnection: close\r\n"
    names = (b"X-Request-Id", b"traceparent", b"X-Tenant-Id", b"User-Agent", b"X-Api-Key",
             b"Authorization", b"X-Endpoint-Id", b"Idempotency-Key")  # fmt: skip
    for name in names:
        logged.sent(b"GET /api/v1/models HTTP/1.1\r\n" + host + name + b": " + text + b"\r\n\r\n")
    logged.sent(
        b"GET /api/v1/models/" + text + b"?tenant=" + text + b" HTTP/1.1\r\n" + host + b"\r\n"
    )
    body = json.dumps({"email": text.decode("latin-1"), "password": text.decode("latin-1")})
    logged.client.post("/api/v1/tokens", json=json.loads(body))
    new = {"id": "x", "name": text.decode("latin-1"), "reason": text.decode("latin-1") * 3}
    logged.client.post("/api/v1/tenants", json=new)
    lines = logged.lines()
    assert all(line["event"] != "forged" for line in lines)
    assert all(set(line) >= {"event", "level", "logger", "time"} for line in lines)
    assert logged.client.get("/health").status_code in (200, 503)


def level_of(logged: Logged) -> dict[str, Any]:
    found: dict[str, Any] = logged.client.get(LEVEL).json()
    return found


def test_the_level_is_set_for_a_time_by_everybody_and_is_on_record(logged: Logged) -> None:
    parts = logged.application.parts
    keeper = LevelKeeper(parts)
    keeper.look()
    assert logs.current_level() == "DEBUG", "nobody has asked for another one"
    logs.set_level("INFO")
    assert level_of(logged) == {"level": "INFO", "until": None}
    answer = logged.client.put(LEVEL, json={"level": "DEBUG", "minutes": 5, **BECAUSE})
    assert answer.status_code == 200, answer.text
    assert level_of(logged)["level"] == "DEBUG"
    keeper.look()  # what a process without HTTP does, too
    assert logs.current_level() == "DEBUG"
    with parts.records.look() as reading:
        (entry,) = ledger.entries(reading.connection, kinds=("log_level.changed",))
    assert (entry.reason, entry.data and entry.data["level"]) == (BECAUSE["reason"], "DEBUG")
    assert entry.actor != "system:start"

    class Later:
        grain = timedelta(0)

        def __init__(self, by: timedelta):
            self._by = by

        def now(self) -> Any:
            return parts.real_clock.now() + self._by

    again = LevelKeeper(dataclasses.replace(parts, real_clock=Later(timedelta(minutes=5))))
    again._held = True  # as the one that followed above
    again.look()
    assert logs.current_level() == "INFO", "the time is over"
    for by in (timedelta(minutes=5), timedelta(days=-1)):
        with parts.records.look() as reading:
            found = log_level.wanted(reading, "INFO", real_clock=Later(by))
        assert (found.level, found.until) == ("INFO", None), by


def test_a_thread_follows_within_its_pause(logged: Logged) -> None:
    logs.set_level("ERROR")
    keeper = LevelKeeper(logged.application.parts, look_seconds=0.01)
    logged.client.put(LEVEL, json={"level": "WARNING", "minutes": 1, **BECAUSE})
    keeper.start()
    deadline = logged.application.parts.real_clock.now() + timedelta(seconds=PATIENCE_SECONDS)
    while logs.current_level() != "WARNING":
        assert logged.application.parts.real_clock.now() < deadline
    keeper.stop()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"level": "CHATTY", "minutes": 5, **BECAUSE}, "level"),
        ({"level": "DEBUG", "minutes": 0, **BECAUSE}, "minutes"),
        ({"level": "DEBUG", "minutes": 241, **BECAUSE}, "minutes"),
        ({"level": "DEBUG", "minutes": 5}, "reason"),
    ],
)
def test_what_cannot_be_a_level_is_refused_by_name(
    logged: Logged, body: dict[str, Any], field: str
) -> None:
    answer = logged.client.put(LEVEL, json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_nobody_but_an_administrator_of_the_fleet_sets_it(logged: Logged) -> None:
    person = {"email": "lea@example.org", "name": "Lea", "roles": ["ml_lead"],
              "password": "choose-a-long-one-17x", **BECAUSE}  # fmt: skip
    made = logged.client.post("/api/v1/people", json=person)
    assert made.status_code == 201, made.text
    who = {"email": "lea@example.org", "password": "choose-a-long-one-17x"}
    token = logged.client.post("/api/v1/tokens", json=who).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    body = {"level": "DEBUG", "minutes": 5, **BECAUSE}
    assert logged.client.put(LEVEL, json=body, headers=headers).status_code == 403
    assert logged.client.get(LEVEL, headers=headers).status_code == 403
    assert "choose-a-long-one" not in logged.stream.getvalue()
    narrowed = {"X-Tenant-Id": "acme"}
    assert logged.client.put(LEVEL, json=body, headers=narrowed).status_code == 403
