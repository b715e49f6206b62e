"""How the report of a comparison says things: names of strangers, numbers, dates, statuses."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any

from trimtab.kernel import signs

LONG = 60
"""Characters of a name that are shown; more of it stands in its title."""

_LONG_TITLE = 400
_THIN = "\u202f"
_MINUS = "\u2212"
_WORDS = {
    "pass": ("same", "disc", "good"),
    "fail": ("moved", "triangle", "bad"),
    "inconclusive": ("unknown", "half", "wait"),
    "error": ("error", "cross", "bad"),
}
_SEVERITY = {
    "low": ("low", "ring", "wait"),
    "medium": ("medium", "half", "wait"),
    "high": ("high", "triangle", "bad"),
}


def plain(text: str) -> str:
    """A text of strangers on one line: what cannot be seen is shown by a sign, and what turns
    the direction of writing by its code."""
    shown = "".join(map(signs.seen, text))
    inner = shown.strip(" ")
    lead = len(shown) - len(shown.lstrip(" "))
    return "␣" * lead + inner + "␣" * (len(shown) - lead - len(inner))


def short(text: str, length: int = LONG) -> str:
    """The same, cut to so many characters."""
    seen = plain(text[: 2 * _LONG_TITLE])
    if not seen:
        return "(empty)"
    return (
        seen if len(seen) <= length and len(text) <= 2 * _LONG_TITLE else seen[: length - 1] + "…"
    )


def escaped(text: str) -> str:
    """Text as it may stand between tags and in attributes."""
    return html.escape(text, quote=True)


def said(text: str, length: int = 400) -> str:
    """A sentence that may hold names of strangers, escaped."""
    return escaped(short(text, length)) if text else ""


def name(text: str, length: int = LONG) -> str:
    """A name of strangers: isolated from the text around it, cut, and whole in its title."""
    shown, whole = short(text, length), short(text, _LONG_TITLE)
    more = f' title="{escaped(whole)}"' if whole != shown else ""
    tone = "" if plain(text[:_LONG_TITLE]) else ' class="soft"'
    return f"<bdi{tone}{more}>{escaped(shown)}</bdi>"


def number(value: float | None, digits: int = 4) -> str:
    """A number to so many significant digits, with a real minus."""
    if value is None or not math.isfinite(value):
        return "—"
    size = abs(value)
    if value == int(value) and size < 1e9:
        told = f"{int(value):,}"
    elif size != 0.0 and (size < 1e-4 or size >= 1e9):
        told = f"{value:.{max(0, digits - 2)}e}"
    else:
        told = f"{value:,.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
        told = told.rstrip("0").rstrip(".") if "." in told else told
    return told.replace("-", _MINUS)


def fixed(value: float | None, places: int = 3) -> str:
    """A number with so many places; a dash where there is none."""
    if value is None:
        return "—"
    return f"{value:,.{places}f}".replace("-", _MINUS)


def share(value: float, places: int = 1) -> str:
    """A share of rows in per cent; one that is not quite 0 or 1 never reads as if it were."""
    least = 10.0**-places / 2
    if 0.0 < value * 100 < least:
        return f"<{10.0**-places:.{places}f}{_THIN}%"
    if 100 - least <= value * 100 < 100:
        return f">{100 - 10.0**-places:.{places}f}{_THIN}%"
    return f"{value * 100:.{places}f}{_THIN}%"


def points(value: float) -> str:
    """A change of a share, in points of per cent, with its sign."""
    told = f"{abs(value) * 100:.1f}"
    sign = "±" if told == "0.0" else "+" if value > 0 else _MINUS
    return sign + told


def count(amount: int, what: str) -> str:
    """So many of something."""
    return f"{amount:,} {what}" if amount == 1 else f"{amount:,} {what}s"


def moment(text: str) -> str:
    """A moment in ISO 8601 as short as it can be said; a number of a row as it is."""
    day, mark, rest = text.partition("T")
    if not mark:
        return f"row {int(text):,}" if text.isdecimal() else text
    clock = rest[:5]
    return day if clock == "00:00" else f"{day} {clock}"


def shape(which: str) -> str:
    """One of the shapes that stand beside a word."""
    return f'<svg class="shape" aria-hidden="true"><use href="#shape-{which}"/></svg>'


def status(word: str, which: str, tone: str) -> str:
    """A state: a word, a shape and a tone."""
    return f'<span class="status tone-{tone}">{shape(which)}{escaped(word)}</span>'


def verdict(told: Mapping[str, Any]) -> str:
    """The verdict on a column; what was found wrong without a movement is called by its name."""
    word, which, tone = _WORDS[str(told["verdict"])]
    if told["verdict"] == "fail" and not told["moved"]:
        word, which = "finding", "diamond"
    return status(word, which, tone)


def severity(word: str | None) -> str:
    """The band of the stability index."""
    if word is None:
        return '<span class="soft">unknown</span>'
    if word == "none":
        return '<span class="soft">none</span>'
    return status(*_SEVERITY[word])
