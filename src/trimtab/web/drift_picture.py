"""One feature, measure by measure, on one axis of time: each with the limit it is held to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trimtab.incidents.model import Incident
from trimtab.kernel.clock import iso
from trimtab.web import words
from trimtab.web.charts import Chart, Spec, svg, token
from trimtab.web.drift_rows import Cell, Measure, Row

_WIDE, _NARROW = 980, 262
_HIGH = 92
_EDGE = 62
"""Pixels that every axis takes, so that the panels begin at one line."""


def says(row: Row) -> str:
    """What the picture shows."""
    newest = row.told
    if newest is None:
        return f"No window has measured {row.title} yet."
    first, last = row.cells[0].window.start, row.cells[-1].window.end
    told = [_course(row, measure) for measure in newest.measures]
    span = f"from {words.day(first)} to {words.day(last)}"
    return f"{row.title}, {words.count(len(row.cells), 'window')} {span}. " + " ".join(told)


def draw(row: Row, incidents: Sequence[Incident]) -> Chart | None:
    """A panel for each measure; None where nothing was measured."""
    if row.told is None:
        return None
    said = says(row)
    wide, narrow = (svg(spec(row, incidents, width), said) for width in (_WIDE, _NARROW))
    return Chart(wide, narrow)


def spec(row: Row, incidents: Sequence[Incident], width: int) -> Spec:
    """The picture as a Vega-Lite specification, `width` pixels of time wide."""
    keys = list(dict.fromkeys(m.key for cell in row.cells for m in cell.measures))
    panels = [
        _panel(row, key, incidents, width, last=number == len(keys) - 1)
        for number, key in enumerate(keys)
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "vconcat": panels,
        "spacing": 14,
        "padding": {"left": 2, "right": 12, "top": 4, "bottom": 2},
        "resolve": {"scale": {"x": "shared"}},
    }


def _course(row: Row, newest: Measure) -> str:
    """A sentence about one measure."""
    beyond = [cell for cell, m in _points(row, newest.key) if m.ratio >= 1]
    times = "never beyond it"
    if beyond:
        first = words.day(beyond[0].window.start)
        times = f"beyond it in {words.count(len(beyond), 'window')}, first {first}"
    return f"{_begun(newest.name)} last {newest.value:.3f}, {newest.distance}; {times}."


def _begun(name: str) -> str:
    """A name at the beginning of a sentence."""
    return name[:1].upper() + name[1:]


def _points(row: Row, key: str) -> Iterator[tuple[Cell, Measure]]:
    for cell in row.cells:
        for measure in cell.measures:
            if measure.key == key:
                yield cell, measure


def _panel(row: Row, key: str, incidents: Sequence[Incident], width: int, *, last: bool) -> Spec:
    values = _values(row, key)
    newest = [m for _, m in _points(row, key)][-1]
    top = max([1.35 * newest.limit, *(1.12 * float(str(v["value"])) for v in values)])
    x = _time(row, width, axis=last)
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, top], "nice": False},
        "axis": {"title": None, "tickCount": 3, "format": ".2f", "minExtent": _EDGE,
                 "maxExtent": _EDGE},
    }  # fmt: skip
    colour = {"condition": {"test": "datum.over", "value": token("bad")}, "value": token("sea")}
    title = {"text": _begun(newest.name), "anchor": "start", "frame": "group", "offset": 5,
             "color": token("ink"), "fontSize": 12, "fontWeight": 600}  # fmt: skip
    return {
        "width": width,
        "height": _HIGH,
        "title": title,
        "layer": [
            _bands(row, incidents, x),
            *_limit(values, newest, x, y),
            {"data": {"values": values}, "mark": {"type": "line", "color": token("sea"),
             "strokeWidth": 1.7}, "encoding": {"x": x, "y": y, "detail": {"field": "run"}}},
            {"data": {"values": values}, "mark": {"type": "point", "filled": True, "opacity": 1,
             "size": 26}, "encoding": {"x": x, "y": y, "color": colour}},
            {"data": {"values": _untold(row)}, "mark": {"type": "text", "text": "?",
             "color": token("wait"), "fontSize": 12, "fontWeight": 600},
             "encoding": {"x": x, "y": {"value": _HIGH - 7}}},
        ],
    }  # fmt: skip


def _values(row: Row, key: str) -> list[dict[str, object]]:
    """The points of one measure; those of one run have no gap between them."""
    found: list[dict[str, object]] = []
    run, end = 0, None
    measured = {cell.window.id: measure for cell, measure in _points(row, key)}
    for cell in row.cells:
        run, end = run + (cell.window.start != end), cell.window.end
        measure = measured.get(cell.window.id)
        if measure is None:
            run += 1
            continue
        at = iso(cell.window.start + (cell.window.end - cell.window.start) / 2)
        found.append({"at": at, "value": measure.value, "limit": measure.limit, "run": run,
                      "over": measure.ratio >= 1})  # fmt: skip
    return found


def _untold(row: Row) -> list[dict[str, str]]:
    return [
        {"at": iso(cell.window.start + (cell.window.end - cell.window.start) / 2)}
        for cell in row.cells
        if not cell.measures
    ]


def _time(row: Row, width: int, *, axis: bool) -> Spec:
    start, end = row.cells[0].window.start, row.cells[-1].window.end
    short = (end - start).total_seconds() < 9 * 86_400
    shown: Spec = {"grid": True, "labels": axis, "title": None, "labelOverlap": True,
                   "labelFlush": True, "labelSeparation": 12,
                   "format": "%b %-d %H:%M" if short else "%b %-d",
                   "tickCount": 9 if width > _NARROW else 4}  # fmt: skip
    domain = [iso(start), iso(end)]
    return {"field": "at", "type": "temporal", "axis": shown,
            "scale": {"type": "utc", "domain": domain, "nice": False}}  # fmt: skip


def _bands(row: Row, incidents: Sequence[Incident], x: Spec) -> Spec:
    """Incidents about the feature, shaded while they lasted, within what is drawn."""
    first, last = row.cells[0].window.start, row.cells[-1].window.end
    lasted = [(i.drift_start or i.detected_at, i.resolved_at or last) for i in incidents]
    bands = [
        {"at": iso(max(since, first)), "end": iso(min(until, last))}
        for since, until in lasted
        if since < last and until > first
    ]
    return {
        "data": {"values": bands},
        "mark": {"type": "rect", "color": token("wash-bad")},
        "encoding": {"x": x, "x2": {"field": "end"}},
    }


def _limit(values: Sequence[dict[str, object]], newest: Measure, x: Spec, y: Spec) -> list[Spec]:
    """The limit with its number; where a policy has moved it, as it was at each time."""
    moved = len({value["limit"] for value in values}) > 1
    mark: Spec = {"color": token("ink"), "strokeWidth": 1.2}
    line: Spec = (
        {"data": {"values": list(values)},
         "mark": {"type": "line", "interpolate": "step-after", **mark},
         "encoding": {"x": x, "y": {**y, "field": "limit"}}}
        if moved
        else {"data": {"values": [{"value": newest.limit}]}, "mark": {"type": "rule", **mark},
              "encoding": {"y": y}}
    )  # fmt: skip
    label = f"limit {newest.limit:.2f}" if newest.decides else f"votes from {newest.limit:.2f}"
    text = {
        "data": {"values": [{"value": newest.limit, "label": label}]},
        "mark": {"type": "text", "align": "left", "baseline": "bottom", "dx": 4, "dy": -3,
                 "color": token("ink"), "fontSize": 10.5, "fontWeight": 500},
        "encoding": {"x": {"value": 0}, "y": y, "text": {"field": "label"}},
    }  # fmt: skip
    return [line, text]
