"""How things are said: statuses as word, shape and tone; numbers with unit and distance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import quote

from trimtab.kernel.clock import iso


class Tone(StrEnum):
    """What a colour stands for; never the only sign of it."""

    GOOD = "good"
    WAIT = "wait"
    BAD = "bad"
    PLAIN = "plain"
    MOVE = "move"


@dataclass(frozen=True)
class Status:
    """A state as it is shown everywhere: a word, a shape and a tone."""

    word: str
    shape: str
    tone: Tone


_VERDICTS = {
    "pass": Status("pass", "disc", Tone.GOOD),
    "fail": Status("fail", "cross", Tone.BAD),
    "inconclusive": Status("inconclusive", "half", Tone.WAIT),
    "error": Status("error", "triangle", Tone.BAD),
}
_STATES = {
    # lifecycle of a version
    "development": Status("development", "ring", Tone.PLAIN),
    "staging": Status("staging", "half", Tone.WAIT),
    "approved": Status("approved", "disc", Tone.GOOD),
    "production": Status("production", "disc", Tone.GOOD),
    "rejected": Status("rejected", "cross", Tone.BAD),
    "deprecated": Status("deprecated", "dash", Tone.PLAIN),
    "archived": Status("archived", "dash", Tone.PLAIN),
    "quarantined": Status("quarantined", "triangle", Tone.BAD),
    # approvals
    "pending": Status("pending", "half", Tone.WAIT),
    "expired": Status("expired", "dash", Tone.PLAIN),
    "withdrawn": Status("withdrawn", "dash", Tone.PLAIN),
    "voided": Status("voided", "cross", Tone.PLAIN),
    # rollouts
    "running": Status("running", "half", Tone.MOVE),
    "held": Status("held", "square", Tone.WAIT),
    "promoting": Status("promoting", "half", Tone.MOVE),
    "promoted": Status("promoted", "disc", Tone.GOOD),
    "rolling_back": Status("rolling back", "triangle", Tone.BAD),
    "rolled_back": Status("rolled back", "cross", Tone.BAD),
    # incidents and their severities
    "open": Status("open", "triangle", Tone.BAD),
    "diagnosed": Status("diagnosed", "triangle", Tone.WAIT),
    "acting": Status("acting", "diamond", Tone.MOVE),
    "verifying": Status("verifying", "half", Tone.MOVE),
    "resolved": Status("resolved", "disc", Tone.GOOD),
    "escalated": Status("escalated", "triangle", Tone.BAD),
    "low": Status("low", "ring", Tone.PLAIN),
    "medium": Status("medium", "half", Tone.WAIT),
    "high": Status("high", "triangle", Tone.BAD),
    "critical": Status("critical", "cross", Tone.BAD),
    # watching
    "calm": Status("calm", "disc", Tone.GOOD),
    "suspected": Status("suspected", "half", Tone.WAIT),
    "confirmed": Status("confirmed", "triangle", Tone.BAD),
    "unwatched": Status("not watched yet", "ring", Tone.PLAIN),
    # remedies
    "proposed": Status("proposed", "half", Tone.WAIT),
    "refused": Status("refused", "cross", Tone.BAD),
    "permitted": Status("permitted", "half", Tone.MOVE),
    "executing": Status("under way", "diamond", Tone.MOVE),
    "succeeded": Status("succeeded", "disc", Tone.GOOD),
    "no_effect": Status("no effect", "dash", Tone.WAIT),
    "failed": Status("failed", "cross", Tone.BAD),
    "compensated": Status("undone", "dash", Tone.PLAIN),
    "aborted": Status("stopped", "square", Tone.PLAIN),
    # lines of a plan, and what a diagnosis advises
    "automatic": Status("by itself", "diamond", Tone.MOVE),
    "ask": Status("if a person asks", "ring", Tone.PLAIN),
    "advised": Status("advised", "disc", Tone.GOOD),
    "advised_against": Status("advised against", "cross", Tone.BAD),
    # what a diagnosis comes to
    "cause_found": Status("cause found", "disc", Tone.GOOD),
    "none_found": Status("no cause found", "half", Tone.WAIT),
    "insufficient_data": Status("too little data", "half", Tone.WAIT),
    # who may come in
    "let_in": Status("may log in", "disc", Tone.GOOD),
    "let_out": Status("let in no more", "dash", Tone.PLAIN),
    "usable": Status("usable", "disc", Tone.GOOD),
    "revoked": Status("revoked", "cross", Tone.PLAIN),
    # the record
    "whole": Status("whole", "disc", Tone.GOOD),
    "not_whole": Status("not whole", "cross", Tone.BAD),
    "unverified": Status("not verified", "half", Tone.WAIT),
}


def verdict(word: str) -> Status:
    """One of the four verdicts; a word that is none of them reads as an error."""
    return _VERDICTS.get(word, Status(word, "triangle", Tone.BAD))


def state(word: str) -> Status:
    """A phase of whatever state machine; one without a shape of its own stays plain."""
    return _STATES.get(word, Status(words(word), "ring", Tone.PLAIN))


_ABBREVIATIONS = {"f1": "F1", "ml": "ML", "onnx": "ONNX", "pii": "PII", "psi": "PSI", "usd": "USD"}


def words(name: str) -> str:
    """`ml_lead` as a person reads it."""
    return " ".join(_ABBREVIATIONS.get(word, word) for word in name.replace("_", " ").split(" "))


def kind(name: str) -> str:
    """`rollout.step_intended` as a person reads it."""
    return name.replace(".", " ").replace("_", " ")


def moment(at: datetime | None) -> str:
    """A time to the minute, with its zone."""
    return "never" if at is None else iso(at)[:16].replace("T", " ") + " UTC"


def day(at: datetime) -> str:
    """The date alone; for labels whose time stands nearby."""
    return iso(at)[:10]


def span(length: timedelta) -> str:
    """A length of time in its two largest units."""
    minutes = max(0, int(length.total_seconds()) // 60)
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{rest} min" if rest else "less than 1 min"


def share(value: object, digits: int = 2) -> str:
    """A share from 0 to 1 as percent; what is not a number is said to be unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "unknown"
    return f"{100 * value:.{digits}f} %"


def number(value: object) -> str:
    """A JSON value in few characters."""
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}".replace(",", "\u202f")
        case float():
            return f"{value:.4g}"
        case list() | tuple():
            return ", ".join(number(item) for item in value) or "none"
        case _:
            return str(value)


def size(count: int) -> str:
    """Bytes in a unit a person can hold."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def distance(value: float | None, limit: float | None) -> str:
    """How far a share lies from the limit that it must not exceed, in percentage points."""
    if value is None or limit is None:
        return "distance unknown"
    points = 100 * (limit - value)
    if points >= 0:
        return f"{points:.2f} points below its limit"
    return f"{-points:.2f} points above its limit"


def short(digest: str) -> str:
    """Enough of a digest to tell it from its neighbours."""
    return digest.removeprefix("sha256:")[:12]


def path(*segments: str) -> str:
    """An address of ours; names are quoted, whatever they contain."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def count(number_of: int, noun: str, plural: str | None = None) -> str:
    """`1 incident`, `2 incidents`; `1 entry`, `2 entries`."""
    return f"{number(number_of)} {noun if number_of == 1 else plural or noun + 's'}"
