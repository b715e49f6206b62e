"""Two tables compared: whole, and where asked for by segment and by window of time.

Pure. What a column is asked, and what counts as an answer, is as for the windows of a model in
service (`drift`); what is added here is what people run into with files: columns that are
missing, of another type, or empty. Those are errors, not findings: nobody could look.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.verdict import Verdict, worst
from trimtab.monitoring.columns import FeatureKind, kind_of
from trimtab.monitoring.drift import FeatureDrift, Scope, effects_of, judged, measured
from trimtab.monitoring.reference import Reference
from trimtab.monitoring.streams import with_stream_votes
from trimtab.policies.operation import Monitoring
from trimtab.profiles.category import MAX_CATEGORIES
from trimtab.profiles.table import Profile, TableProfile


@dataclass(frozen=True)
class Problem:
    """A column that could not be compared, and what to do about it."""

    column: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Part:
    """One segment, or one window, of the current table beside its reference.

    `begin` and `end` say which window it is, as text: moments, or numbers of rows.
    """

    segment: str | None
    begin: str | None
    end: str | None
    rows: int
    looks: tuple[FeatureDrift, ...]
    reference_segment: bool = True
    """Whether the reference has rows of this segment; else it is compared with the whole."""

    @property
    def verdict(self) -> Verdict:
        """The worst of its features."""
        return worst(look.verdict for look in self.looks)

    @property
    def scope(self) -> Scope:
        """Whose limits apply."""
        return _scope(self.segment, self.begin)


def _scope(segment: str | None, begin: str | None) -> Scope:
    """A segment of a whole table is compared like the table. Windows vary by themselves, those
    of segments more."""
    if begin is None:
        return Scope.DATASET
    return Scope.GLOBAL if segment is None else Scope.TENANT


@dataclass(frozen=True)
class Comparison:
    """What was found. `looks` are the features of the whole tables, the most moved first."""

    verdict: Verdict
    reason: str
    drift_score: float
    """The largest share of rows that is affected in any feature, as a whole or in a part that
    has changed, 0 to 1."""
    rows_reference: int
    rows_current: int
    looks: tuple[FeatureDrift, ...]
    parts: tuple[Part, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not compared, and why."""
    new_columns: tuple[str, ...] = ()
    """Columns that only the current table has; no model that was trained before reads them."""

    @property
    def affected(self) -> list[FeatureDrift]:
        """Features that have changed: as a whole, in the order of `looks`, then those that have
        in parts only, by the share of rows."""
        found = {look.feature: look for look in self.looks if look.changed}
        inside = [look for part in self.parts for look in part.looks if look.changed]
        for look in sorted(inside, key=lambda look: -look.magnitude):
            found.setdefault(look.feature, look)
        return list(found.values())


@dataclass(frozen=True)
class Counted:
    """One part of the current table, counted, with the reference that it belongs to."""

    segment: str | None
    begin: str | None
    end: str | None
    profile: TableProfile
    reference: TableProfile | None
    """Its own segment of the reference; None where that has no such rows."""


def compare(
    reference: TableProfile,
    current: TableProfile,
    demands: Monitoring,
    *,
    parts: Sequence[Counted] = (),
    features: Sequence[str] | None = None,
) -> Comparison:
    """Compare two tables, column by column.

    Args:
        reference: As the tables were when all was well.
        current: As they are now; best counted like the reference.
        demands: The monitoring slice of the policy.
        parts: Segments or windows of the current table. They are judged as one family: among
            all feature-windows that are called moved, the share of false ones is bounded.
        features: Which columns; all of the reference by default.

    Raises:
        InvalidInput: one table has no rows, or a feature is in neither.
    """
    for table, what in ((reference, "the reference"), (current, "the current table")):
        if not table.rows:
            raise InvalidInput(f"{what} has no rows", remedy="give a table with rows in it")
    wanted = _wanted(reference, current, features)
    problems, skipped = _obstacles(reference, current, wanted)
    hindered = {problem.column for problem in problems} | set(skipped)
    compared = {name: reference.columns[name] for name in wanted if name not in hindered}
    whole = judged(
        measured(Reference(reference.rows, compared), current, demands, Scope.DATASET),
        demands,
        Scope.DATASET,
    )
    found = _parts(compared, reference.rows, parts, demands)
    whole = _heard(whole, found, demands)
    verdict, reason = _verdict(whole, found, problems)
    return Comparison(
        verdict=verdict,
        reason=reason,
        drift_score=_score(whole, found),
        rows_reference=reference.rows,
        rows_current=current.rows,
        looks=tuple(sorted(whole, key=lambda look: _order(look, demands))),
        parts=found,
        problems=tuple(problems),
        skipped=skipped,
        new_columns=_new_columns(reference, current) if features is None else (),
    )


