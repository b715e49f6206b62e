"""The lifeline as a Vega-Lite specification: four panels on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trimtab.kernel.clock import iso
from trimtab.web import words
from trimtab.web.charts import Chart, Spec, svg, token
from trimtab.web.lifeline import MAX_LANES, Lifeline, Stretch, runs

_WIDE, _NARROW = 960, 262
_ROW = 22
_SHADES = {
    "none": "x-none",
    "shadow": "x-shadow",
    "canary": "x-canary",
    "stable": "x-stable",
    "rolled back": "x-back",
    "retired": "x-none",
}
_KINDS = ("approval", "release", "incident", "action")
_CHECK = "M-0.9,-0.05L-0.3,0.6L0.95,-0.8"


def draw(life: Lifeline) -> Chart:
    """The picture, wide and narrow."""
    says = life.says()
    return Chart(wide=svg(spec(life, _WIDE), says), narrow=svg(spec(life, _NARROW), says))


def spec(life: Lifeline, width: int) -> Spec:
    """The picture as a Vega-Lite specification, `width` pixels of time wide."""
    panels = [_decisions(life, width), _versions(life, width), _drift(life, width)]
    panels.append(_rates(life, width, axis=True))
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "vconcat": panels,
        "spacing": 10,
        "padding": 4,
        "resolve": {"scale": {"x": "shared"}},
    }


def _time(life: Lifeline, *, axis: bool = False) -> Spec:
    days = (life.end - life.start).total_seconds() / 86_400
    # Of a young model one day has many ticks: they are told apart by the hour.
    dated = {"format": "%b %-d", "tickCount": 9} if days >= 9 else {
        "format": "%b %-d %H:%M", "tickCount": 4}  # fmt: skip
    shown: Spec = {"grid": True, "labels": axis, "title": None, **dated}
    if axis:
        shown |= {
            "labelOverlap": True,
            "labelSeparation": 14,
            "labelFlush": True,
            "labelPadding": 8,
        }
    domain = [iso(life.start), iso(life.end)]
    return {
        "field": "at",
        "type": "temporal",
        "scale": {"type": "utc", "domain": domain, "nice": False},
        "axis": shown,
    }


def _background(life: Lifeline, *, axis: bool = False) -> list[Spec]:
    """Incidents as bands and releases as threads, the same in every panel."""
    bands = [{"at": iso(m.at), "end": iso(m.end or life.end)} for m in life.bands]
    threads = [{"at": iso(m.at)} for m in life.releases]
    time = _time(life, axis=axis)
    return [
        {
            "data": {"values": bands},
            "mark": {"type": "rect", "color": token("wash-bad")},
            "encoding": {"x": time, "x2": {"field": "end"}},
        },
        {
            "data": {"values": threads},
            "mark": {"type": "rule", "color": token("strong-line"), "strokeDash": [2, 3]},
            "encoding": {"x": time},
        },
    ]


def _rows(names: Sequence[str]) -> Spec:
    # The names keep clear of a mark that stands at the very beginning.
    axis = {"title": None, "grid": False, "labelPadding": 12, "labelLimit": 106}
    axis |= {"minExtent": 118, "maxExtent": 118}
    return {"field": "row", "type": "nominal", "scale": {"domain": list(names)}, "axis": axis}


def _decisions(life: Lifeline, width: int) -> Spec:
    rows = [
        {
            "row": mark.kind,
            "at": iso(mark.at),
            "end": iso(mark.end or mark.at),
            "label": mark.label,
            "href": mark.address,
            "good": mark.good,
        }
        for mark in life.marks
    ]
    time, row = _time(life), _rows(_KINDS)
    links = {"href": {"field": "href"}, "description": {"field": "label"}}
    shapes = {
        "release": ("triangle-right", "sea", "bad"),
        "incident": ("triangle-up", "good", "bad"),
        "action": ("diamond", "sea", "wait"),
    }
    layers: list[Spec] = [
        {
            "transform": [{"filter": "datum.row == 'incident' && datum.end > datum.at"}],
            "mark": {"type": "rule", "strokeWidth": 3, "color": token("bad"), "opacity": 0.55},
            "encoding": {"x": time, "x2": {"field": "end"}, "y": row},
        },
        {
            "transform": [{"filter": "datum.row == 'approval'"}],
            "mark": {"type": "point", "size": 70, "strokeWidth": 2.2, "shape": _CHECK},
            "encoding": {"x": time, "y": row, "stroke": _toned("good", "bad"), **links},
        },
    ]
    for kind, (shape, good, bad) in shapes.items():
        colour = _toned(good, bad)
        layers.append(
            {
                "transform": [{"filter": f"datum.row == '{kind}'"}],
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 80, "shape": shape},
                "encoding": {
                    "x": time,
                    "y": row,
                    "color": colour,
                    "opacity": {"value": 1},
                    **links,
                },
            }
        )
    return {
        "width": width,
        "height": _ROW * len(_KINDS),
        "data": {"values": rows},
        "layer": [*_background(life), *layers],
    }


def _toned(good: str, bad: str) -> Spec:
    return {"condition": {"test": "datum.good", "value": token(good)}, "value": token(bad)}


def _versions(life: Lifeline, width: int) -> Spec:
    lanes = life.lanes[-MAX_LANES:]
    values = [
        {
            "row": s.lane,
            "at": iso(s.start),
            "end": iso(s.end),
            "colour": token(_SHADES[s.exposure]),
            "high": _height(s),
            "href": s.address,
            "label": f"{s.lane}: {s.exposure} {s.percent:g} % from {words.moment(s.start)} "
            f"to {words.moment(s.end)}",
        }
        for s in life.stretches
        if s.lane in lanes
    ]
    bars = {
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "x": _time(life),
            "x2": {"field": "end"},
            "y": _rows(lanes),
            "size": {"field": "high", "type": "quantitative", "scale": None, "legend": None},
            "color": {"field": "colour", "type": "nominal", "scale": None, "legend": None},
            "href": {"field": "href"},
            "description": {"field": "label"},
        },
    }
    return {
        "width": width,
        "height": max(_ROW * len(lanes), _ROW),
        "layer": [*_background(life), bars],
    }


def _height(stretch: Stretch) -> float:
    """As high as the share of traffic; what carries none is a thread."""
    if stretch.exposure in ("none", "rolled back", "retired"):
        return 3.0
    return 4.0 + 12.0 * stretch.percent / 100


def _drift(life: Lifeline, width: int) -> Spec:
    values = [
        {"at": _middle(p.start, p.end), "ratio": p.ratio, "scope": line.scope, "moved": p.moved,
         "run": run,
         "label": f"{words.day(p.start)}: {p.feature} {p.ratio:.2f} of the change that matters"}
        for line in life.drift
        for p, run in zip(line.points, runs(line.points), strict=True)
        if p.ratio is not None
    ]  # fmt: skip
    unknown = [
        {"at": _middle(p.start, p.end)}
        for line in life.drift[:1]
        for p in line.points
        if p.ratio is None
    ]
    top = max([1.4, *(1.1 * float(v["ratio"]) for v in values)])  # type: ignore[arg-type]  # a mixed dict
    time = _time(life)
    height = {
        "field": "ratio",
        "type": "quantitative",
        "scale": {"domain": [0, top], "nice": False},
        "axis": {**_side("input drift,", "of its limit"), "format": ".1f"},
    }
    main = life.drift[0].scope if life.drift else ""
    weight = {"condition": {"test": f"datum.scope == {main!r}", "value": 1}, "value": 0.35}
    return {
        "width": width,
        "height": 84,
        "layer": [
            *_background(life),
            *_limit(1.0, height, time, life, "smallest change that matters"),
            {
                "data": {"values": values},
                "mark": {"type": "line", "color": token("sea"), "strokeWidth": 1.6},
                "encoding": {"x": time, "y": height, "opacity": weight,
                             "detail": [{"field": "scope"}, {"field": "run"}]},
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "opacity": 1},
                "encoding": {
                    "x": time,
                    "y": height,
                    "color": _moved("bad", "sea"),
                    "size": {"condition": {"test": "datum.moved", "value": 34}, "value": 12},
                    "opacity": weight,
                    "description": {"field": "label"},
                },
            },
            {
                "data": {"values": unknown},
                "mark": {"type": "text", "text": "?", "color": token("wait"), "fontSize": 11},
                "encoding": {"x": time, "y": {"value": 78}},
            },
        ],
    }  # fmt: skip


def _moved(yes: str, no: str) -> Spec:
    return {"condition": {"test": "datum.moved", "value": token(yes)}, "value": token(no)}


def _rates(life: Lifeline, width: int, *, axis: bool) -> Spec:
    values = [
        {"at": _middle(p.start, p.end), "rate": p.value, "low": p.low, "high": p.high,
         "version": p.version, "run": run, "bad": p.limit is not None and p.value > p.limit,
         "label": f"{words.day(p.start)}: {words.share(p.value)}, version {p.version}"}
        for p, run in zip(life.rates, runs(life.rates), strict=True)
        if p.value is not None
    ]  # fmt: skip
    limits = [p.limit for p in life.rates if p.limit is not None]
    highest = [float(v["high"] or v["rate"] or 0.0) for v in values]
    top = max([0.01, *(1.25 * limit for limit in limits), *(1.05 * h for h in highest)])
    time = _time(life, axis=axis)
    height: Spec = {
        "field": "rate",
        "type": "quantitative",
        "scale": {"domain": [0, top], "nice": False},
        "axis": {**_side("false-positive", "rate"), "format": ".0%" if top >= 0.04 else ".1%"},
    }
    limit = limits[-1] if limits else None
    name = f"limit {words.share(limit, 1)}"
    colour = {"condition": {"test": "datum.bad", "value": token("bad")}, "value": token("sea")}
    return {
        "width": width,
        "height": 84,
        "layer": [
            *_background(life, axis=axis),
            *([] if limit is None else _limit(limit, height, time, life, name)),
            {
                "data": {"values": values},
                "mark": {"type": "area", "color": token("x-canary"), "opacity": 0.32},
                "encoding": {"x": time, "y": {**height, "field": "low"}, "y2": {"field": "high"},
                             "detail": [{"field": "version"}, {"field": "run"}]},
            },
            {
                "data": {"values": values},
                "mark": {"type": "line", "color": token("sea"), "strokeWidth": 1.6},
                "encoding": {"x": time, "y": height,
                             "detail": [{"field": "version"}, {"field": "run"}]},
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 14},
                "encoding": {"x": time, "y": height, "color": colour,
                             "description": {"field": "label"}},
            },
        ],
    }  # fmt: skip


def _side(*title: str) -> Spec:
    return {
        "title": list(title),
        "titleAngle": 0,
        "titleAlign": "right",
        "titleX": -38,
        "titleY": 36,
        "tickCount": 3,
        "grid": True,
        "minExtent": 118,
        "maxExtent": 118,
    }


def _limit(at: float, height: Spec, time: Spec, life: Lifeline, name: str) -> list[Spec]:
    """The threshold, drawn with the number that it judges."""
    data = {"values": [{"rate": at, "ratio": at, "at": iso(life.start), "name": name}]}
    return [
        {
            "data": data,
            "mark": {"type": "rule", "color": token("ink"), "strokeWidth": 1.2},
            "encoding": {"y": height},
        },
        {
            "data": data,
            "mark": {"type": "text", "align": "left", "baseline": "bottom", "dx": 4, "dy": -2,
                     "color": token("ink"), "fontSize": 10.5, "fontWeight": 500},
            "encoding": {"x": time, "y": height, "text": {"field": "name"}},
        },
    ]  # fmt: skip


def _middle(start: datetime, end: datetime) -> str:
    return iso(start + (end - start) / 2)
