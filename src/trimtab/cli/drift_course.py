"""When it began, and where: a comparison by windows of time and by segments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

from trimtab.cli import drift_words as words
from trimtab.cli.drift_columns import scrolled
from trimtab.cli.drift_pictures import MOST_BARS, Bar, course

Told: TypeAlias = Mapping[str, Any]

COURSES = 60
"""Columns whose windows are drawn."""

SEGMENTS, HOT_COLUMNS = 40, 16
"""Rows and columns of the table of segments."""


@dataclass(frozen=True)
class Window:
    """One window of one column; of several segments the one that is furthest."""

    begin: str
    end: str
    ratio: float | None
    moved: bool
    finding: bool
    reason: str

    @property
    def changed(self) -> bool:
        """Moved, or something is structurally wrong."""
        return self.moved or self.finding


def when(parts: Sequence[Told], names: Sequence[str]) -> str:
    """When each column changed for the first time."""
    timed = [part for part in parts if part["begin"] is not None]
    if not timed:
        return _HOW_TO
    rows = {name: windows_of(timed, name) for name in names}
    if all(one.ratio is None for found in rows.values() for one in found):
        return f'<p class="lede">{_TOO_SHORT}</p>'
    rows = {name: found for name, found in rows.items() if any(one.changed for one in found)}
    spans = {(part["begin"], part["end"]) for part in timed}
    lead = f"{words.count(len(spans), 'window')} of the current table, each beside the whole "
    lead += "reference. A bar is how near a column came to its limit, the line is the limit"
    if any(part["segment"] is not None for part in timed):
        lead += "; of the segments of a window, the one that is furthest is drawn"
    if not rows:
        return f'<p class="lede">{lead}. No column has changed in any of them.</p>'
    ordered = sorted(rows, key=lambda name: _order(_first(rows[name]).begin))
    first = _first(rows[ordered[0]])
    said = (
        f"The first to change is {words.name(ordered[0])}, in the window from "
        f"{words.moment(first.begin)}."
        if len(ordered) > 1
        else ""
    )
    drawn = "".join(_one(name, rows[name]) for name in ordered[:COURSES])
    left = len(ordered) - COURSES
    more = f'<p class="soft">Not drawn: {left} more columns.</p>' if left > 0 else ""
    return f'<p class="lede">{lead}. {said}</p>{_LEGEND}<div class="courses">{drawn}</div>{more}'


_LEGEND = (
    '<ul class="legend"><li><svg class="swatch course" aria-hidden="true"><rect class="over" '
    'width="100%" height="100%"/></svg>moved</li><li><svg class="swatch course" aria-hidden="true">'
    '<rect class="near" width="100%" height="100%"/></svg>beyond the limit, but noise may do that'
    '</li><li><svg class="swatch course" aria-hidden="true"><rect class="calm" width="100%" '
    f'height="100%"/></svg>within it</li><li><span class="tone-bad">{words.shape("diamond")}</span>'
    f'a finding</li><li><span class="tone-wait">{words.shape("ring")}</span>too few rows</li></ul>'
)
_TOO_SHORT = (
    "No window has rows enough to be judged: none is shown as calm, and none as changed. Take "
    "longer windows, or fewer segments."
)
_HOW_TO = (
    '<p class="lede">The current table was compared as a whole, so this report cannot say when a '
    "change began. Compare it window by window: add <code>--time COLUMN --window 1d</code> with "
    "the name of a column of dates, or <code>--window 5000</code> to take the rows in their order."
    "</p>"
)


def windows_of(parts: Sequence[Told], name: str) -> list[Window]:
    """The windows of a column, in order."""
    found: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for part in parts:
        if name in part["features"]:
            look = {**part["features"][name], "segment": part["segment"]}
            found[(part["begin"], part["end"])].append(look)
    told = []
    for begin, end in sorted(found, key=lambda span: _order(span[0])):
        looks = found[(begin, end)]
        changed = [look for look in looks if look["verdict"] == "fail"]
        moved = any(look["moved"] for look in changed)
        telling = [look for look in looks if look["moved"]] or looks
        known = [look["nearness"] for look in telling if look["nearness"] is not None]
        finding = any(look["structural"] for look in changed)
        reason = str(changed[0]["reason"]) if changed else ""
        if changed and changed[0]["segment"] is not None:
            reason = f"{changed[0]['segment']}: {reason}"
        told.append(Window(begin, end, max(known, default=None), moved, finding, reason))
    return told


@lru_cache(maxsize=100_000)
def _order(moment: str) -> float:
    return float(moment) if moment.isdecimal() else datetime.fromisoformat(moment).timestamp()


def _first(windows: Sequence[Window]) -> Window:
    return next(one for one in windows if one.changed)


def _one(name: str, windows: Sequence[Window]) -> str:
    first, changed = _first(windows), sum(one.changed for one in windows)
    after = [one for one in windows if _order(one.begin) >= _order(first.begin)]
    stayed = all(one.changed or one.ratio is None for one in after)
    told = f"changed in {changed} of {words.count(len(windows), 'window')}"
    told += ", and ever since the first" if stayed and len(after) > 1 else ""
    begun = words.moment(first.begin)
    label = (
        f"{words.short(name)} from window to window, in units of its limit: {told}; the first is "
        f"that from {begun}."
    )
    low, high = _order(windows[0].begin), max(_order(one.end) for one in windows)
    place = (_order(first.begin) - low) / (high - low)
    ends = words.moment(windows[0].begin), words.moment(windows[-1].end)
    drawn = course(_bars(windows, low, high), (place, begun), ends, label)
    return (
        f"<figure><figcaption><b>{words.name(name)}</b><span>{told}</span></figcaption>{drawn}"
        f'<p class="soft small">First: {words.said(first.reason, 160)}</p></figure>'
    )


def _bars(windows: Sequence[Window], low: float, high: float) -> list[Bar]:
    """Bars of the windows; where there are very many, of neighbours the furthest."""
    size = -(-len(windows) // MOST_BARS)
    groups = [windows[i : i + size] for i in range(0, len(windows), size)]
    return [
        Bar(
            (_order(group[0].begin) - low) / (high - low),
            (_order(group[-1].end) - low) / (high - low),
            max((one.ratio for one in group if one.ratio is not None), default=None),
            any(one.moved for one in group),
            any(one.finding for one in group),
        )
        for group in groups
    ]


def where(parts: Sequence[Told], names: Sequence[str]) -> str:
    """Segments by columns, with how near each came to its limit; nothing without segments."""
    cells = _cells(parts)
    if not cells:
        return ""
    columns = [name for name in names if any(name in row for row in cells.values())]
    columns = columns[:HOT_COLUMNS]
    ordered = sorted(cells, key=lambda one: -_furthest(cells[one]))
    shown = ordered[:SEGMENTS]
    head = "".join(f'<th scope="col" class="num">{words.name(name, 26)}</th>' for name in columns)
    body = "".join(_segment(name, cells[name], columns, parts) for name in shown)
    left = [
        f"{amount} {what}"
        for amount, what in (
            (len(ordered) - len(shown), "segments that moved less"),
            (len(set(names)) - len(columns), "columns that moved less"),
        )
        if amount > 0
    ]
    more = f'<p class="soft">Not shown: {", ".join(left)}.</p>' if left else ""
    several = any(part["begin"] is not None for part in parts)
    lead = "How far each column has moved in each segment, in units of its limit: from 1 on it is "
    lead += "beyond it. A triangle: it has moved, beyond what noise may do; a diamond: a finding"
    lead += ". Of several windows the furthest is shown" if several else ""
    table = '<table class="heat"><thead><tr><th scope="col">segment</th>'
    table += (
        f'<th scope="col" class="num">rows</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    return (
        f'<section id="segments"><h2>Where it is</h2><p class="lede">{lead}.</p>'
        f'<div class="card flush">{scrolled(table, "columns by segment")}</div>{more}</section>'
    )


def _cells(parts: Sequence[Told]) -> dict[str, dict[str, tuple[float | None, str]]]:
    """By segment and column: the furthest, and whether any of its windows has moved, or has a
    finding."""
    found: dict[str, dict[str, tuple[float | None, str]]] = {}
    for part in parts:
        if part["segment"] is None:
            continue
        row = found.setdefault(part["segment"], {})
        for name, look in part["features"].items():
            ratio, mark = row.get(name, (None, ""))
            own = "moved" if look["moved"] else "finding" if look["structural"] else ""
            both = [one for one in (ratio, look["nearness"]) if one is not None]
            row[name] = max(both, default=None), max(mark, own)
    return found


def _furthest(row: Mapping[str, tuple[float | None, str]]) -> float:
    """By what segments are ordered: what has moved, what has a finding, the others."""
    weight = {"moved": 2000.0, "finding": 1000.0, "": 0.0}
    return max((weight[mark] + (ratio or 0.0) for ratio, mark in row.values()), default=0.0)


def _segment(
    name: str,
    row: Mapping[str, tuple[float | None, str]],
    columns: Sequence[str],
    parts: Sequence[Told],
) -> str:
    own = [part for part in parts if part["segment"] == name]
    rows = sum(part["rows"] for part in own)
    strange = (
        ""
        if all(part["reference_has_segment"] for part in own)
        else (' <span class="soft small">not in the reference: beside all of it</span>')
    )
    cells = "".join(_cell(*row.get(one, (None, ""))) for one in columns)
    return (
        f'<tr><th scope="row">{words.name(name, 40)}{strange}</th>'
        f'<td class="num">{rows:,}</td>{cells}</tr>'
    )


def _cell(ratio: float | None, mark: str) -> str:
    if ratio is None and not mark:
        return '<td class="num soft">too few</td>'
    heat = 0 if ratio is None else sum(ratio >= step for step in (0.5, 1.0, 2.0, 4.0))
    which = {"moved": "triangle", "finding": "diamond"}.get(mark, "")
    shown = f'{words.shape(which)}<span class="hidden">{mark}</span> ' if mark else ""
    told = "" if ratio is None else words.fixed(ratio, 2)
    return f'<td class="num heat-{heat}">{shown}{told}</td>'
