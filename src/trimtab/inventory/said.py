"""What tags, stages and aliases say of a version, in the words of the record."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from trimtab.artifacts.redaction import shown
from trimtab.inventory.record import CLAIMS, Finding, Known, Origin, Stage
from trimtab.inventory.tagmap import TagMap
from trimtab.inventory.tags import REDACTED, Kept

_EXPOSURE = (Stage.PRODUCTION, Stage.STAGING, Stage.DEVELOPMENT, Stage.ARCHIVED)
"""The most exposed first; what is archived is least so, and only where nothing else is said."""
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


def _read(name: str, key: str, said: str, kept: Kept, origin: Origin, tag_map: TagMap) -> Known:
    value = None if said == REDACTED else _coerced(name, said, tag_map)
    return Known(
        value=value,
        origin=origin,
        key=f"tags.{key}",
        coerced_from=None if said == REDACTED or value == said else said,
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
