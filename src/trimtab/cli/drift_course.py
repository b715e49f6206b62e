"""When it began, and where: a comparison by windows of time and by segments."""

from __future__ import annotations

import re
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


@dataclass(frozen=True)
class Course:
    """The windows of one column, and the last ones in a row that have changed: those too short
    to be judged do not break a row.

    `whole` is how the column did as a whole table: "moved", "finding", or "" where it did not
    change. The row of a column that moved as a whole is one of windows that moved, if any did.
    """

    windows: tuple[Window, ...]
    run: tuple[Window, ...]
    lasts: bool
    whole: str

    @classmethod
    def of(cls, windows: Sequence[Window], whole: str) -> Course:
        """The course of a column; its `run` is empty where no window has changed."""
        strict = whole == "moved" and any(one.moved for one in windows)
        run: list[Window] = []
        broken = False
        for one in windows:
            if one.moved if strict else one.changed:
                run, broken = ([] if broken else run) + [one], False
            elif one.ratio is not None:
                broken = True
        return cls(tuple(windows), tuple(run), len(run) > 1 and not broken, whole)

    @property
    def order(self) -> tuple[bool, bool, float]:
        """What changed as a whole comes first, then what lasts, then what began earlier."""
        return not self.whole, not self.lasts, _order(self.run[0].begin)

    @property
    def marked(self) -> Window:
        """The window that is flagged: the first that stayed, or else the last that changed."""
        return self.run[0] if self.lasts else self.run[-1]

    def said(self) -> str:
        """Since when it is changed, or in which windows."""
        begun, amount = words.moment(self.marked.begin), len(self.run)
        if self.lasts and all(one in self.run for one in self.windows if one.ratio is not None):
            return f"since the first window, {begun}: all {amount} in a row"
        if self.lasts:
            return f"since {begun}, {amount} windows in a row"
        changed = sum(one.changed for one in self.windows)
        last = "last one from" if changed > 1 else "from"
        return f"in {changed} of {words.count(len(self.windows), 'window')}, {last} {begun}"


def courses(told: Told) -> dict[str, Course]:
    """The columns that changed in any window: those that changed as a whole first, then those
    that stayed so."""
    timed = [part for part in told["parts"] if part["begin"] is not None]
    found = {
        name: Course.of(windows_of(timed, name), _whole(one))
        for name, one in told["features"].items()
    }
    changed = {name: one for name, one in found.items() if one.run}
    return dict(sorted(changed.items(), key=lambda item: item[1].order))


def _whole(told: Told) -> str:
    if told["verdict"] != "fail":
        return ""
    return "moved" if told["moved"] else "finding"


def when(told: Told, found: Mapping[str, Course]) -> str:
    """Since when each column is changed; nothing where that is not to be asked."""
    timed = [part for part in told["parts"] if part["begin"] is not None]
    if not timed:
        nothing = told["parts"] or told["verdict"] == "pass"
        return "" if nothing else _section(f'<p class="lede">{_HOW_TO}</p>')
    looks = (look for part in timed for look in part["features"].values())
    if all(look["nearness"] is None for look in looks):
        return _section(f'<p class="lede">{_TOO_SHORT}</p>')
    spans = {(part["begin"], part["end"]) for part in timed}
    lead = f"{words.count(len(spans), 'window')} of the current table, each beside the whole "
    lead += "reference. A bar is how near a column came to its limit, the line is the limit"
    lead += _named(told)
    if any(part["segment"] is not None for part in timed):
        lead += "; of the segments of a window, the one that is furthest is drawn"
    if not found:
        return _section(
            f'<p class="lede">{lead}. No column has changed in any of them.</p>', "Over time"
        )
    drawn = "".join(_one(name, one) for name, one in list(found.items())[:COURSES])
    left = len(found) - COURSES
    more = f'<p class="soft">Not drawn: {left} more columns.</p>' if left > 0 else ""
    return _section(
        f"<p>{began(found)}</p>"
        f'<p class="lede">{lead}.{_calm(found)}</p>{_LEGEND}'
        f'<div class="courses">{drawn}</div>{more}'
    )


def _section(inner: str, title: str = "When it began") -> str:
    return f'<section id="when"><h2>{title}</h2>{inner}</section>'


