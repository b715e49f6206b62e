"""When it began, and where: a comparison by windows of time and by segments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    changed: bool


def when(parts: Sequence[Told], names: Sequence[str]) -> str:
    """When each column changed for the first time."""
    timed = [part for part in parts if part["begin"] is not None]
    if not timed:
        return _HOW_TO
    rows = {name: windows_of(timed, name) for name in names}
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
        f"First was {words.name(ordered[0])}, in the window from {words.moment(first.begin)}."
        if len(ordered) > 1
        else ""
    )
    drawn = "".join(_one(name, rows[name]) for name in ordered[:COURSES])
    left = len(ordered) - COURSES
    more = f'<p class="soft">Not drawn: {left} more columns.</p>' if left > 0 else ""
    return f'<p class="lede">{lead}. {said}</p><div class="courses">{drawn}</div>{more}'


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
            found[(part["begin"], part["end"])].append(part["features"][name])
    told = []
    for begin, end in sorted(found, key=lambda span: _order(span[0])):
        looks = found[(begin, end)]
        known = [look["nearness"] for look in looks if look["nearness"] is not None]
        changed = any(look["verdict"] == "fail" for look in looks)
        told.append(Window(begin, end, max(known, default=None), changed))
    return told


def _order(moment: str) -> float:
    return float(moment) if moment.isdecimal() else datetime.fromisoformat(moment).timestamp()


def _first(windows: Sequence[Window]) -> Window:
    return next(one for one in windows if one.changed)


def _one(name: str, windows: Sequence[Window]) -> str:
    first, changed = _first(windows), sum(one.changed for one in windows)
    after = [one for one in windows if _order(one.begin) >= _order(first.begin)]
    stayed = all(one.changed or one.ratio is None for one in after)
    told = f"changed in {changed} of {len(windows)} windows"
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
        f"<figure><figcaption><b>{words.name(name)}</b> "
        f'<span class="soft">{told}</span></figcaption>{drawn}</figure>'
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
            any(one.changed for one in group),
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
    head = "".join(f'<th scope="col" class="num">{words.name(name, 18)}</th>' for name in columns)
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
    lead += "beyond it. A triangle says that it counts: it is beyond what noise may do"
    lead += ". Of several windows the furthest is shown" if several else ""
    table = f"<table class='heat'><thead><tr><th scope='col'>segment</th>"
    table += (
        f'<th scope="col" class="num">rows</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    return (
        f'<section id="segments"><h2>Where it is</h2><p class="lede">{lead}.</p>'
        f'<div class="card flush">{scrolled(table, "columns by segment")}</div></div>{more}</section>'
    )


def _cells(parts: Sequence[Told]) -> dict[str, dict[str, tuple[float | None, bool]]]:
    """By segment and column: the furthest, and whether any of its windows has changed."""
    found: dict[str, dict[str, tuple[float | None, bool]]] = {}
    for part in parts:
        if part["segment"] is None:
            continue
        row = found.setdefault(part["segment"], {})
        for name, look in part["features"].items():
            ratio, changed = row.get(name, (None, False))
            both = [one for one in (ratio, look["nearness"]) if one is not None]
            row[name] = max(both, default=None), changed or look["verdict"] == "fail"
    return found


def _furthest(row: Mapping[str, tuple[float | None, bool]]) -> float:
    return max((ratio or 0.0) + 1000.0 * changed for ratio, changed in row.values()) if row else 0.0


def _segment(
    name: str,
    row: Mapping[str, tuple[float | None, bool]],
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
    cells = "".join(_cell(*row.get(one, (None, False))) for one in columns)
    return (
        f'<tr><th scope="row">{words.name(name, 40)}{strange}</th>'
        f'<td class="num">{rows:,}</td>{cells}</tr>'
    )


def _cell(ratio: float | None, changed: bool) -> str:
    if ratio is None and not changed:
        return '<td class="num soft">too few</td>'
    heat = 0 if ratio is None else sum(ratio >= step for step in (0.5, 1.0, 2.0, 4.0))
    mark = f'{words.shape("triangle")}<span class="hidden">changed</span> ' if changed else ""
    told = "finding" if ratio is None else words.fixed(ratio, 2)
    return f'<td class="num heat-{heat}">{mark}{told}</td>'
