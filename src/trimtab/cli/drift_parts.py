"""The parts of a comparison in the terminal: in which segments, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trimtab.cli.drift_course import courses
from trimtab.cli.tables import show_table
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.comparison import Comparison, Part, reasons
from trimtab.monitoring.drift import effects_of

if TYPE_CHECKING:
    from trimtab.policies.operation import Monitoring

_SHOWN = 20


def say_parts(found: Comparison, told: Mapping[str, Any], demands: Monitoring) -> None:
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
        _say_courses(told)


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


def _say_courses(told: Mapping[str, Any]) -> None:
    """As the report has it: what changed as a whole, what lasts, what began earlier."""
    parts = told["parts"]
    found = [
        (name, course)
        for segment in dict.fromkeys(part["segment"] for part in parts)
        for name, course in courses(
            {**told, "parts": [part for part in parts if part["segment"] == segment]}
        ).items()
    ]
    found.sort(key=lambda one: one[1].order)
    rows = [(name, course.said(), course.marked.reason) for name, course in found[:_SHOWN]]
    _table(("column", "changed", "why"), rows, len(found) - _SHOWN)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    if rows:
        show_table(heads, rows, prose=("why",))
    if left > 0:
        print(f"and {left:,} more; --json has them all")
