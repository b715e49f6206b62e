"""Strangers' values made plain: text that every store can hold, finite numbers, moments.

Nothing here raises, whatever it is given: what cannot be made plain comes back as None with the
reason.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from trimtab.kernel.clock import iso

_SEPARATORS = re.compile(r"[-_.\s/]+")
_HALVES = re.compile("[\ud800-\udfff]")
_DIRECTIONS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT_CHARS = 100
_GREATEST = 1.7976931348623157e308
"""What some servers write in the place of an infinity."""


@dataclass(frozen=True)
class Limits:
    """How much of a version is kept. What is above a limit is cut, and a finding says so."""

    tag_value_chars: int = 5_000
    text_chars: int = 20_000
    """Of a description, a name or an address."""
    key_chars: int = 500
    """Of the name of a tag, metric or parameter."""
    tags: int = 1_000
    """Of one registered model, version or run."""
    metrics: int = 2_000
    parameters: int = 2_000
    datasets: int = 200
    files: int = 2_000
    future_hours: float = 24.0
    """How far ahead of us a registry's clock may be before its times are not believed."""


@dataclass(frozen=True)
class Plain:
    """A value that could be made plain, or None; and what was wrong with it, if anything."""

    value: Any = None
    fault: str | None = None


def mapping(found: Any) -> Mapping[str, Any]:
    """`found` if it is an object of JSON, else an empty one."""
    return found if isinstance(found, Mapping) else {}


def listed(found: Any) -> Sequence[Any]:
    """`found` if it is a list of JSON, else an empty one."""
    return found if isinstance(found, list | tuple) else ()


def text(found: Any, limit: int) -> Plain:
    """`found` as text of at most `limit` characters that can be written in UTF-8.

    Every character is kept, line breaks and NUL too; halves of surrogate pairs alone are
    replaced. Numbers and truth values are written as JSON writes them.
    """
    match found:
        case None:
            return Plain()
        case str():
            return _clean(found, limit)
        case bool():
            return Plain("true" if found else "false")
        case int() | float():
            return Plain(str(found)[:limit]) if _short(found) else Plain(None, "too many digits")
        case _:
            return Plain(None, f"{_kind(found)} stands where text is expected")


def _clean(found: str, limit: int) -> Plain:
    faults = []
    kept = found[:limit]
    if len(found) > limit:
        faults.append(f"{len(found) - limit} of {len(found)} characters were cut")
    if _HALVES.search(kept):
        kept = _HALVES.sub("\ufffd", kept)
        faults.append("halves of surrogate pairs were replaced")
    return Plain(kept, "; ".join(faults) or None)


def folded(word: str) -> str:
    """`word` without case and separators, for comparing names: `dataOwner` is `data_owner`."""
    return _folded_short(word) if len(word) <= _SHORT_CHARS else _fold(word)


def _fold(word: str) -> str:
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", word).casefold())


# The same few names come with every version, and are asked for once for each field.
_folded_short = functools.lru_cache(maxsize=4_096)(_fold)


def odd_characters(name: str) -> bool:
    """Whether `name` has characters that are not seen, or that turn the direction of writing."""
    return any(c in _DIRECTIONS or unicodedata.category(c) == "Cc" for c in name)


def number(found: Any) -> Plain:
    """`found` as a finite float. The fault is a short word: `nan`, `inf`, `-inf`, or what else
    stood there. The greatest floats count as infinite, because servers write them for that."""
    match found:
        case bool() | None:
            return Plain(None, "missing" if found is None else "not a number")
        case str():
            return _written(found)
        case int() | float():
            return _finite(found)
        case _:
            return Plain(None, "not a number")


def _written(found: str) -> Plain:
    try:
        read = _finite(float(found[:400]))
    except ValueError:
        return Plain(None, "not a number")
    # Of 1e999 the word is kept, because nobody has written an infinity there.
    named = any(c.isdigit() for c in found)
    return Plain(None, found.strip()[:40]) if read.fault and named else read


def _finite(found: float) -> Plain:
    if isinstance(found, int) and abs(found) > _GREATEST:
        return Plain(None, "inf" if found > 0 else "-inf")
    if math.isnan(found):
        return Plain(None, "nan")
    if abs(found) >= _GREATEST:
        return Plain(None, "inf" if found > 0 else "-inf")
    return Plain(float(found))


def integer(found: Any) -> int | None:
    """`found` as an integer of 64 bits, also from text; None for anything else."""
    if isinstance(found, str) and re.fullmatch(r"-?[0-9]{1,19}", found):
        found = int(found)
    fits = isinstance(found, int) and not isinstance(found, bool) and -(2**63) <= found < 2**63
    return found if fits else None


def moment(found: Any, now: datetime, limits: Limits) -> Plain:
    """Milliseconds since 1970 as RFC 3339 text. What is no time that can have been is None with
    the reason: 0, negative, beyond the calendar, or ahead of `now` by more than is allowed."""
    if found is None:
        return Plain()
    milliseconds = integer(found)
    if milliseconds is None:
        return Plain(None, "not a time in milliseconds")
    if milliseconds <= 0:
        return Plain(None, f"{milliseconds} ms is no time at which it can have been")
    if milliseconds > (now - _EPOCH + timedelta(hours=limits.future_hours)) // timedelta(
        milliseconds=1
    ):
        return Plain(None, f"{milliseconds} ms lies in the future")
    return Plain(iso(_EPOCH + timedelta(milliseconds=milliseconds)))


def _short(found: float) -> bool:
    # More digits than these are not converted by the interpreter.
    return not isinstance(found, int) or found.bit_length() < 4096


def _kind(found: Any) -> str:
    if isinstance(found, Mapping):
        return "an object"
    return "a list" if isinstance(found, list | tuple) else f"a {type(found).__name__}"
