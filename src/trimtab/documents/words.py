"""How documents say things: texts of strangers, moments, numbers, sizes, sources."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime

from trimtab.documents.card import Library, Metric, Source
from trimtab.kernel import signs
from trimtab.kernel.clock import iso

LONG = 600
"""Characters of a text that are shown; the whole of it stands in the JSON."""

_LINES = "\v\f\x1c\x1d\x1e\x85"  # what else ends a line, as `str.splitlines` has it
_BREAK = re.compile(f"\r\n|[\n\r\u2028\u2029{_LINES}]")
_MOST_LINES = 30
_STACKED = re.compile("([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]{4})"
                      "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]+")  # fmt: skip
"""More marks on one letter than any writing has: they would run over their neighbours."""

INSTALLERS = frozenset(("pip", "setuptools", "wheel"))
"""What puts an environment up, and is not what a model is computed with."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def seen(text: str, length: int = LONG) -> str:
    """A text of strangers on one line: what cannot be seen is shown by a sign, what turns the
    direction of writing by its code; what is too long is cut, with how much it was. What is
    written from right to left is isolated, so that it moves nothing beside it."""
    shown = _STACKED.sub(r"\1⟨…⟩", "".join(_sign(sign) for sign in text[:length]))
    if not shown.strip(" "):
        return "␣" * len(shown) or "(empty)"
    if any(unicodedata.bidirectional(sign) in {"R", "AL", "AN"} for sign in shown):
        shown = f"\u2068{shown}\u2069"
    return shown if len(text) <= length else f"{shown}… ({len(text):,} characters)"


def lines(text: str, length: int = LONG) -> str:
    """The same of a text of several lines, whose breaks are kept; of empty lines one at a time,
    and no more lines than a reader takes in."""
    found = list[str]()
    for line in _BREAK.split(text[:length].strip()):
        if line.strip():
            found.append(seen(line, length))
        elif found and found[-1]:
            found.append("")
    if len(found) < 2:
        return seen(text.strip() or text, length)
    more = "…" if len(found) > _MOST_LINES else ""
    if len(text) > length:
        more = f"… ({len(text):,} characters)"
    return "\n".join(found[:_MOST_LINES]) + more


def _sign(sign: str) -> str:
    if sign in _LINES:
        return "↵"
    return signs.coded(sign) if unicodedata.category(sign) == "Cn" else signs.seen(sign)


def encodable(text: str) -> str:
    """The same text, with halves of surrogate pairs, which UTF-8 has no form for, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def moment(at: datetime) -> str:
    """A time to the minute, with its zone."""
    return iso(at)[:16].replace("T", " ") + " UTC"


def day(at: datetime) -> str:
    """The date as it stands in a sentence: `3 Nov 2026`."""
    year, month, number = iso(at)[:10].split("-")
    return f"{int(number)} {_MONTHS[int(month) - 1]} {year}"


def source(told: Source) -> str:
    """Where a statement was read, in one line: ``model version `tags.owner`, 3 Nov 2026``."""
    line = seen(told.origin, 120) + (f" `{seen(told.key, 120)}`" if told.key else "")
    if told.at is not None:
        line += f", {day(told.at)}"
    if told.coerced_from is not None:
        line += f"; written as “{seen(told.coerced_from, 120)}”"
    return line


def number(value: float | None) -> str:
    """A number to six significant digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "—"
    size = abs(value)
    if isinstance(value, int) or (value == int(value) and size < 1e12):
        told = f"{int(value):,}"
    elif size < 1e-4 or size >= 1e9:
        told = f"{value:.5e}"
    else:
        told = f"{value:,.{max(0, 5 - math.floor(math.log10(size)))}f}".rstrip("0").rstrip(".")
    return told.replace("-", "\u2212")


def pinned(libraries: Sequence[Library]) -> str:
    """How many packages of an environment are pinned, as a sentence. What puts the environment
    up is set aside: nothing is computed with it."""
    needed = [one for one in libraries if one.name.casefold() not in INSTALLERS]
    amount = sum(one.version is not None for one in needed)
    aside = " pip, setuptools and wheel are set aside." if len(needed) < len(libraries) else ""
    return f"{amount:,} of {count(len(needed), 'package')} pinned to one version.{aside}"


def metric(told: Metric) -> str:
    """The value of a metric, or what stood there instead."""
    if told.value is not None:
        return number(told.value)
    return f"not a number ({seen(told.invalid, 40)})" if told.invalid else "—"


def size(count: int | None) -> str:
    """Bytes in a unit a person can hold."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def count(amount: int, noun: str, plural: str | None = None) -> str:
    """`1 gap`, `2 gaps`."""
    return f"{amount:,} {noun if amount == 1 else plural or noun + 's'}"
