"""How far a version has gone from its predecessor, and which numbers say so. Pure.

MAJOR: another signature, model type or architecture. MINOR: other tuning, or more data.
PATCH: other data, or a mended edge case. The bump follows from what changed; nobody chooses
it, and a number that says less is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trimtab.kernel.errors import InvalidInput
from trimtab.registry.model import checked_version, is_version, version_key

Spec = tuple[str, str, tuple[int | None, ...] | None]
"""An input or output: its name, element type and dimensions; None: an open one."""

_NAMES_SHOWN = 3
_NUMBERS_SHOWN = 6


class Bump(StrEnum):
    """How much of a version is new, and so how much of it is validated again."""

    FIRST = "first"
    """There is nothing to compare with: all of it is new."""
    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"

    @property
    def weight(self) -> int:
        """Greater for what asks for more; a first version asks for what a major one does."""
        return {Bump.PATCH: 0, Bump.MINOR: 1}.get(self, 2)


_LEVELS = (Bump.PATCH, Bump.MINOR, Bump.MAJOR)


@dataclass(frozen=True)
class Traits:
    """What is compared of a version. `graph` None: it could not be read."""

    digest: str
    framework: str
    cutoff: float
    hyperparameters: Any
    reference_digest: str
    reference_rows: int
    graph: Mapping[str, Any] | None

    @property
    def architecture(self) -> str | None:
        """The digest of its graph without what was learnt; None where there is none."""
        return (self.graph or {}).get("architecture") or None


@dataclass(frozen=True)
class Change:
    """What a version is against its predecessor, with every reason for it."""

    bump: Bump
    reasons: tuple[str, ...]


def derive(before: Traits | None, after: Traits) -> Change:
    """What changed from `before` to `after`; every reason of the largest kind is named."""
    if before is None:
        return Change(Bump.FIRST, ("there is no earlier version to compare with",))
    if reasons := tuple(_major(before, after)):
        return Change(Bump.MAJOR, reasons)
    if reasons := tuple(_minor(before, after)):
        return Change(Bump.MINOR, reasons)
    return Change(Bump.PATCH, tuple(_patch(before, after)))


def _major(before: Traits, after: Traits) -> Iterator[str]:
    if before.framework != after.framework:
        yield f"the model type was {before.framework!a} and is {after.framework!a}"
    if before.architecture is None or after.architecture is None:
        # Not knowing is no equality, even where neither can be read.
        yield "the architecture cannot be compared: a graph could not be read"
        return
    for side in ("inputs", "outputs"):
        yield from _signature(_specs(before, side), _specs(after, side), side)
    if before.architecture != after.architecture:
        yield "the architecture changed: other operators, or otherwise joined"


def _minor(before: Traits, after: Traits) -> Iterator[str]:
    if before.cutoff != after.cutoff:
        yield f"the cut-off was {before.cutoff:g} and is {after.cutoff:g}"
    if before.hyperparameters != after.hyperparameters:
        yield "the stated hyper-parameters changed"
    if (was := _trees(before)) != (now := _trees(after)):
        yield f"it had {was} trees and has {now}"
    more = after.reference_rows - before.reference_rows
    if more > 0:
        yield f"it learnt from {more} more rows"
    same_data = before.reference_digest == after.reference_digest
    if same_data and before.digest != after.digest and after.hyperparameters is None:
        yield "it learnt otherwise from the same data, and states no hyper-parameters"


def _patch(before: Traits, after: Traits) -> Iterator[str]:
    if before.reference_digest != after.reference_digest:
        yield "it learnt from other data"
    elif before.digest != after.digest:
        yield "only what it learnt is different"
    else:
        yield "nothing that is compared changed"


def _trees(of: Traits) -> int:
    return int((of.graph or {}).get("trees", 0))


def _specs(of: Traits, side: str) -> dict[str, Spec]:
    found = {}
    for spec in (of.graph or {}).get(side, ()):
        dims = spec["dims"]
        # A symbol for an open dimension is a name, and names of dimensions mean nothing.
        sizes = None if dims is None else tuple(d if isinstance(d, int) else None for d in dims)
        found[spec["name"]] = (spec["name"], spec["elem_type"], sizes)
    return found


def _signature(before: Mapping[str, Spec], after: Mapping[str, Spec], side: str) -> Iterator[str]:
    told = {
        "new": sorted(set(after) - set(before)),
        "gone": sorted(set(before) - set(after)),
        "of another type or shape": sorted(
            name for name in set(before) & set(after) if before[name] != after[name]
        ),
    }
    for how, names in told.items():
        if names:
            more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
            verb = "are" if len(names) > 1 else "is"
            yield f"of the {side}, {', '.join(names[:_NAMES_SHOWN])}{more} {verb} {how}"


def stated(before: str, number: str) -> Bump:
    """The bump that `number` states against `before`, which is smaller."""
    old, new = version_key(before), version_key(number)
    return Bump.MAJOR if old[0] != new[0] else Bump.MINOR if old[1] != new[1] else Bump.PATCH


def next_numbers(before: str, used: Mapping[str, bool]) -> tuple[str, ...]:
    """The numbers that may follow `before`, ascending.

    They are the next patch, the next minor and the next major, where numbers that the model
    has used are passed over. A rejected one may also be mended, by patches of its own.

    Args:
        before: The predecessor's.
        used: Every number of the model, and whether its version was rejected.
    """
    found = {number for level in _LEVELS for number in _free(before, level, used)}
    return tuple(sorted(found, key=version_key))


def first_number(used: Collection[str]) -> str:
    """The highest number with which a scope may begin: one major above those that the model
    has, or 1.0.0."""
    return f"{1 + max((version_key(number)[0] for number in used), default=0)}.0.0"


def _free(before: str, level: Bump, used: Mapping[str, bool]) -> Iterator[str]:
    number = _step(before, level)
    while number in used:
        if used[number] and level is not Bump.PATCH:
            yield from _mended(number, used)
        number = _step(number, level)
    if is_version(number):
        yield number


def _mended(number: str, used: Mapping[str, bool]) -> Iterator[str]:
    """The next patch of a rejected number; none where one of its patches was accepted."""
    while used.get(number):
        number = _step(number, Bump.PATCH)
    if number not in used and is_version(number):
        yield number


def _step(number: str, level: Bump) -> str:
    major, minor, patch = version_key(number)
    match level:
        case Bump.PATCH:
            return f"{major}.{minor}.{patch + 1}"
        case Bump.MINOR:
            return f"{major}.{minor + 1}.0"
        case _:
            return f"{major + 1}.0.0"


def demand_next(before: str | None, number: str, used: Mapping[str, bool]) -> None:
    """Refuse a number that does not follow, whatever the version holds.

    Raises:
        InvalidInput: it is no version, not greater than the predecessor's, or skips numbers.
    """
    checked_version(number)
    if before is None:
        _demand_first(number, used)
        return
    allowed = next_numbers(before, used)
    if number in allowed:
        return
    above = version_key(number) > version_key(before)
    why = "skips numbers after" if above else "is not above"
    raise InvalidInput(
        f"{number} {why} {before}, which it follows", field="version", remedy=_choice(allowed)
    )


def _demand_first(number: str, used: Collection[str]) -> None:
    """Nothing is compared, so any number will do that leaves later ones room."""
    highest = first_number(used)
    if number in used or version_key(number)[0] > version_key(highest)[0]:
        raise InvalidInput(
            f"{number} skips numbers: nothing has begun below it",
            field="version",
            remedy=f"begin with {highest}, or below it",
        )


def demand_enough(before: str, number: str, change: Change, used: Mapping[str, bool]) -> None:
    """Refuse a number that says less than what changed.

    Raises:
        InvalidInput: it does; what changed and what may be taken instead are named.
    """
    if stated(before, number).weight >= change.bump.weight:
        return
    raise InvalidInput(
        f"{number} says {stated(before, number).value} after {before}, but this is a "
        f"{change.bump.value} change: {'; '.join(change.reasons)}",
        field="version",
        remedy=_choice(enough(before, change, used)),
    )


def enough(before: str, change: Change, used: Mapping[str, bool]) -> tuple[str, ...]:
    """The numbers that may follow `before` and say no less than what changed, ascending."""
    return tuple(
        number
        for number in next_numbers(before, used)
        if stated(before, number).weight >= change.bump.weight
    )


def _choice(numbers: Collection[str]) -> str:
    if not numbers:
        return "no number is left here; register the model anew"
    shown = list(numbers)[-_NUMBERS_SHOWN:]
    return "take " + " or ".join(shown)
