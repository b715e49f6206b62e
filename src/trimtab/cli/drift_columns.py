"""A column in the report of a comparison: its picture, its answers, and who voted how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from trimtab.cli import drift_pictures as pictures
from trimtab.cli import drift_words as words
from trimtab.cli.drift_portrait import Portrait, as_whole, portrait, quantile
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile

Told: TypeAlias = Mapping[str, Any]

CATEGORIES = 12
"""Categories of a picture: those whose share has changed most."""

_NUMBERS = ("value", "threshold", "rows")
_NEEDS = {
    "stream": "needs a course of windows",
    "outcomes": "needs outcomes of a model",
}

LEGEND = (
    '<ul class="legend"><li><svg class="swatch" aria-hidden="true"><rect class="was" width="100%" '
    'height="100%"/></svg>reference</li><li><svg class="swatch" aria-hidden="true">'
    '<rect class="is" y="32%" width="100%" height="36%"/></svg>current</li>{more}</ul>'
)


def anchor(place: int) -> str:
    """The address of a column within the page."""
    return f"column-{place}"


def card(place: int, name: str, told: Told, before: Profile, now: Profile, limits: Told) -> str:
    """Everything about one column that has changed."""
    drawn = picture(name, told, before, now, limits)
    since = f"<br>{words.said(_sentence(told['since']))}" if told.get("since") else ""
    return (
        f'<article class="card column" id="{anchor(place)}"><header>'
        f"<h3>{words.name(name)}</h3>{words.verdict(told)}"
        f'<span class="soft">{told["kind"]}</span><a href="#columns">all columns</a></header>'
        f'<p class="why">{words.said(_sentence(told["reason"]))}{since}</p>'
        f'<div class="body"><div>{drawn}</div><div>{_answers(told, limits)}'
        f"{_facts(before, now)}{_missing(name, told)}</div></div>{_votes(told)}</article>"
    )


def calm(place: int, name: str, told: Told, before: Profile, now: Profile, limits: Told) -> str:
    """A column that has not changed, in short."""
    return (
        f'<article class="calm-one" id="{anchor(place)}"><header><h3>{words.name(name)}</h3>'
        f'{words.verdict(told)}</header><p class="why small">'
        f"{words.said(_sentence(told['reason']))}</p>"
        f"{picture(name, told, before, now, limits)}</article>"
    )


def picture(name: str, told: Told, before: Profile, now: Profile, limits: Told) -> str:
    """Both sides of a column."""
    if isinstance(before, NumericProfile) and isinstance(now, NumericProfile):
        drawn = portrait(before, now)
        if drawn is None:
            return '<p class="soft">Its values lie too far apart, or too close, to be drawn.</p>'
        return _numbers(name, told, drawn, (before, now), limits)
    if isinstance(before, CategoryProfile) and isinstance(now, CategoryProfile):
        return _categories(name, before, now)
    return '<p class="soft">Numbers on one side and categories on the other: no picture.</p>'


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:] + ("" if reason.endswith(".") else ".")


# -- numbers ---------------------------------------------------------------------------------


def _numbers(
    name: str,
    told: Told,
    drawn: Portrait,
    sides: tuple[NumericProfile, NumericProfile],
    limits: Told,
) -> str:
    limit = _limit(told, limits)
    d, at = abs(drawn.d), words.number(drawn.d_at, 3)
    more = "more" if drawn.d > 0 else "fewer"
    medians = " before and ".join(words.number(quantile(as_whole(one), 0.5)) for one in sides)
    label = (
        f"Distribution of {words.short(name)} in the reference and now. The largest gap D, "
        f"{words.fixed(d)}, is at {at}: {words.share(d)} {more} of the rows are above it now"
        + (f"; its limit is {words.number(limit)}" if limit is not None else "")
        + f". The median is {medians} now."
    )
    gap = (
        f"<b>{words.share(d)} {more} of the rows</b> are above {at} now: the largest gap, D."
        if d
        else "Both sides are alike."
    )
    return (
        f"<figure>{LEGEND.format(more=_axis(drawn))}{pictures.distributions(drawn, label, limit)}"
        f"<figcaption>{gap}{_beyond(drawn)}</figcaption></figure>"
    )


def _axis(drawn: Portrait) -> str:
    """What is to be known of the axes, beside the legend."""
    axis = drawn.axis
    if not axis.logarithmic:
        return ""
    even = f", even up to {words.number(axis.even, 3)}" if axis.even > axis.low else ""
    area = "; the area of a bar is its share of the rows" if drawn.uneven else ""
    return f"<li>logarithmic axis{even}{area}</li>"


def _limit(told: Told, limits: Told) -> float | None:
    """The limit of D, as it was voted on, or else as the policy has it."""
    for vote in told["votes"]:
        if vote["detector"] == "ks" and vote["threshold"] is not None:
            return float(vote["threshold"])
    return limits.get("ks_d")


def _beyond(drawn: Portrait) -> str:
    """What the picture does not show, in words."""
    told = []
    last = drawn.axis.high - (drawn.whole and not drawn.single)  # where bins end, the next begins
    for what, end, (before, now) in (
        ("below", drawn.axis.low, drawn.below),
        ("above", last, drawn.above),
    ):
        if max(before, now) > 1e-9:
            shares = f"{words.share(before, 2)} → {words.share(now, 2)}"
            told.append(f"{what} {words.number(end)}: {shares}")
    return f" Not drawn: {'; '.join(told)} of the rows." if told else ""


def _facts(before: Profile, now: Profile) -> str:
    rows = [("rows", f"{before.rows:,}", f"{now.rows:,}")]
    if isinstance(before, NumericProfile) and isinstance(now, NumericProfile):
        if before.known and now.known:
            rows += _figures(before, now)
    elif isinstance(before, CategoryProfile) and isinstance(now, CategoryProfile):
        was, is_ = _kinds(before), _kinds(now)
        rows.append(("categories", was, is_))
    body = "".join(
        f'<tr><th scope="row">{what}</th><td class="num">{was}</td><td class="num">{is_}</td></tr>'
        for what, was, is_ in rows
    )
    return (
        '<table class="facts"><thead><tr><td></td><th scope="col" class="num">reference</th>'
        f'<th scope="col" class="num">current</th></tr></thead><tbody>{body}</tbody></table>'
    )


def _kinds(one: CategoryProfile) -> str:
    return f"{len(one.counts):,}" if one.named else "more than 10,000"


def _figures(before: NumericProfile, now: NumericProfile) -> list[tuple[str, str, str]]:
    def both(what: str, was: float | None, is_: float | None) -> tuple[str, str, str]:
        return what, words.number(was), words.number(is_)

    def three(value: float) -> float:
        return float(f"{value:.3g}")

    was, is_ = as_whole(before), as_whole(now)
    return [
        both("mean", three(was.mean), three(is_.mean)),
        both("standard deviation", three(was.deviation), three(is_.deviation)),
        both("least", was.low, is_.low),
        both("5th percentile", quantile(was, 0.05), quantile(is_, 0.05)),
        both("median", quantile(was, 0.5), quantile(is_, 0.5)),
        both("95th percentile", quantile(was, 0.95), quantile(is_, 0.95)),
        both("most", was.high, is_.high),
    ]


# -- categories ------------------------------------------------------------------------------


def _categories(name: str, before: CategoryProfile, now: CategoryProfile) -> str:
    if not (before.named and now.named) or not before.known or not now.known:
        return '<p class="soft">It has too many categories to keep their names: no picture.</p>'
    shares = {
        one: (before.counts.get(one, 0) / before.known, now.counts.get(one, 0) / now.known)
        for one in {**before.counts, **now.counts}
    }
    ordered = sorted(shares, key=lambda one: (-abs(shares[one][1] - shares[one][0]), one))
    chosen = ordered[:CATEGORIES]
    most = max(max(shares[one]) for one in chosen)
    rows = "".join(_category(one, *shares[one], most, before, now) for one in chosen)
    rest = ordered[CATEGORIES:]
    left = ""
    if rest:
        was, is_ = (sum(shares[one][side] for one in rest) for side in (0, 1))
        left = (
            f"<figcaption>Not drawn: {words.count(len(rest), 'category').replace('ys', 'ies')} "
            f"that changed less, together {words.share(was)} → {words.share(is_)} of the rows."
            "</figcaption>"
        )
    caption = f"Shares of the categories of {words.name(name)}, those that changed most first"
    return (
        f'<figure>{LEGEND.format(more="")}<table class="bars"><caption class="hidden">{caption}'
        '</caption><thead><tr><th scope="col">category</th><th scope="col" class="wide">'
        '<span class="hidden">shares of the rows as bars</span></th><th scope="col" class="num">'
        'reference</th><th scope="col" class="num">current</th><th scope="col" class="num">points'
        f"</th></tr></thead><tbody>{rows}</tbody></table>{left}</figure>"
    )


def _category(
    name: str, was: float, is_: float, most: float, before: CategoryProfile, now: CategoryProfile
) -> str:
    mark = ""
    if name not in before.counts:
        mark = " " + words.status("new", "diamond", "wait")
    elif name not in now.counts:
        mark = " " + words.status("vanished", "cross", "bad")
    return (
        f'<tr><th scope="row">{words.name(name, 40)}{mark}</th>'
        f'<td class="wide">{pictures.pair(was, is_, most)}</td>'
        f'<td class="num">{words.share(was)}</td><td class="num">{words.share(is_)}</td>'
        f'<td class="num">{words.points(is_ - was)}</td></tr>'
    )


# -- answers and votes -----------------------------------------------------------------------


def _answers(told: Told, limits: Told) -> str:
    """Three answers, kept apart."""
    moved = {True: ("yes", "triangle", "bad"), False: ("no", "disc", "good")}.get(
        told["moved"], ("unknown", "half", "wait")
    )
    confirmed = ("yes", "triangle", "bad") if told["confirmed"] else ("no", "ring", "plain")
    psi = "no PSI" if told["psi"] is None else f"PSI {words.fixed(told['psi'])}"
    near = told["nearness"]
    far = "nothing was measured" if near is None else f"{words.fixed(near, 2)} × its limit"
    structural = "".join(
        f'<div class="broad"><dt>Finding</dt><dd>{_finding(one)}'
        f'<span class="soft">{words.said(one["reason"], 160)}</span></dd></div>'
        for one in told["structural"][:4]
    )
    return (
        f'<dl class="answers"><div><dt>Moved?</dt><dd>{words.status(*moved)}'
        f'<span class="soft">{far}</span></dd></div><div><dt>Severity</dt><dd>'
        f'{words.severity(told["severity"])}<span class="soft">{psi}</span></dd></div>'
        f"<div><dt>Confirmed for action?</dt><dd>{words.status(*confirmed)}"
        f'<span class="soft">{_cast(told, limits)}</span></dd></div>{structural}</dl>'
    )


def _cast(told: Told, limits: Told) -> str:
    """Votes beside those that are needed; where they are not known, who has alarmed."""
    cast, needed = told.get("votes_cast"), limits.get("min_votes")
    if cast is not None and needed is not None:
        return f"{cast:g} votes of the {needed:g} needed"
    heard = [vote for vote in told["votes"] if vote["value"] is not None]
    alarms = sum(bool(vote["alarmed"]) for vote in heard)
    more = f"; {needed:g} votes are needed" if needed is not None else ""
    return f"{alarms} of {words.count(len(heard), 'detector')} alarmed{more}"


def _finding(told: Told) -> str:
    return words.status(str(told["finding"]).replace("_", " "), "diamond", "bad")


def _missing(name: str, told: Told) -> str:
    before, now = told["null_rate_reference"], told["null_rate_current"]
    if not before and not now:
        return '<p class="soft small">No row lacks a value, on either side.</p>'
    label = (
        f"Rows of {words.short(name)} without a value: {words.share(before, 2)} in the reference, "
        f"{words.share(now, 2)} now."
    )
    return (
        '<figure class="nulls"><figcaption>Rows without a value, reference and current'
        f"</figcaption>{pictures.missing(before, now, label)}</figure>"
    )


def _votes(told: Told) -> str:
    votes: Sequence[Told] = [vote for vote in told["votes"] if vote["value"] is not None]
    silent = _silent([vote for vote in told["votes"] if vote["value"] is None])
    if not votes:
        return silent
    body = "".join(
        f'<tr><th scope="row">{words.said(_detector(vote))}</th>'
        + "".join(
            f'<td class="num" data-label="{what}">{words.number(vote[what])}</td>'
            for what in _NUMBERS
        )
        + f'<td data-label="vote">{_vote(vote)}</td>'
        f'<td data-label="why">{words.said(vote["reason"])}</td></tr>'
        for vote in votes
    )
    head = '<th scope="col">detector</th>'
    head += "".join(f'<th scope="col" class="num">{one}</th>' for one in _NUMBERS)
    head += '<th scope="col">vote</th><th scope="col">why</th>'
    table = (
        f'<table class="stack votes"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    return f"<details><summary>How each detector voted</summary>{table}{silent}</details>"


def _silent(votes: Sequence[Told]) -> str:
    """Detectors that did not vote, in one line by what they lack."""
    lacking: dict[str, list[str]] = {}
    for vote in votes:
        reason = str(vote["reason"])
        if reason.startswith("does not speak"):
            reason = _NEEDS.get(vote["group"], "speaks of numbers only")
        lacking.setdefault(reason, []).append(_detector(vote))
    told = "; ".join(f"{', '.join(names)} ({why})" for why, names in lacking.items())
    return f'<p class="soft small">Did not vote: {words.said(told)}.</p>' if told else ""


def _detector(vote: Told) -> str:
    return str(vote["detector"]).replace("_", " ")


def scrolled(inner: str, label: str) -> str:
    """A place that scrolls sideways where it must, which the keyboard can reach."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{words.escaped(label)}">'
        f"{inner}</div>"
    )


def _vote(vote: Told) -> str:
    if vote["alarmed"]:
        return words.status("alarm", "triangle", "bad")
    return words.status("calm", "disc", "good")
