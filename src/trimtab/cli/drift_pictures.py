"""Small pictures as SVG, without a library: of two distributions, of shares, of windows in time.

A picture is as wide as the page lets it be and its letters stay as large as the page's: what
stretches is drawn in an inner `svg` of 1000 by 1000 units, what must not stands outside it at
places in per cent. No text of strangers is ever inside a picture but in its label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.cli.drift_portrait import Portrait
from trimtab.cli.drift_words import escaped, fixed, number, share
from trimtab.stats.sample import Sample

UNITS = 1000
"""Units of an inner picture, across and down."""

CLIP = 3.0
"""A single bar that is so many times as high as the third highest is cut."""

SCALE = 4.0
"""Bars in units of a limit end here, with an arrow."""

FEW = 8
"""So many values are all named on their axis."""

MOST_BARS = 180
"""Windows in one picture; of more of them neighbours are drawn as one."""

_HIGH, _STRIP, _GAP, _AXIS = 148, 80, 37, 20
_ROOM = 0.86  # of the height that bars fill; above it stand the words


def picture(label: str, height: int, body: str, kind: str) -> str:
    """A picture that says in a sentence what it shows."""
    return (
        f'<svg class="picture {kind}" role="img" aria-label="{escaped(label)}" '
        f'width="100%" height="{height}">{body}</svg>'
    )


def stretched(top: float, height: float, body: str) -> str:
    """The part of a picture that is as wide as there is room."""
    return (
        f'<svg y="{top:g}" width="100%" height="{height:g}" viewBox="0 0 {UNITS} {UNITS}" '
        f'preserveAspectRatio="none">{body}</svg>'
    )


def text(place: float, y: float, words: str, kind: str = "", anchor: str = "") -> str:
    """Words at a place from 0 to 1; at the ends they lie within."""
    side = anchor or ("start" if place < 0.06 else "end" if place > 0.94 else "middle")
    named = f' class="{kind}"' if kind else ""
    place_of = f'x="{100 * place:.2f}%" y="{y:g}" text-anchor="{side}"'
    return f"<text {place_of}{named}>{escaped(words)}</text>"


def line(y: float, kind: str) -> str:
    """A line from side to side."""
    return f'<line class="{kind}" x2="100%" y1="{y:g}" y2="{y:g}"/>'


# -- numbers ---------------------------------------------------------------------------------


def distributions(told: Portrait, label: str, limit: float | None) -> str:
    """Both sides as shares of rows, and underneath where they differ."""
    strip = _HIGH + _GAP + _AXIS
    body = _upper(told)
    body += "".join(
        text(told.axis.place(tick), _HIGH + 15, compact(tick), "tick") for tick in _ticks(told)
    )
    body += _difference(told, strip, limit)
    return picture(label, strip + _STRIP + 6, body, "numbers")


def _ticks(told: Portrait) -> list[float]:
    """Values below the picture; where there are few, just those."""
    if not told.single:
        return told.axis.ticks()
    values = [float(value) for value in told.starts]
    if len(values) <= FEW:
        return values
    whole = all(value.is_integer() for value in values)
    return [tick for tick in told.axis.ticks() if tick.is_integer() or not whole]


def _upper(told: Portrait) -> str:
    bars = [side / told.stretch for side in (told.before, told.now)]
    tallest = np.maximum(*bars)
    top, cut = _top(tallest, single=told.single)
    ys = [_down(side, top / _ROOM) for side in bars]
    y = _HIGH * (1 - _ROOM)
    body = line(_HIGH, "base") + line(y, "grid")
    if told.single:
        drawn = _spikes(told, ys)
    else:
        xs = [_across(told, float(edge)) for edge in (*told.starts, told.ends[-1])]
        drawn = f'<path class="was" d="{_steps(xs, ys[0], closed=True)}"/>'
        drawn += f'<path class="is" d="{_steps(xs, ys[1], closed=False)}"/>'
    body += stretched(0, _HIGH, drawn)
    free = 1.0 if told.axis.place(float(told.starts[int(tallest.argmax())])) < 0.5 else 0.0
    if not told.uneven:
        body += text(free, y - 4, f"{number(100 * top, 2)}\u202f% of rows", "tick")
    for place in cut:
        middle = told.axis.place(float(told.starts[place] / 2 + told.ends[place] / 2))
        words = f"↑ {share(float(told.before[place]))} → {share(float(told.now[place]))}"
        side = "start" if middle < (0.3 if free else 0.65) else "end"
        body += text(middle, 11, words, "note", side)
    return body


def _top(tallest: Sample, *, single: bool) -> tuple[float, list[int]]:
    """What the line above the bars stands for, and which bars are cut there: one that hides all
    others."""
    ordered = np.sort(tallest)[::-1]
    third = float(ordered[2]) if ordered.size > 2 else 0.0
    if not single and third > 0.0 and float(ordered[0]) > CLIP * third:
        top = _round_up(third)
        return top, [int(place) for place in np.flatnonzero(tallest > top / _ROOM)]
    return _round_up(max(float(ordered[0]), 1e-12)), []


def _spikes(told: Portrait, ys: Sequence[Sequence[int]]) -> str:
    """Each value by itself: the reference a wide bar, the current a narrow one in it."""
    apart = 300 / max(told.starts.size, 1)
    wide = min(22.0, max(3.0, 0.62 * apart))
    xs = [_across(told, float(value)) for value in told.starts]
    paths = (
        "".join(f"M{x} {UNITS}V{y}" for x, y in zip(xs, side, strict=True) if y < UNITS)
        for side in ys
    )
    before, now = paths
    drawn = (("was-rim", wide, before), ("was-one", wide - 2, before), ("is-one", wide / 3, now))
    return "".join(
        f'<path class="{kind}" stroke-width="{max(1.6, width):.1f}" d="{path}"/>'
        for kind, width, path in drawn
    )


def _difference(told: Portrait, top: float, limit: float | None) -> str:
    """More or fewer rows above each value; the largest gap and its limit on either side."""
    least, most = min(0.0, float(told.gap.min())), max(0.0, float(told.gap.max()))
    if limit is not None:  # the limit is seen on the side of the gap, and wherever it is near
        least = min(least, -1.3 * limit) if told.d < 0 else least
        most = max(most, 1.3 * limit) if told.d >= 0 else most
    room = max(1e-9, most - least)
    low, high = least - 0.09 * room, most + 0.09 * room

    def y_of(value: float) -> float:
        return top + _STRIP * (high - value) / (high - low)

    body = text(0.0, top - 15, "difference in the share of rows above each value", "caption")
    body += line(y_of(0.0), "base")
    units = [round(UNITS * (high - value) / (high - low)) for value in told.gap]
    xs = [_across(told, float(place)) for place in told.at]
    zero = round(UNITS * high / (high - low))
    path = _jumps(xs, units, zero) if told.single else _curve(xs, units, zero)
    body += stretched(top, _STRIP, f'<path class="gap" d="{path}"/>')
    for value in () if limit is None else (limit, -limit):
        if low < value < high:
            body += line(y_of(value), "limit")
        if (value > 0) == (told.d >= 0):
            y = y_of(value) + (-4 if value > 0 else 12)
            body += text(1.0, y, "limit " + number(value), "limit-word", "end")
    return body + _mark(told, y_of(0.0), y_of(told.d), limit)


def _mark(told: Portrait, zero: float, y: float, limit: float | None) -> str:
    place = told.axis.place(told.d_drawn)
    over = " over" if limit is not None and abs(told.d) >= limit else ""
    x = f"{100 * place:.2f}%"
    side, shift = ("start", 9) if place < 0.55 else ("end", -9)
    return (
        f'<line class="d{over}" x1="{x}" x2="{x}" y1="{zero:.1f}" y2="{y:.1f}"/>'
        f'<svg class="d{over}" x="{x}" y="{y:.1f}"><path d="M0-5L5 0 0 5-5 0z"/>'
        f'<text x="{shift}" y="4" text-anchor="{side}" class="d-word">'
        f"D {fixed(abs(told.d))} at {number(told.d_at, 3)}</text></svg>"
    )


def _across(told: Portrait, value: float) -> int:
    return round(UNITS * told.axis.place(value))


def _down(values: Sample, high: float) -> list[int]:
    return [max(0, round(UNITS * (1 - float(value) / high))) for value in values]


def _steps(xs: Sequence[int], ys: Sequence[int], *, closed: bool) -> str:
    drawn = f"M{xs[0]} {UNITS}"
    for x, y in zip(xs[1:], ys, strict=True):
        drawn += f"V{y}H{x}"
    return f"{drawn}V{UNITS}" + ("Z" if closed else "")


def _curve(xs: Sequence[int], ys: Sequence[int], zero: int) -> str:
    points = "L".join(f"{x} {y}" for x, y in zip(xs, ys, strict=True))
    return f"M{xs[0]} {zero}L{points}L{xs[-1]} {zero}Z"


def _jumps(xs: Sequence[int], ys: Sequence[int], zero: int) -> str:
    ends = [*xs[1:], UNITS]
    return f"M{xs[0]} {zero}" + "".join(f"V{y}H{x}" for x, y in zip(ends, ys, strict=True)) + "Z"


# -- shares ----------------------------------------------------------------------------------


def pair(before: float, now: float, most: float) -> str:
    """Two shares as bars, one above the other; the numbers stand beside it."""
    widths = [100 * value / most if most > 0.0 else 0.0 for value in (before, now)]
    return (
        '<svg class="pair" aria-hidden="true" width="100%" height="18">'
        f'<rect class="was" y="1" width="{widths[0]:.2f}%" height="7"/>'
        f'<rect class="is" y="10" width="{widths[1]:.2f}%" height="7"/></svg>'
    )


def missing(before: float, now: float, label: str) -> str:
    """Rows without a value, before and now, with their numbers."""
    most = max(before, now) / 0.78
    body = ""
    for value, y, kind in ((before, 2, "was"), (now, 18, "is")):
        width = 100 * value / most if most > 0.0 else 0.0
        body += f'<rect class="{kind}" y="{y}" width="{width:.2f}%" height="12"/>'
        body += f'<svg x="{width:.2f}%" y="{y}"><text x="6" y="10">{share(value, 2)}</text></svg>'
    return picture(label, 32, body, "missing")


def nearness(ratio: float | None, scale: float) -> str:
    """A bar in units of the limit, which is drawn at 1; the number stands beside it."""
    limit = f'<line class="limit" x1="{100 / scale:.2f}%" x2="{100 / scale:.2f}%" y2="16"/>'
    bar = '<rect class="track" y="4" width="100%" height="8" rx="2"/>'
    if ratio is not None:
        width = min(100.0, 100 * ratio / scale)
        over = " over" if ratio >= 1 else ""
        bar += f'<rect class="bar{over}" y="4" width="{width:.2f}%" height="8" rx="2"/>'
        if ratio > scale:
            bar += '<svg x="100%"><path class="torn" d="M-13 2l5 6-5 6h3l5-6-5-6z"/></svg>'
    return f'<svg class="nearness" aria-hidden="true" height="16">{bar}{limit}</svg>'


# -- time ------------------------------------------------------------------------------------


DIAMOND = "M0-3.5L3.5 0 0 3.5-3.5 0z"


@dataclass(frozen=True)
class Bar:
    """One window, or neighbours as one: where it lies (0 to 1), how near to the limit."""

    begin: float
    end: float
    ratio: float | None
    moved: bool
    finding: bool


def course(
    bars: Sequence[Bar], first: tuple[float, str] | None, ends: tuple[str, str], label: str
) -> str:
    """Nearness to the limit from window to window, and the first that has changed."""
    high, top = 84, 16
    most = max([1.35, *(1.08 * bar.ratio for bar in bars if bar.ratio is not None)])

    def y_of(ratio: float) -> float:
        return top + high * (1 - ratio / most)

    drawn = {"calm": "", "near": "", "over": ""}
    open_ = ""
    for bar in bars:
        middle = 50 * (bar.begin + bar.end)
        if bar.finding:
            y = top + high - 7 if bar.ratio is None else max(top, y_of(bar.ratio) - 6)
            open_ += (
                f'<svg class="finding" x="{middle:.2f}%" y="{y:.1f}"><path d="{DIAMOND}"/></svg>'
            )
        if bar.ratio is None:
            open_ += f'<circle class="open" cx="{middle:.2f}%" cy="{top + high - 6}" r="2.5"/>'
            continue
        kind = "over" if bar.moved else "near" if bar.ratio >= 1 else "calm"
        room = 0.1 * (bar.end - bar.begin)
        left, right = (UNITS * x for x in (bar.begin + room, bar.end - room))
        y = min(UNITS - 6, UNITS * (1 - bar.ratio / most))
        drawn[kind] += f"M{left:.1f} {UNITS}V{y:.0f}H{right:.1f}V{UNITS}Z"
    paths = "".join(f'<path class="{kind}" d="{d}"/>' for kind, d in drawn.items() if d)
    body = stretched(top, high, paths) + open_ + line(top + high, "base")
    left = first is None or first[0] > 0.5
    body += line(y_of(1.0), "limit")
    body += text(0.0 if left else 1.0, y_of(1.0) - 4, "limit", "limit-word")
    if first is not None:
        body += _flag(first, top + high)
    body += text(0.0, top + high + 15, ends[0], "tick") + text(
        1.0, top + high + 15, ends[1], "tick"
    )
    return picture(label, top + high + _AXIS, body, "course")


def _flag(first: tuple[float, str], low: float) -> str:
    place, words = first
    x = f"{100 * place:.2f}%"
    side, shift = ("start", 9) if place < 0.6 else ("end", -9)
    return (
        f'<line class="flag" x1="{x}" x2="{x}" y1="4" y2="{low:g}"/>'
        f'<svg class="flag" x="{x}" y="0"><path d="M0 1l6 5-6 5-6-5z"/>'
        f'<text x="{shift}" y="10" text-anchor="{side}">{escaped(words)}</text></svg>'
    )


# -- words on axes ---------------------------------------------------------------------------


def compact(value: float) -> str:
    """A number on an axis, as short as it can be."""
    size = abs(value)
    if size >= 1e15 or 0.0 < size < 1e-4:
        return f"{value:.0e}".replace("e+", "e").replace("e0", "e").replace("-", "\u2212")
    for unit, word in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            return number(value / (1e3 if word == "k" else unit), 4) + "\u202f" + word
    return number(value, 5)


def _round_up(high: float) -> float:
    size = 10.0 ** np.floor(np.log10(high))
    steps = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
    return float(min(f * size for f in steps if f * size >= high * 0.9999))