def began(found: Mapping[str, Course]) -> str:
    """The column that matters most, if its change has stayed."""
    name, first = next(iter(found.items()))
    if not first.lasts:
        return "No column that has changed has stayed so until the last window."
    more = sum(one.lasts and bool(one.whole) for one in found.values()) - 1
    also = f" {words.count(more, 'more column')} stayed changed, too." if more > 0 else ""
    return f"<b>{words.name(name)}</b>: {first.said()}.{also}"


def _calm(found: Mapping[str, Course]) -> str:
    """Why what is the same as a whole has windows that are not."""
    calm = [words.name(name, 30) for name, one in found.items() if not one.whole]
    if not calm:
        return ""
    some = ", ".join(calm[:4]) + (f" and {len(calm) - 4} more" if len(calm) > 4 else "")
    verb = "is" if len(calm) == 1 else "are"
    return (
        f" {some} {verb} the same as a whole and changed in some windows: a window holds fewer "
        "rows, and is judged by limits of its own."
    )


def _named(told: Told) -> str:
    """The limits of windows and segments, where they are known."""
    parts = (told.get("limits") or {}).get("parts") or {}
    known = [f"{what} {words.number(parts[key])}" for key, what in _LIMITS if key in parts]
    return f" ({', '.join(known)})" if known else ""


def dated(votes: Sequence[Told], course: Course) -> list[Told]:
    """The votes, with the begin of the window wherever a detector names one by its number.

    Detectors count the windows that could be measured.
    """
    begins = [one.begin for one in course.windows if one.ratio is not None]

    def moment(match: re.Match[str]) -> str:
        number = int(match[1])
        if not 0 < number <= len(begins):
            return match[0]
        return f"window {number} (from {words.moment(begins[number - 1])})"

    return [{**v, "reason": re.sub(r"\bwindow (\d+)", moment, v["reason"])} for v in votes]


_LIMITS = (
    ("ks_d", "D"),
    ("wasserstein_scaled", "scaled Wasserstein"),
    ("category_mass", "category mass"),
)
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
    "To see when: add <code>--time COLUMN --window 1d</code>, or <code>--window 5000</code> for "
    "rows in their order."
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


def _one(name: str, told: Course) -> str:
    windows, marked = told.windows, told.marked
    label = (
        f"{words.short(name)} from window to window, in units of its limit: changed {told.said()}."
    )
    low, high = _order(windows[0].begin), max(_order(one.end) for one in windows)
    place = (_order(marked.begin) - low) / (high - low)
    ends = words.moment(windows[0].begin), words.moment(windows[-1].end)
    drawn = course(_bars(windows, low, high), (place, words.moment(marked.begin)), ends, label)
    whole = "" if told.whole else " · the same as a whole"
    return (
        f"<figure><figcaption><b>{words.name(name)}</b><span>{told.said()}{whole}</span>"
        f'</figcaption>{drawn}<p class="soft small">{words.said(marked.reason, 160)}</p></figure>'
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


def where(told: Told, names: Sequence[str]) -> str:
    """Segments by columns, with how near each came to its limit; nothing without segments."""
    parts: Sequence[Told] = told["parts"]
    cells = _cells(parts)
    if not cells:
        return ""
    compared = [name for name in names if any(name in row for row in cells.values())]
    columns = compared[:HOT_COLUMNS]
    ordered = sorted(cells, key=lambda one: -_furthest(cells[one]))
    shown = ordered[:SEGMENTS]
    head = "".join(f'<th scope="col" class="num">{words.name(name, 26)}</th>' for name in columns)
    body = "".join(_segment(name, cells[name], columns, parts) for name in shown)
    left = [
        f"{words.count(amount, what)} that moved less"
        for amount, what in (
            (len(ordered) - len(shown), "segment"),
            (len(compared) - len(columns), "column"),
        )
        if amount > 0
    ]
    more = f'<p class="soft">Not shown: {", ".join(left)}.</p>' if left else ""
    gone = [words.name(name, 40) for name in told.get("segments_gone", [])]
    if gone:
        further = f" and {len(gone) - SEGMENTS:,} more" if len(gone) > SEGMENTS else ""
        more += f"<p>Only in the reference: {', '.join(gone[:SEGMENTS])}{further}.</p>"
    several = any(part["begin"] is not None for part in parts)
    lead = "How far each column has moved in each segment, in units of its limit"
    lead += f"{_named(told)}: from 1 on it is beyond it. A triangle: it has moved, "
    lead += "beyond what noise may do; a diamond: a finding"
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