def _score(whole: Iterable[FeatureDrift], parts: Iterable[Part]) -> float:
    inside = (look for part in parts for look in part.looks if look.changed)
    return max((look.magnitude for look in (*whole, *inside)), default=0.0)


def _new_columns(reference: TableProfile, current: TableProfile) -> tuple[str, ...]:
    known = {*reference.columns, *reference.skipped}
    return tuple(name for name in current.columns if name not in known)


def _wanted(
    reference: TableProfile, current: TableProfile, features: Sequence[str] | None
) -> list[str]:
    if features is None:
        return list(dict.fromkeys([*reference.columns, *reference.skipped]))
    known = {*reference.columns, *reference.skipped, *current.columns, *current.skipped}
    for name in features:
        if name not in known:
            raise InvalidInput(
                f"there is no column {name} in either table",
                field=name,
                remedy=f"there are {', '.join(sorted(known)[:20])}",
            )
    return list(dict.fromkeys(features))


def _obstacles(
    reference: TableProfile, current: TableProfile, wanted: Sequence[str]
) -> tuple[list[Problem], dict[str, str]]:
    """Columns that cannot be compared: those that are wrong, and those that never can be."""
    problems: list[Problem] = []
    skipped: dict[str, str] = {}
    for name in wanted:
        before, now = reference.columns.get(name), current.columns.get(name)
        if before is None and now is not None and name in reference.skipped:
            problems.append(_type_changed(name, reference.skipped[name], "values now"))
        elif before is None:
            skipped[name] = reference.skipped.get(name, "the reference does not have it")
        elif now is None:
            problems.append(_absent(name, reference, current))
        elif kind_of(before) is not kind_of(now):
            was, has = kind_of(before).value, kind_of(now).value
            problems.append(_type_changed(name, f"{was} in the reference", f"{has} now"))
        elif not before.known and not now.known:
            skipped[name] = "it has no value on either side"
        elif not before.known or not now.known:
            problems.append(_without_values(name, before, now))
    return problems, skipped


def _absent(name: str, reference: TableProfile, current: TableProfile) -> Problem:
    if name in current.skipped:
        return _type_changed(name, "comparable in the reference", current.skipped[name])
    added = [other for other in current.columns if other not in reference.columns]
    near = [other for other in added if other.lower() == name.lower()]
    near = near or difflib.get_close_matches(name, added, n=1)
    hint = f"is it {near[0]} now? rename it, or" if near else "add it, or"
    return Problem(
        name,
        f"column {name} is missing in the current table",
        f"{hint} leave it out of the features",
    )


def _type_changed(name: str, was: str, now: str) -> Problem:
    return Problem(
        name,
        f"column {name} has changed its type: {was}, {now}",
        "send it in its former type, or leave it out of the features",
    )


def _without_values(name: str, before: Profile, now: Profile) -> Problem:
    empty, where = (before, "reference") if not before.known else (now, "current table")
    return Problem(
        name,
        f"column {name} has no value in the {where}: all {empty.rows:,} rows are null, NaN or "
        "infinite",
        "look at the feed that fills it, or leave it out of the features",
    )


def _parts(
    compared: Mapping[str, Profile], rows: int, parts: Sequence[Counted], demands: Monitoring
) -> tuple[Part, ...]:
    """Every part measured, and all feature-windows judged as one family."""
    if not parts:
        return ()
    scope = _scope(parts[0].segment, parts[0].begin)  # all are cut in one way
    # Somebody asked for just these windows: what is too short for them is said by the numbers.
    least = {
        "min_rows_global": demands.min_rows_dataset,
        "min_rows_tenant": demands.min_rows_dataset,
    }
    demands = demands.model_copy(update=least)
    looks = [
        measured(
            Reference(
                part.reference.rows if part.reference else rows,
                {
                    name: (part.reference.columns if part.reference else compared)[name]
                    for name in compared
                    if name in part.profile.columns
                },
            ),
            part.profile,
            demands,
            scope,
            windows=len(parts),
        )
        for part in parts
    ]
    together = iter(judged([look for one in looks for look in one], demands, scope))
    return tuple(
        Part(
            segment=part.segment,
            begin=part.begin,
            end=part.end,
            rows=part.profile.rows,
            looks=tuple(next(together) for _ in one),
            reference_segment=part.reference is not None or part.segment is None,
        )
        for part, one in zip(parts, looks, strict=True)
    )


