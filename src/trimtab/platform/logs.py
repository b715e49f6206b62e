"""Logs: one event is one line of JSON, with the ids of request, trace and actor, and without
secrets.

Everything outside ASCII, and every control character, is written as a JSON escape, so no
value can end a line early, colour a terminal, or look like another event.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor

from trimtab.kernel.clock import Clock, SystemClock, iso
from trimtab.kernel.errors import InvalidInput
from trimtab.platform import tracing

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
REDACTED: Final = "[redacted]"

_OURS = "trimtab"
_REQUEST_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_request: ContextVar[dict[str, str] | None] = ContextVar("trimtab_request", default=None)
_DEEPEST = 6
_LONGEST = 8192
_MOST = 200
_LONGEST_LINE = 1 << 16
_SECRET_KEY = re.compile(
    r"passw|secret|token|authori[sz]ation|api_?key|cookie|credential|private_?key|session_?id",
    re.IGNORECASE,
)
_NAMED = r"((?:passw\w*+|secret|token|api_?key)\w*+[\"']?\s*+[=:]\s*+[\"']?)[^\s\"'&,;]+"
_SECRET_VALUES = (
    (re.compile(r"\b(ak_[0-9A-Za-z]+)\.[^\s\"',;<>]+"), r"\1." + REDACTED),
    (re.compile(r"\b(Bearer|Basic)\s++[\w.~+/=-]+", re.IGNORECASE), r"\1 " + REDACTED),
    (re.compile(r"\beyJ[\w-]++\.[\w-]++\.[\w-]*"), REDACTED),
    (re.compile(r"(?<=://)[^/\s@:]*+:[^/\s]*@"), REDACTED + "@"),
    (re.compile(r"(hooks\.slack\.com/services/)[\w/-]+"), r"\1" + REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END|\Z)", re.DOTALL), REDACTED),
    (re.compile(_NAMED, re.IGNORECASE), r"\1" + REDACTED),
)
"""Our API keys, then what others' secrets look like. None backtracks: texts are foreign."""


def configure_logs(
    level: str = "INFO", *, stream: TextIO | None = None, clock: Clock | None = None
) -> None:
    """Send every log of this process, other libraries' too, to `stream` as JSON lines.

    Args:
        level: Lowest level of our own loggers that is written. Other libraries' begin at
            WARNING whatever it is: at DEBUG some of them write queries with their values.
        stream: Standard error by default.
        clock: For the time of each line; real time by default, also where domain time
            is stepped.

    Raises:
        InvalidInput: no such level.
    """
    time = clock or SystemClock()

    def stamp(_: Any, __: str, event: EventDict) -> EventDict:
        event["time"] = iso(time.now())
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        stamp,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                _render,
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> str:
    """From now on, write our own logs from `level` up; return the level until now.

    Raises:
        InvalidInput: no such level; nothing changes.
    """
    wanted = known_level(level)
    before = current_level()
    logging.getLogger(_OURS).setLevel(wanted)
    return before


def known_level(level: str) -> str:
    """The name of a level as it is written.

    Raises:
        InvalidInput: there is no such level.
    """
    wanted = level.upper()
    if wanted not in LEVELS:
        raise InvalidInput(
            f"no log level {level[:40]!r}",
            field="level",
            remedy=f"Choose one of {', '.join(LEVELS)}.",
        )
    return wanted


def current_level() -> str:
    """The lowest level of our own loggers that is written."""
    return logging.getLevelName(logging.getLogger(_OURS).getEffectiveLevel())


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; call it as `logger(__name__).info("what happened", key=value)`."""
    found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return found


@contextlib.contextmanager
def request_context(request_id: str, **fields: str) -> Iterator[None]:
    """Put `request_id` and `fields` into every event logged inside, in this thread or task and
    in those that it hands work to; then also what `know_caller` says in any of them.

    One variable for all of it: structlog's own, of which each field has one, are for jobs,
    which are few.
    """
    token = _request.set({"request_id": request_id, **fields})
    try:
        yield
    finally:
        _request.reset(token)


def know_caller(actor: str, tenant: str | None) -> None:
    """From now on it is known who asks, by ids: every later event of this request says so.

    A request is answered in several threads, each with a copy of the context; what they share
    is the one dictionary.
    """
    known = _request.get()
    if known is not None:
        known["actor"] = actor
        if tenant is not None:
            known["tenant"] = tenant


def heard(level: int) -> bool:
    """Whether what our loggers say at this level of `logging` is written: what is said with
    every request is not composed in vain."""
    return logging.getLogger(_OURS).isEnabledFor(level)


def usable_request_id(text: str) -> bool:
    """Whether a caller's id for a request can be taken over: it goes into logs and answers."""
    return _REQUEST_ID.fullmatch(text) is not None


def _with_request(_: Any, __: str, event: EventDict) -> EventDict:
    """The event with what is known of the request and of the span that it happened in."""
    for key, value in (_request.get() or {}).items():
        event.setdefault(key, value)
    span = tracing.current()
    if span is not None:
        event.setdefault("trace_id", span.trace)
        event.setdefault("span_id", span.span)
    return event


def current_request_id() -> str | None:
    """The id of the request that is being answered; None outside of one."""
    return (_request.get() or {}).get("request_id")


def redact(_: Any, __: str, event: EventDict) -> MutableMapping[str, Any]:
    """The event as plain JSON values, bounded in size, with secrets taken out.

    A value goes when its key says that it is a secret, at any depth; a part of a text goes
    when it has the form of one.
    """
    return {_text(key): _value(key, value, 0) for key, value in event.items()}


def _value(key: object, value: Any, depth: int) -> Any:
    if isinstance(key, str) and _SECRET_KEY.search(key.replace("-", "_")) and value is not None:
        return REDACTED
    match value:
        case None | bool():
            return value
        case int():
            return value if value.bit_length() < 64 else f"<int of {value.bit_length()} bits>"
        case float():
            return value if value - value == 0 else str(value)
        case Enum():
            return _value(key, value.value, depth)
        case Mapping() | list() | tuple() | set() | frozenset() if depth == _DEEPEST:
            return "[deeper than is logged]"
        case Mapping():
            return {
                _text(inner): _value(inner, item, depth + 1)
                for inner, item in list(value.items())[:_MOST]
            }
        case list() | tuple() | set() | frozenset():
            return [_value(None, item, depth + 1) for item in list(value)[:_MOST]]
        case str():
            return _text(value)
        case datetime():
            return value.isoformat()
        case bytes() | Path() | BaseException():
            return _text(repr(value[:_LONGEST]) if isinstance(value, bytes) else str(value))
        case _:  # what a foreign object would say of itself may hold anything, or raise
            return f"<{type(value).__name__}>"


def _text(value: object) -> str:
    if not isinstance(value, str):
        return f"<{type(value).__name__}>"
    cut = len(value) - _LONGEST
    text = value[: 2 * _LONGEST]  # enough for a secret across the cut to be seen whole
    for pattern, replacement in _SECRET_VALUES:
        text = pattern.sub(replacement, text)
    return text if cut <= 0 else f"{text[:_LONGEST]}... ({cut} more)"


def _render(_: Any, __: str, event: EventDict) -> str:
    line = json.dumps(event, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")
    if len(line) <= _LONGEST_LINE:
        return line
    kept = {key: event[key] for key in ("event", "level", "logger", "time") if key in event}
    return _render(_, __, kept | {"too_long": len(line)})
