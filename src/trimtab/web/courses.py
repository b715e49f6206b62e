"""Since when: a feature or a figure from window to window, around the time of an incident."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.incidents.model import Incident, Kind
from trimtab.kernel.clock import iso
from trimtab.monitoring.model import Window
from trimtab.policies.operation import Monitoring
from trimtab.web import words
from trimtab.web.charts import NARROW, WIDE, Chart, Spec, svg, token
from trimtab.web.watching import effects_of, rate_point, ratios_of

_PERFORMANCE = "performance:"


@dataclass(frozen=True)
class Point:
    """What one window measured. Points of one `run` have no gap between them."""

    at: datetime
    value: float
    limit: float | None
    over: bool
    run: int


def read(
    incident: Incident, windows: Sequence[Window], demands: Monitoring
) -> tuple[str, Chart | None]:
    """What the picture shows, and the picture, if there is something to draw.

    Args:
        incident: What it is about, and when it was.
        windows: Those around it, oldest first.
        demands: What is asked of a window.
    """
    metric = metric_of(incident)
    if metric is not None:
        points = _points(windows, lambda window: _rate(window, metric))
        if not points:
            return f"No window around that time has judged {words.words(metric)}.", None
        return _drawn(incident, points, _says_rate(incident, metric, points), shares=True)
    if incident.feature is None:
        return "It is about no feature, and about no figure that windows measure.", None
    points = _points(windows, lambda window: _drift(window, incident, demands))
    if not points:
        return "No window around that time has measured this feature.", None
    return _drawn(incident, points, _says_drift(incident, points), shares=False)


def metric_of(incident: Incident) -> str | None:
    """The figure that a performance incident is about."""
    if incident.kind is not Kind.PERFORMANCE:
        return None
    return incident.cause_key.removeprefix(_PERFORMANCE)


_Measured = tuple[float, float | None, bool]


def _points(
    windows: Iterable[Window], measured: Callable[[Window], _Measured | None]
) -> list[Point]:
    points: list[Point] = []
    run, end = 0, None
    for window in windows:
        run, end = run + (window.start != end), window.end
        found = measured(window)
        if found is None:
            run += 1  # no line over what nobody could tell
        else:
            points.append(Point(window.start, *found, run))
    return points


def _drift(window: Window, incident: Incident, demands: Monitoring) -> _Measured | None:
    """The furthest measure of the feature, to the scale of the smallest change that matters."""
    for feature in window.drift.features if window.drift is not None else ():
        ratios = ratios_of(feature, effects_of(demands, window))
        if feature["feature"] == incident.feature and ratios:
            furthest = max(value / effect for _, value, effect in ratios)
            return furthest, 1.0, furthest >= 1
    return None


def _rate(window: Window, metric: str) -> _Measured | None:
    """The figure of the stable version, and the limit that it is held to."""
    point = rate_point(window, metric)
    if point is None or point.value is None:
        return None
    return point.value, point.limit, point.verdict == "fail"


def _since(incident: Incident) -> datetime:
    return incident.drift_start or incident.detected_at


def _says_drift(incident: Incident, points: Sequence[Point]) -> str:
    worst = max(point.value for point in points)
    return (
        f"{incident.feature} from window to window: at most {worst:.2f} times, last "
        f"{points[-1].value:.2f} times the smallest change that matters; the move began "
        f"{words.moment(_since(incident))}."
    )


def _says_rate(incident: Incident, metric: str, points: Sequence[Point]) -> str:
    beyond = [
        (abs(p.value - p.limit), p.value, p.limit) for p in points if p.over and p.limit is not None
    ]
    worst = ""
    if beyond:
        _, value, limit = max(beyond)
        worst = f" {words.share(value)} at the worst, where its limit was {words.share(limit)};"
    return (
        f"{words.words(metric)} from window to window:{worst} last "
        f"{words.share(points[-1].value)}; it began {words.moment(_since(incident))}."
    )


def _drawn(
    incident: Incident, points: Sequence[Point], says: str, *, shares: bool
) -> tuple[str, Chart]:
    wide, narrow = (
        svg(_spec(points, incident, width, shares=shares), says) for width in (WIDE, NARROW)
    )
    return says, Chart(wide, narrow)


def _spec(points: Sequence[Point], incident: Incident, width: int, *, shares: bool) -> Spec:
    values = [
        {"at": iso(p.at), "value": p.value, "limit": p.limit, "run": p.run, "over": p.over}
        for p in points
    ]
    x: Spec = {"field": "at", "type": "temporal", "scale": {"type": "utc"},
               "axis": {"title": None, "format": "%b %-d", "tickCount": 5}}  # fmt: skip
    y: Spec = {"field": "value", "type": "quantitative", "scale": _scale(points, shares=shares),
               "axis": {"title": None, "tickCount": 3, **({"format": ".0%"} if shares else {})},
               }  # fmt: skip
    since = _since(incident)
    # An incident that goes on is shaded to where the picture ends, and no further.
    end = max(incident.resolved_at or points[-1].at, since)
    band = [{"at": iso(since), "end": iso(end)}]
    limits = [value for value in values if value["limit"] is not None]
    colour = {"condition": {"test": "datum.over", "value": token("bad")}, "value": token("sea")}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": 110,
        "layer": [
            {"data": {"values": band}, "mark": {"type": "rect", "color": token("wash-bad")},
             "encoding": {"x": x, "x2": {"field": "end"}}},
            {"data": {"values": limits}, "mark": {"type": "line", "color": token("ink"),
             "strokeWidth": 1, "interpolate": "step-after"},
             "encoding": {"x": x, "y": {**y, "field": "limit"}}},
            {"data": {"values": values}, "mark": {"type": "line", "color": token("sea"),
             "strokeWidth": 1.6}, "encoding": {"x": x, "y": y, "detail": {"field": "run"}}},
            {"data": {"values": values}, "mark": {"type": "point", "filled": True, "opacity": 1,
             "size": 22}, "encoding": {"x": x, "y": y, "color": colour}},
        ],
    }  # fmt: skip


def _scale(points: Sequence[Point], *, shares: bool) -> Spec:
    """From zero for a distance; a share keeps to what was measured, where its moves show."""
    if not shares:
        return {"domain": [0, max(1.4, 1.1 * max(p.value for p in points))]}
    drawn = [v for p in points for v in (p.value, p.limit) if v is not None]
    room = max(0.1 * (max(drawn) - min(drawn)), 0.005)
    return {"domain": [max(0.0, min(drawn) - room), min(1.0, max(drawn) + room)]}