def _order(look: FeatureDrift, demands: Monitoring) -> tuple[bool, float]:
    """The most moved first; what is structurally wrong is at its limit at least."""
    near = nearness(look, demands, Scope.DATASET) or 0.0
    return not look.changed, -max(near, 1.0 if look.structural else 0.0)


def _heard(
    whole: Sequence[FeatureDrift], parts: Sequence[Part], demands: Monitoring
) -> tuple[FeatureDrift, ...]:
    """The features with the votes of the detectors that listen window after window; segments
    are no course."""
    if not parts or any(part.segment is not None for part in parts):
        return tuple(whole)
    courses: dict[str, list[FeatureDrift]] = {look.feature: [] for look in whole}
    for part in parts:
        for look in part.looks:
            courses[look.feature].append(look)
    return tuple(with_stream_votes(look, courses[look.feature], demands) for look in whole)


def _verdict(
    whole: Sequence[FeatureDrift], parts: Sequence[Part], problems: Sequence[Problem]
) -> tuple[Verdict, str]:
    if problems:
        more = f" (and {len(problems) - 1} more columns)" if len(problems) > 1 else ""
        return Verdict.ERROR, problems[0].message + more
    changed = sum(look.changed for look in whole)
    windows = sum(part.verdict is Verdict.FAIL for part in parts)
    short = [f"{look.feature}: {look.insufficient}" for look in whole if look.insufficient]
    if changed or windows:
        said = [_counted("column", changed, len(whole))] if changed else []
        said += [_counted("part", windows, len(parts))] if windows else []
        said += [f"{len(short)} could not be told"] if short else []
        return Verdict.FAIL, ", ".join(said)
    short += _too_short(parts)
    if short or not whole:
        return Verdict.INCONCLUSIVE, "; ".join(short) or "there is no column to compare"
    if len(whole) == 1:
        return Verdict.PASS, "the 1 column has not changed"
    return Verdict.PASS, f"none of {len(whole):,} columns has changed"


def _counted(what: str, some: int, all_: int) -> str:
    of = what if all_ == 1 else f"{what}s"
    return f"{some:,} of {all_:,} {of} {'has' if some == 1 else 'have'} changed"


def _too_short(parts: Iterable[Part]) -> list[str]:
    """What is to be said when no part at all could be looked at."""
    found = list(parts)
    if not found or any(part.verdict is not Verdict.INCONCLUSIVE for part in found):
        return []
    reason = next((look.insufficient for look in found[0].looks if look.insufficient), "too short")
    return [f"no window could be judged: {reason}"]


def reasons(look: FeatureDrift, demands: Monitoring, scope: Scope) -> str:
    """Why a feature's verdict is what it is, in a sentence."""
    if look.structural:
        return "; ".join(one.reason for one in look.structural)
    if look.insufficient is not None:
        return look.insufficient
    name, value, limit = max(_effects(look, demands, scope), key=lambda one: one[1] / one[2])
    if look.measures.nameless:
        name = f"over groups of more than {MAX_CATEGORIES:,} names, {name}"
    if look.moved:
        centre = _centre(look) if look.kind is FeatureKind.NUMERIC else ""
        return f"{name} {value:.3g} is {value / limit:.1f} times its limit of {limit:g}{centre}"
    if value >= limit:
        return f"{name} {value:.3g} is beyond its limit of {limit:g}, but noise may do that"
    return f"{name} {value:.3g} is below its limit of {limit:g}"


def _centre(look: FeatureDrift) -> str:
    """From where to where the middle has gone, if it has."""
    before, now = look.measures.median_reference, look.measures.median_current
    if before is None or now is None or f"{before:.3g}" == f"{now:.3g}":
        return ""
    return f"; median {before:.3g} → {now:.3g}"


def nearness(look: FeatureDrift, demands: Monitoring, scope: Scope) -> float | None:
    """The largest effect in units of its limit: 1 is at the limit. None where nothing was
    measured."""
    return max((value / limit for _, value, limit in _effects(look, demands, scope)), default=None)


def _effects(
    look: FeatureDrift, demands: Monitoring, scope: Scope
) -> list[tuple[str, float, float]]:
    """What was measured, each with its limit."""
    effects, m = effects_of(demands, scope), look.measures
    named = (
        ("D", m.ks_d, effects.ks_d),
        ("scaled Wasserstein", m.wasserstein_scaled, effects.wasserstein_scaled),
        ("category mass", m.category_mass, effects.category_mass),
    )
    return [(name, value, limit) for name, value, limit in named if value is not None]
