"""Logs: one event, one line, no secret, and a level that changes while running."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import InvalidInput
from trimtab.platform import logs

KEY = "ak_0123456789abcdef." + "s3cr3t" * 7 + "x"


class Lines:
    """What was logged, as text and parsed."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def text(self) -> str:
        return self.stream.getvalue()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def only(self) -> dict[str, Any]:
        assert self.text().count("\n") == 1
        (event,) = self.events()
        return event


def configured(level: str = "INFO") -> Lines:
    lines = Lines()
    clock = SteppedClock(datetime(2015, 7, 1, tzinfo=UTC))
    logs.configure_logs(level, stream=lines.stream, clock=clock)
    return lines


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was found."""
    root, ours = logging.getLogger(), logging.getLogger("trimtab")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level = handlers, level
    ours.setLevel(our_level)
    structlog.reset_defaults()


def test_an_event_is_one_line_of_json_with_its_time_level_and_logger() -> None:
    lines = configured()
    logs.logger("trimtab.somewhere").info("rollout held", rollout="ro_1", share=0.25)
    assert lines.only() == {
        "event": "rollout held",
        "level": "info",
        "logger": "trimtab.somewhere",
        "rollout": "ro_1",
        "share": 0.25,
        "time": "2015-07-01T00:00:00.000000Z",
    }


@given(st.text(), st.text())
def test_no_text_breaks_out_of_its_line(event: str, value: str) -> None:
    lines = configured()
    logs.logger("trimtab.x").info(event, value=value, nested=[{"inner": value}])
    assert lines.text().count("\n") == 1
    assert all(" " <= letter <= "~" for letter in lines.text().rstrip("\n"))
    lines.only()


@pytest.mark.parametrize(
    "text",
    ["a\r\nb", '"}\n{"event": "forged"}', "\x1b[31mred", "\x9b31m", "a\u2028b\u2029c", "\x00\x7f",
     "\ud800", "\u202egpj.exe"],
)  # fmt: skip
def test_known_injections_come_back_as_they_were(text: str) -> None:
    lines = configured()
    logs.logger("trimtab.x").info("upload", name=text)
    assert lines.only()["name"] == text
    assert "\x1b" not in lines.text()
    assert len(lines.text().splitlines()) == 1


@pytest.mark.parametrize(
    "key",
    ["password", "PASSWORD", "new_passwd", "client_secret", "token", "access_token",
     "Authorization", "x-api-key", "api_key", "apikey", "cookie", "private-key", "credentials"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["hunter2", ["hunter2"], {"a": "hunter2"}, b"hunter2"])
def test_a_value_under_a_telling_key_is_redacted_at_any_depth(key: str, value: object) -> None:
    lines = configured()
    logs.logger("trimtab.x").info("x", **{key: value, "headers": [{"deep": {key: value}}]})
    assert "hunter2" not in lines.text()
    assert lines.only()[key] == logs.REDACTED


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"key {KEY}, and more",
        f'{{"k": "{KEY}"}}',
        f"Authorization: Bearer s3cr3t{'a' * 20}",
        "bearer s3cr3t.b.c",
        "Basic czNjcjN0s3cr3t==",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzM2NyM3QifQ.s3cr3t",
        "postgresql://app:s3cr3t@db/x",
        "postgresql://app:s3cr3t@s3cr3t@db/x",
        "redis://:s3cr3t@r:6379",
        "https://hooks.slack.com/services/T0/B0/s3cr3t",
        "-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\ns3cr3t",
        "password=s3cr3t",
        "{'client_secret': 's3cr3t'}",
        "JWT_SECRET=s3cr3t",
    ],
)
def test_what_looks_like_a_secret_is_redacted_wherever_it_stands(text: str) -> None:
    lines = configured()
    log = logs.logger("trimtab.x")
    log.info(text)
    log.info("x", value=text, nested={"list": [text]}, **{text: "as a key"})
    log.info("formatted %s", text)
    log.info("bytes", value=text.encode())
    logging.getLogger("foreign").warning("said %s", text)
    try:
        raise ValueError(text)
    except ValueError as error:
        log.exception("failed", error=error)
    assert "s3cr3t" not in lines.text()
    assert len(lines.events()) == 6


def test_the_public_part_of_a_key_and_ordinary_words_stay() -> None:
    lines = configured()
    logs.logger("trimtab.x").info(
        "used", key=KEY, note="see https://example.org/a:b@c", n=3, at=Path("f", KEY)
    )
    event = lines.only()
    assert event["key"] == "ak_0123456789abcdef.[redacted]"
    assert event["note"] == "see https://example.org/a:b@c"
    assert event["n"] == 3
    assert event["at"] == "f/ak_0123456789abcdef.[redacted]"


@pytest.mark.parametrize(
    "text",
    ["://" + ":" * 16_000, "passw" * 3000, "eyJ-" * 4000, "://a:" * 3000, "ak_a" * 4000,
     "-----BEGIN " * 1400, "Bearer " * 2000, "token " * 2500, "secret" + " " * 16_000],
)  # fmt: skip
def test_no_text_makes_redaction_slow(text: str) -> None:
    lines = configured()
    since = time.thread_time()  # what it computes, however busy the machine is
    logs.logger("trimtab.x").info("x", value=text)
    assert time.thread_time() - since < 0.5
    lines.only()


def test_events_are_bounded_and_foreign_objects_neither_speak_nor_raise() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    class Colour(Enum):
        RED = "red"

    circle: list[Any] = []
    circle.append(circle)
    lines = configured()
    log = logs.logger("trimtab.x")
    log.info("x", rude=Rude(), long="x" * 100_000, circle=circle, number=10**5000)
    log.info("x", many={str(n): "y" * 8000 for n in range(500)})
    log.info("x", colour=Colour.RED, none=None, nan=float("nan"))
    first, second, third = lines.events()
    assert first["rude"] == "<Rude>"
    assert first["long"].endswith("(91808 more)")
    assert second["too_long"] > 1_000_000
    assert (third["colour"], third["none"], third["nan"]) == ("red", None, "nan")
    assert all(len(line) <= 70_000 for line in lines.text().splitlines())


def test_a_secret_across_the_cut_does_not_leak_its_first_half() -> None:
    lines = configured()
    url = "redis://u:" + "s3cr3t" * 20 + "@host"
    logs.logger("trimtab.x").info("x", value="x" * 8150 + " " + url)
    assert "s3cr3t" not in lines.text()


def test_the_level_changes_while_running_for_loggers_that_exist() -> None:
    lines = configured("INFO")
    log = logs.logger("trimtab.x")
    log.debug("unheard")
    assert logs.set_level("debug") == "INFO"
    assert logs.current_level() == "DEBUG"
    log.debug("heard")
    assert logs.set_level("ERROR") == "DEBUG"
    log.warning("unheard again")
    assert [event["event"] for event in lines.events()] == ["heard"]


def test_an_unknown_level_is_refused_and_nothing_changes() -> None:
    configured("INFO")
    with pytest.raises(InvalidInput) as refused:
        logs.set_level("chatty")
    assert refused.value.field == "level"
    assert "WARNING" in (refused.value.remedy or "")
    assert logs.current_level() == "INFO"


def test_other_libraries_are_heard_from_warning_up_in_the_same_form() -> None:
    lines = configured("DEBUG")
    logging.getLogger("some.library").info("SELECT with values")
    logging.getLogger("some.library").warning("pool is %d %s", 1, "full\n")
    event = lines.only()
    assert (event["event"], event["level"]) == ("pool is 1 full\n", "warning")
    assert event["time"].startswith("2015-07-01")


def test_the_request_id_is_in_every_event_of_its_thread_only() -> None:
    lines = configured()
    log = logs.logger("trimtab.x")
    with logs.request_context("req_1", tenant="ten_a"):
        log.info("inside")
        logging.getLogger("foreign").warning("inside too")
        assert logs.current_request_id() == "req_1"
        other = threading.Thread(target=lambda: log.info("elsewhere"))
        other.start()
        other.join()
        with logs.request_context("req_2"):
            log.info("deeper")
    log.info("outside")
    assert logs.current_request_id() is None
    assert [event.get("request_id") for event in lines.events()] == [
        "req_1", "req_1", None, "req_2", None,
    ]  # fmt: skip
    assert lines.events()[0]["tenant"] == "ten_a"


def test_an_exception_is_told_on_one_line() -> None:
    lines = configured()
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logs.logger("trimtab.x").exception("failed")
    event = lines.only()
    assert "ValueError: first\nsecond" in event["exception"]
    assert event["level"] == "error"


def test_configuring_twice_does_not_write_twice() -> None:
    configured()
    lines = configured()
    logs.logger("trimtab.x").info("once")
    lines.only()
