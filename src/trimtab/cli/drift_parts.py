"""The parts of a comparison in the terminal: in which segments, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trimtab.cli.tables import show_table
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.comparison import Comparison, Part, reasons
from trimtab.monitoring.drift import FeatureDrift, effects_of

if TYPE_CHECKING:
    from trimtab.policies.operation import Monitoring

_SHOWN = 20
_MIDNIGHT = "T00:00:00+00:00"


@dataclass(frozen=True)
class Course:
    """One column (of one segment) from window to window. `since` is where its last run of
    changed windows begins; `lasts` says whether that run reaches the end and is of two windows
    or more."""

    segment: str | None
    feature: str
    since: str
    run: int
    changed: int
    judged: int
    lasts: bool
    reason: str


def say_parts(found: Comparison, demands: Monitoring) -> None:
    """The parts in which something has changed; they are what was asked for."""
    if not found.parts:
        return
    changed = sum(part.verdict is Verdict.FAIL for part in found.parts)
    short = sum(part.verdict is Verdict.INCONCLUSIVE for part in found.parts)
    limits = effects_of(demands, found.parts[0].scope)
    print(
        f"\n{changed:,} of {len(found.parts):,} parts have changed"
        + (f", {short:,} could not be judged in full" if short else "")
        + f"; their limits: D {limits.ks_d:g}, scaled Wasserstein {limits.wasserstein_scaled:g}, "
        f"category mass {limits.category_mass:g}"
    )
    if found.parts[0].begin is None:
        _say_segments(found.parts, demands)
    else:
        _say_courses(found, demands)


def _say_segments(parts: Sequence[Part], demands: Monitoring) -> None:
    rows = []
    changed = sorted(
        (part for part in parts if part.verdict is Verdict.FAIL),
        key=lambda part: -max(look.magnitude for look in part.looks if look.changed),
    )
    for part in changed[:_SHOWN]:
        name = part.segment or "(empty)"
        if not part.reference_segment:
            name += " (new: beside the whole reference)"
        looks = sorted((one for one in part.looks if one.changed), key=lambda x: -x.magnitude)
        for look in looks:
            rows.append((name, f"{part.rows:,}", look.feature, reasons(look, demands, part.scope)))
            name = ""
    _table(("segment", "rows", "column", "why"), rows, len(changed) - _SHOWN)


def _say_courses(found: Comparison, demands: Monitoring) -> None:
    moved = {look.feature for look in found.looks if look.changed}
    courses = courses_of(found.parts, demands)
    courses.sort(key=lambda one: (one.feature not in moved, not one.lasts, -one.run))
    by_segment = any(one.segment is not None for one in courses)
    rows = [
        (
            *((one.segment or "(empty)",) if by_segment else ()),
            one.feature,
            f"since {one.since}" if one.lasts else f"in the past, last {one.since}",
            f"{one.run:,} in a row, {one.changed:,} of {one.judged:,}",
            one.reason,
        )
        for one in courses[:_SHOWN]
    ]
    heads = ("column", "changed", "windows", "why")
    _table(("segment", *heads) if by_segment else heads, rows, len(courses) - _SHOWN)


def courses_of(parts: Sequence[Part], demands: Monitoring) -> list[Course]:
    """The columns that have changed in any window, each with its last run of such windows."""
    seen: dict[tuple[str | None, str], list[tuple[Part, FeatureDrift]]] = {}
    for part in parts:
        for look in part.looks:
            seen.setdefault((part.segment, look.feature), []).append((part, look))
    found = []
    for (segment, feature), looks in seen.items():
        judged = [(part, look) for part, look in looks if look.verdict is not Verdict.INCONCLUSIVE]
        last = max((at for at, (_, look) in enumerate(judged) if look.changed), default=None)
        if last is None:
            continue
        first = last
        while first > 0 and judged[first - 1][1].changed:
            first -= 1
        part, look = judged[first]
        found.append(
            Course(
                segment=segment,
                feature=feature,
                since=moment(part.begin or ""),
                run=last - first + 1,
                changed=sum(one.changed for _, one in judged),
                judged=len(judged),
                lasts=last == len(judged) - 1 and last > first,
                reason=reasons(look, demands, part.scope),
            )
        )
    return found


def moment(text: str) -> str:
    """The begin of a window as people write it: a day, a moment, a row."""
    if text.isdecimal():
        return f"row {int(text):,}"
    return text.removesuffix(_MIDNIGHT) if text.endswith(_MIDNIGHT) else text.replace("+00:00", "Z")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    if rows:
        show_table(heads, rows, prose=("why",))
    if left > 0:
        print(f"and {left:,} more; --json has them all")
