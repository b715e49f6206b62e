"""What tags, stages and aliases say of a version, in the words of the record."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trimtab.artifacts.redaction import WITHHELD, shown
from trimtab.inventory.record import CLAIMS, Finding, Known, Origin, Stage
from trimtab.inventory.tagmap import TagMap
from trimtab.inventory.tags import Kept

_EXPOSURE = (Stage.PRODUCTION, Stage.STAGING, Stage.DEVELOPMENT, Stage.ARCHIVED)
"""The most exposed first; what is archived is least so, and only where nothing else is said."""
_NONE = "none"
_STRICTNESS: Mapping[str, int] = {"prohibited": 0, "high": 1, "limited": 3, "minimal": 4}
_NOT_KNOWN = 2
"""How strict a category of risk is that is no word: it may be any, and frees from nothing."""
STRICTEST_COUNTS = frozenset(("risk_category", "data_sensitivity"))
"""Claims that decide what is demanded of a version. Of several the strictest counts, wherever it
stands, so that nobody lowers a duty by saying less of it nearby."""
_CLAIMS_SHOWN = 4
_ALIASES_SHOWN = 5
_PARTS = re.compile(r"[,;|]")


def tagged(name: str, sources: Sequence[tuple[Kept, Origin]], tag_map: TagMap) -> Known:
    """The field `name` from tags: those of the first source that says something.

    Where all that stands there is a filler such as `TBD`, or was withheld, there is no value,
    and `coerced_from` or `fault` says so.
    """
    without = Known(claim=name in CLAIMS)
    for kept, origin in sources:
        for key, said in tag_map.find(name, kept.values):
            known = _read(name, key, said, kept, origin, tag_map)
            if known.value is not None:
                return known
            if without.origin is None:
                without = known
    return without


def claimed(
    name: str, sources: Sequence[tuple[Kept, Origin]], tag_map: TagMap
) -> tuple[Known, list[Finding]]:
    """A field of `STRICTEST_COUNTS` from the tags of all sources, and a finding where they do
    not agree. What nobody says is as `tagged` says."""
    read = [
        _read(name, key, said, kept, origin, tag_map)
        for kept, origin in sources
        for key, said in tag_map.every(name, kept.values)
    ]
    told = [known for known in read if known.value is not None]
    if not told:
        return tagged(name, sources, tag_map), []
    return strictest(name, told), _conflict(name, told)


def strictest(name: str, told: Sequence[Known]) -> Known:
    """The strictest of what is said of a field of `STRICTEST_COUNTS`, of equals the first; at
    least one, each with a value. Words of a list add up, and `none` does not go with others."""
    if name == "risk_category":
        return min(told, key=lambda known: _STRICTNESS.get(str(known.value), _NOT_KNOWN))
    words = list(dict.fromkeys(word for known in told for word in _words(known.value)))
    words = [word for word in words if word != _NONE] or words
    first = next(known for known in told if set(words) & set(_words(known.value)))
    if list(first.value) == words:
        return first
    saying = (known for known in told if set(words) & set(_words(known.value)))
    written = dict.fromkeys(k.coerced_from or ", ".join(_words(k.value)) for k in saying)
    return replace(first, value=words, coerced_from="; ".join(written))


def _words(value: Any) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list | tuple) else [str(value)]


def _conflict(name: str, told: Sequence[Known]) -> list[Finding]:
    """A finding where two places say different things, or one place says nothing and something."""
    different = {(known.origin, tuple(sorted(_words(known.value)))) for known in told}
    values = {value for _, value in different}
    places = len({origin for origin, _ in different})
    adds_up = name == "data_sensitivity" and places == 1 and (_NONE,) not in values
    if len(values) == 1 or adds_up:
        return []
    said = [
        f"{shown(known.key)} of the {str(known.origin).replace('_', ' ')} says "
        f"{shown(', '.join(_words(known.value)), 60)}"
        for known in told[:_CLAIMS_SHOWN]
    ]
    more = len(told) - len(said)
    others = f", and {more} more" if more else ""
    detail = f"{name}: {', '.join(said)}{others}; the strictest counts"
    return [Finding("claims_conflict", detail)]


def _read(name: str, key: str, said: str, kept: Kept, origin: Origin, tag_map: TagMap) -> Known:
    value = None if said == WITHHELD else _coerced(name, said, tag_map)
    return Known(
        value=value,
        origin=origin,
        key=f"tags.{key}",
        coerced_from=None if said == WITHHELD or value == said else said,
        fault=kept.faults.get(key),
        claim=name in CLAIMS,
    )


def _coerced(name: str, said: str, tag_map: TagMap) -> str | list[str] | None:
    if tag_map.holds_several(name):
        words = (_word(name, part, tag_map) for part in _several(said))
        return list(dict.fromkeys(word for word in words if word is not None)) or None
    return _word(name, said, tag_map)


def _word(name: str, said: str, tag_map: TagMap) -> str | None:
    said = said.strip()
    word = tag_map.word(name, said)
    if word is not None:
        return word
    return None if not said or tag_map.says_nothing(said) else said


def _several(said: str) -> list[str]:
    if said.lstrip().startswith("["):
        try:
            items = json.loads(said)
        except (ValueError, RecursionError):
            items = None  # then it is text that begins with a bracket
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return [item.encode("utf-8", "replace").decode() for item in items]
    return _PARTS.split(said)


def lifecycle(stage: Known, aliases: Known, tag_map: TagMap) -> tuple[Known, list[Finding]]:
    """Where a version stands, from its registry's stage and its aliases.

    The most exposed counts where they disagree: what is called production by either is judged
    as production.
    """
    word = stage.value
    silent = not isinstance(word, str) or not word.strip() or tag_map.says_nothing(word)
    by_stage = None if silent else tag_map.stage_of(word)
    findings = []
    if not silent and by_stage is None:
        findings.append(Finding("stage_unknown", f"{shown(word)} is a stage of no meaning here"))
    findings += _unknown_aliases(aliases.value or [], tag_map)
    by_alias, alias = _of_aliases(aliases.value or [], tag_map)
    if by_stage and by_alias and by_stage != by_alias:
        findings.append(
            Finding(
                "stage_alias_conflict",
                f"the stage says {by_stage.value}, the alias {shown(alias)} says {by_alias.value};"
                " the more exposed of the two counts",
            )
        )
    said = [found for found in (by_stage, by_alias) if found is not None]
    most = min(said, key=_EXPOSURE.index, default=Stage.DEVELOPMENT)
    if most == by_alias and most != by_stage:
        return _known(most, aliases.origin, f"aliases.{alias}", alias), findings
    if most == by_stage:
        return _known(most, stage.origin, stage.key, word), findings
    return _known(most, stage.origin, stage.key, word if not silent else None), findings


def _unknown_aliases(aliases: Sequence[str], tag_map: TagMap) -> list[Finding]:
    """A finding for each of the first aliases that look like a stage and mean none."""
    odd = [alias for alias in aliases if tag_map.seems_a_stage(alias)][:_ALIASES_SHOWN]
    advice = "means no stage; if it does, add it to the tag map"
    return [Finding("alias_unknown", f"the alias {shown(alias)} {advice}") for alias in odd]


def _of_aliases(aliases: Sequence[str], tag_map: TagMap) -> tuple[Stage | None, str]:
    meant = [(found, a) for a in aliases if (found := tag_map.stage_of_alias(a)) is not None]
    return min(meant, key=lambda pair: _EXPOSURE.index(pair[0]), default=(None, ""))


def _known(stage: Stage, origin: Origin | None, key: str, said: Any) -> Known:
    return Known(
        value=stage.value,
        origin=origin,
        key=key,
        coerced_from=said if said != stage.value else None,
    )
