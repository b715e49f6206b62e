"""A comparison of two tables as one page that can be sent to a colleague.

It is a file by itself: no address outside it, no script. What strangers have written (names of
columns, categories, files) goes through `drift_words` before it gets here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from trimtab.cli import drift_pictures as pictures
from trimtab.cli import drift_words as words
from trimtab.cli.drift_columns import anchor, calm, card
from trimtab.cli.drift_course import Course, began, courses, dated, when, where
from trimtab.documents.page import page

if TYPE_CHECKING:
    from trimtab.monitoring.comparison import Counted
    from trimtab.profiles.table import TableProfile

Told: TypeAlias = Mapping[str, Any]

CHANGED, CALM, LISTED = 120, 60, 1500
"""Columns that are drawn, and those that are listed; a page of all of them could not be sent."""

_SHAPES = ("disc", "ring", "half", "cross", "triangle", "diamond")
_TONES = {
    "pass": ("disc", "good"),
    "fail": ("triangle", "bad"),
    "inconclusive": ("half", "wait"),
    "error": ("cross", "bad"),
}
_RANK = {"fail": 0, "inconclusive": 1}


def render(told: Told, before: TableProfile, now: TableProfile, parts: Sequence[Counted]) -> str:
    """The page.

    Args:
        told: The comparison as a document, beside `reference`, `current` and `policy`; where
            they are known, also `made_at`, `command`, `version` and `limits`.
        before: The columns of the reference.
        now: Those of the current table.
        parts: Its segments and windows, as they were counted.
    """
    names = in_order(told["features"])
    timed = courses(told)
    body = (
        _head(told, names, parts, timed)
        + _problems(told)
        + _columns(told, names)
        + _changed(told, names, (before, now), timed)
        + when(told, timed)
        + where(told, names)
        + _calm(told, names, before, now)
        + _left_out(told)
        + _reading(told)
        + _again(told)
    )
    return page(
        f"{words.escaped(_headline(told))} · Trimtab",
        "drift report",
        body,
        sheet=files("trimtab.cli").joinpath("drift_report.css").read_text("utf-8"),
        shapes=_SHAPES,
    )


def in_order(features: Mapping[str, Told]) -> list[str]:
    """Columns, the most moved first: what has changed, what nobody could tell, the others."""

    def place(name: str) -> tuple[int, float]:
        told = features[name]
        least = 1.0 if told["structural"] else 0.0  # a finding is at its limit at least
        return _RANK.get(told["verdict"], 2), -max(told["nearness"] or 0.0, least)

    return sorted(features, key=place)


# -- the verdict -----------------------------------------------------------------------------


def _of_verdict(told: Told, verdict: str) -> list[str]:
    return [name for name, one in told["features"].items() if one["verdict"] == verdict]


def _headline(told: Told) -> str:
    """The verdict, as a manager would say it."""
    features, changed = told["features"], _of_verdict(told, "fail")
    whole = words.count(len(features), "column")
    if told["verdict"] == "error":
        return f"{words.count(len(told['problems']), 'column')} could not be compared"
    if changed:
        word = "moved" if all(features[name]["moved"] for name in changed) else "changed"
        return f"{len(changed)} of {whole} {_has(len(changed))} {word}"
    if told["verdict"] == "fail":
        windows = sum(part["verdict"] == "fail" for part in told["parts"])
        parts = words.count(len(told["parts"]), "part")
        return f"No column has moved as a whole, but {windows} of {parts} have changed"
    if told["verdict"] == "inconclusive":
        return "There is too little data to tell"
    return f"None of {whole} has moved"


def _has(amount: int) -> str:
    return "has" if amount == 1 else "have"


def _meaning(told: Told) -> str:
    features, changed = told["features"], _of_verdict(told, "fail")
    if told["verdict"] == "inconclusive" and not changed:
        return words.said(told["reason"]) + ". That is no all-clear: nobody could look."
    if not changed:
        return (
            "What the reference led to expect is what the current table holds. No column differs "
            "by more than its limit and beyond what noise may do."
            if told["verdict"] == "pass"
            else "As a whole, what could be compared is within its limits."
            if told["verdict"] == "error"
            else "Seen as a whole, the current table looks like the reference. Some of its windows "
            "or segments do not: when and where stands below."
        )
    confirmed = sum(bool(features[name]["confirmed"]) for name in changed)
    sure = (
        "In none of them do enough detectors agree to confirm it for action."
        if not confirmed
        else f"In {confirmed} of them enough detectors agree to confirm it for action."
    )
    if len(changed) == 1:
        sure = "Enough detectors agree to confirm it." if confirmed else "It is not confirmed yet."
    first = in_order(features)[0]
    return (
        f"The current table no longer looks like the reference.{_kinds(features, changed)} "
        f"Furthest is {words.name(first)}: {words.said(features[first]['reason'], 200)}. "
        f"{sure} A model that learnt from the "
        "reference meets other values here than it was tested on. Whether its answers are worse "
        "is not said by this: that takes outcomes."
    )


def _kinds(features: Mapping[str, Told], changed: Sequence[str]) -> str:
    """Where some columns have moved and others have a finding only: how many of each."""
    moved = sum(bool(features[name]["moved"]) for name in changed)
    if moved == len(changed):
        return ""
    if not moved:
        return ""
    found = len(changed) - moved
    return f" {moved} {_has(moved)} moved, {found} {_has(found)} a structural finding."


def _head(
    told: Told, names: Sequence[str], parts: Sequence[Counted], timed: Mapping[str, Course]
) -> str:
    which, tone = _TONES[told["verdict"]]
    policy = told["policy"]
    digest = words.escaped(str(policy["digest"]))
    short = words.escaped(str(policy["digest"]).partition(":")[2][:12])
    rows = [
        ("Reference", f"{words.name(told['reference'], 90)}, {told['rows_reference']:,} rows"),
        ("Current", f"{words.name(told['current'], 90)}, {told['rows_current']:,} rows"),
        ("Policy", f"{words.name(policy['name'])}, tier {policy['tier']}, "
         f'<code title="{digest}">{short}</code>'),
    ]  # fmt: skip
    if parts:
        rows.append(("Looked at", f"as a whole, and in {words.count(len(parts), 'part')}"))
    if any(one.whole and one.lasts for one in timed.values()):
        rows.append(("Changed", began(timed)))
    if told.get("made_at"):
        made = words.moment(str(told["made_at"]))
        rows.append(("Made", f"{words.escaped(made)} UTC"))
    facts = "".join(f"<dt>{what}</dt><dd>{text}</dd>" for what, text in rows)
    return (
        f'<section class="headline tone-edge-{tone}"><div><h1>'
        f'<span class="tone-{tone}">{words.shape(which)}</span> '
        f"{words.escaped(_headline(told))}</h1>"
        f"<p>{_meaning(told)}</p></div>{_score(told, names)}</section>"
        f'<dl class="facts">{facts}</dl>'
    )


def _score(told: Told, names: Sequence[str]) -> str:
    score = told["drift_score"]
    furthest = max(names, key=lambda name: told["features"][name]["magnitude"], default=None)
    inside = furthest is None or told["features"][furthest]["magnitude"] < score
    about = f" in {words.name(furthest, 30)}; no column has more" if furthest is not None else ""
    if inside and told["parts"]:
        about = " in the worst of the parts that have changed"
    return (
        f'<div class="score"><p><b>{words.fixed(score)}</b> drift score</p>'
        '<svg class="nearness" aria-hidden="true" height="16"><rect class="track" y="4" '
        'width="100%" height="8" rx="2"/><rect class="bar" y="4" '
        f'width="{100 * score:.2f}%" height="8" rx="2"/>'
        '</svg><p class="soft small"><span>0 none</span><span>1 all rows</span></p>'
        f'<p class="small">{words.share(score)} of the rows are affected{about}.</p></div>'
    )


def _problems(told: Told) -> str:
    if not told["problems"]:
        return ""
    lines = "".join(
        f"<li>{words.status('not compared', 'cross', 'bad')} {words.said(one['message'])}"
        f'<br><span class="soft">{words.said(one["remedy"])}</span></li>'
        for one in told["problems"][:LISTED]
    )
    return (
        '<section id="problems"><h2>What could not be compared</h2><div class="card">'
        f'<ul class="plain">{lines}</ul></div></section>'
    )


# -- columns ---------------------------------------------------------------------------------


def _columns(told: Told, names: Sequence[str]) -> str:
    features = told["features"]
    near = [one["nearness"] for one in features.values() if one["nearness"] is not None]
    scale = min(pictures.SCALE, max(1.5, 1.05 * max(near, default=0.0)))
    drawn = {*_drawn(told, names), *_calm_drawn(told, names)}
    rows = "".join(
        _row(place, name, features[name], scale, linked=name in drawn)
        for place, name in enumerate(names[:LISTED])
    )
    left = len(names) - LISTED
    more = f'<p class="soft">Not listed: {left} columns that moved less.</p>' if left > 0 else ""
    return (
        '<section id="columns"><h2>All columns, most moved first</h2><div class="card flush">'
        '<table class="stack columns"><thead><tr><th scope="col">Column</th><th scope="col">Verdict'
        '</th><th scope="col">How far, limit at 1.0</th>'
        '<th scope="col" class="num">PSI</th><th scope="col">Severity</th>'
        '<th scope="col" class="num">Without a value</th><th scope="col">Why</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more}</section>"
    )


def _row(place: int, name: str, told: Told, scale: float, *, linked: bool) -> str:
    shown = words.name(name)
    if linked:
        shown = f'<a href="#{anchor(place)}">{shown}</a>'
    ratio = told["nearness"]
    nulls = words.share(told["null_rate_reference"])
    if not told["null_rate_reference"] and not told["null_rate_current"]:
        nulls = '<span class="soft">none</span>'
    elif words.share(told["null_rate_current"]) != nulls:
        nulls += f" → {words.share(told['null_rate_current'])}"
    kind = ' class="still"' if told["verdict"] == "pass" else ""
    return (
        f'<tr{kind}><th scope="row">{shown}</th><td data-label="Verdict">{words.verdict(told)}</td>'
        f'<td data-label="How far" class="far">{pictures.nearness(ratio, scale)}'
        f"<span>{words.fixed(ratio, 2)}</span></td>"
        f'<td data-label="PSI" class="num">{words.fixed(told["psi"])}</td>'
        f'<td data-label="Severity">{words.severity(told["severity"])}</td>'
        f'<td data-label="Without a value" class="num">{nulls}</td>'
        f'<td data-label="Why" class="why">{words.said(told["reason"], 240)}</td></tr>'
    )


def _drawn(told: Told, names: Sequence[str]) -> list[str]:
    return [name for name in names if told["features"][name]["verdict"] == "fail"][:CHANGED]


def _calm_drawn(told: Told, names: Sequence[str]) -> list[str]:
    return [name for name in names if told["features"][name]["verdict"] != "fail"][:CALM]


def _changed(
    told: Told,
    names: Sequence[str],
    sides: tuple[TableProfile, TableProfile],
    timed: Mapping[str, Course],
) -> str:
    shown, all_ = _drawn(told, names), _of_verdict(told, "fail")
    if not shown:
        return ""
    limits = told.get("limits") or {}
    places = {name: place for place, name in enumerate(names)}
    cards = ""
    for name in shown:
        one, since = told["features"][name], ""
        if name in timed:
            one = {**one, "votes": dated(one["votes"], timed[name])}
            since = f"Changed {timed[name].said()}: {timed[name].marked.reason}"
        before, now = (side.columns[name] for side in sides)
        cards += card(places[name], name, {**one, "since": since}, before, now, limits)
    left = len(all_) - len(shown)
    more = f'<p class="soft">Not drawn: {left} more that have changed.</p>' if left else ""
    return f'<section id="changed"><h2>What has changed</h2>{cards}{more}</section>'


def _calm(told: Told, names: Sequence[str], before: TableProfile, now: TableProfile) -> str:
    shown = _calm_drawn(told, names)
    if not shown:
        return ""
    limits = told.get("limits") or {}
    places = {name: place for place, name in enumerate(names)}
    cards = "".join(
        calm(places[n], n, told["features"][n], before.columns[n], now.columns[n], limits)
        for n in shown
    )
    all_ = len(names) - len(_of_verdict(told, "fail"))
    which = f"all {all_}" if all_ == len(shown) else f"the {len(shown)} nearest to it of {all_}"
    return (
        '<section id="calm"><h2>What has not</h2><details><summary>Pictures of the columns that '
        f'are within their limit: {which}</summary><div class="calm">{cards}</div></details>'
        "</section>"
    )


def _left_out(told: Told) -> str:
    lines = [
        f"<li>{words.name(name)}: {words.said(why, 200)}</li>"
        for name, why in list(told["skipped"].items())[:200]
    ]
    new = told["new_columns"]
    if new:
        some = ", ".join(words.name(name) for name in new[:50])
        more = f" and {len(new) - 50} more" if len(new) > 50 else ""
        lines.append(f"<li>Only in the current table: {some}{more}</li>")
    if not lines:
        return ""
    return (
        '<section id="left-out"><h2>What was not looked at</h2><div class="card"><ul class="plain">'
        f"{''.join(lines)}</ul></div></section>"
    )


# -- how to read it --------------------------------------------------------------------------


def _reading(told: Told) -> str:
    limits = told.get("limits") or {}

    def limit(key: str) -> str:
        return f" Limit: {words.number(limits[key])}." if key in limits else ""

    fdr = limits.get("false_discovery_rate")
    noise = f" (at most {words.share(fdr, 0)} of what is called moved may be chance)" if fdr else ""
    bands = limits.get("psi_bands")
    severity = (
        f" Low from {bands[0]:g}, medium from {bands[1]:g}, high above {bands[2]:g}."
        if bands
        else ""
    )
    lines = (
        ("Moved", "an effect at least as large as its limit, and beyond what noise may do"
         f"{noise}. A small p-value alone never decides. A finding is something a count shows: "
         "lost values, new or vanished categories, a column that is stuck."),
        ("How far", "the largest effect of a column in units of its own limit: 1 is at the limit."),
        ("D", "of numbers: the largest difference, over all values, in the share of rows above a "
         f"value (Kolmogorov-Smirnov). 0.10 means ten rows in a hundred.{limit('ks_d')}"),
        ("Scaled Wasserstein", "of numbers: how far the rows have been carried on average, in "
         f"standard deviations of the reference.{limit('wasserstein_scaled')}"),
        ("Category mass", "of categories: the share of rows that changed category, beyond what "
         f"chance moves.{limit('category_mass')}"),
        ("PSI", "the stability index, over bins that the reference fills evenly. It grades how "
         f"severe a change is, and does not decide whether there is one.{severity}"),
        ("“but noise may do that”", "the effect reaches its limit, but so few rows could show "
         "as much by chance. For D and the category mass nobody can tell then."),
        ("Confirmed for action", "enough detectors alarm, by the quorum of the policy."),
        ("Unknown", "there were too few rows to tell. That is not calm."),
    )  # fmt: skip
    body = "".join(f"<dt>{term}</dt><dd>{words.escaped(text)}</dd>" for term, text in lines)
    return (
        '<section id="reading"><h2>How to read it</h2>'
        f'<div class="card"><dl class="facts">{body}</dl></div></section>'
    )


def _again(told: Told) -> str:
    if not told.get("command"):
        return ""
    version = f" Trimtab {words.escaped(str(told['version']))}." if told.get("version") else ""
    digest = words.escaped(str(told["policy"]["digest"]))
    return (
        '<section id="again"><h2>The same again</h2><div class="card">'
        f"<pre>{words.escaped(words.plain(str(told['command'])))}</pre>"
        f'<p class="soft small">Policy <code>{digest}</code>.{version} The same tables give the '
        "same numbers.</p></div></section>"
    )
