"""What is untidy in a tenant's tags, counted over its versions, of which none is kept."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from trimtab.artifacts.redaction import WITHHELD, shown
from trimtab.inventory.coerce import folded
from trimtab.inventory.record import Record
from trimtab.inventory.tagmap import TAGGABLE, TagMap

_ALIKE = 0.8
"""From which share of common letters on an unknown key is taken for a misspelled one."""
_SHORTEST = 4
_EXAMPLES_AT_MOST = 5
_SPELLINGS_AT_MOST = 1_000
"""Different keys, or values of a field, that are counted; what comes later is left out."""


class LintKind(StrEnum):
    """What can be untidy."""

    SEVERAL_KEYS = "several_keys"
    """One field is said by several keys."""
    NEAR_MISS = "near_miss"
    """A key that is in no field looks like one that is."""
    SEVERAL_SPELLINGS = "several_spellings"
    """One value of a field is spelled in several ways."""
    OUTSIDE_VOCABULARY = "outside_vocabulary"
    """A value is no word of its field, and so decides no rule."""
    FILLER = "filler"
    """A value only stands where something should."""
    ALIAS_UNKNOWN = "alias_unknown"
    """An alias that means no stage looks as if it did."""


@dataclass(frozen=True)
class Lint:
    """Something untidy. `counts` are the spellings with the number of versions that have each,
    the most frequent first; `versions` how many have any of them, each counted once; `examples`
    model and version of the first few."""

    kind: LintKind
    field: str
    sentence: str
    counts: tuple[tuple[str, int], ...]
    examples: tuple[tuple[str, int], ...]
    versions: int


@dataclass
class _Uses:
    """How many versions use a spelling, and the first of them; and how many use just these
    spellings together, so that nobody is counted twice."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    together: Counter[frozenset[str]] = field(default_factory=Counter)

    def add(self, spellings: Iterable[str], record: Record) -> None:
        """Count a version that uses these, each once."""
        kept = frozenset(one for one in sorted(set(spellings)) if self._count(one, record))
        if kept:
            self.together[kept] += 1

    def versions(self, spellings: Iterable[str]) -> int:
        """How many versions use any of these."""
        wanted = frozenset(spellings)
        return sum(count for used, count in self.together.items() if used & wanted)

    def _count(self, spelling: str, record: Record) -> bool:
        if spelling not in self.counts and len(self.counts) == _SPELLINGS_AT_MOST:
            return False
        self.counts[spelling] += 1
        seen = self.examples.setdefault(spelling, [])
        if len(seen) < _EXAMPLES_AT_MOST:
            seen.append((record.model, record.version))
        return True

    def lint(self, kind: LintKind, name: str, sentence: str, spellings: Iterable[str]) -> Lint:
        ordered = sorted(spellings, key=lambda one: (-self.counts[one], one))
        examples = dict.fromkeys(seen for one in ordered for seen in self.examples[one])
        return Lint(
            kind=kind,
            field=name,
            sentence=sentence,
            counts=tuple((shown(one), self.counts[one]) for one in ordered),
            examples=tuple(list(examples)[:_EXAMPLES_AT_MOST]),
            versions=self.versions(ordered),
        )


def lint(records: Iterable[Record], tag_map: TagMap) -> list[Lint]:
    """What is untidy in the tags of `records`, each of which is looked at once."""
    keys: dict[str, _Uses] = defaultdict(_Uses)
    values: dict[str, _Uses] = defaultdict(_Uses)
    unknown, aliases = _Uses(), _Uses()
    field_of = {key: name for name, wanted in tag_map.keys.items() for key in wanted}
    for record in records:
        said = {**record.run_tags, **record.model_tags, **record.version_tags}
        used: dict[str, set[str]] = defaultdict(set)
        for key in said:
            name = field_of.get(tag_map.fold(key))
            if name is not None:
                used[name].add(key)
            elif not key.startswith("mlflow."):
                unknown.add([key], record)
        for name, found in used.items():
            keys[name].add(found, record)
            values[name].add({said[key].strip() for key in found} - {"", WITHHELD}, record)
        aliases.add(filter(tag_map.seems_a_stage, record.aliases), record)
    made = [found for name in TAGGABLE for found in _of_keys(name, keys[name])]
    made += [*_near_misses(unknown, tag_map), *_of_aliases(aliases)]
    return made + [f for name in TAGGABLE for f in _of_values(name, values[name], tag_map)]


def _of_aliases(uses: _Uses) -> list[Lint]:
    made = []
    for alias, versions in uses.counts.most_common():
        sentence = (
            f"the alias {shown(alias)} on {_versions(versions)} means no stage; if it does, add it"
            " to the tag map"
        )
        made.append(uses.lint(LintKind.ALIAS_UNKNOWN, "aliases", sentence, [alias]))
    return made


def _of_keys(name: str, uses: _Uses) -> list[Lint]:
    if len(uses.counts) < 2:
        return []
    said = _counted(uses, uses.counts, "use")
    sentence = f"{name} is said by several keys: {said}"
    return [uses.lint(LintKind.SEVERAL_KEYS, name, sentence, uses.counts)]


def _near_misses(unknown: _Uses, tag_map: TagMap) -> list[Lint]:
    known = {folded(key): (key, f) for f, ks in tag_map.written.fields.items() for key in ks}
    made = []
    for key, versions in unknown.counts.most_common():
        plain = folded(key)
        near = difflib.get_close_matches(plain[:60], known, n=1, cutoff=_ALIKE)
        if len(plain) >= _SHORTEST and near:
            like, name = known[near[0]]
            sentence = f"`{shown(key)}` on {_versions(versions)} looks like `{like}`"
            made.append(unknown.lint(LintKind.NEAR_MISS, name, sentence, [key]))
    return made


def _of_values(name: str, uses: _Uses, tag_map: TagMap) -> list[Lint]:
    meanings: dict[str, list[str]] = defaultdict(list)
    outside, fillers = [], []
    for value in uses.counts:
        word = tag_map.word(name, value)
        if word is None and tag_map.says_nothing(value):
            fillers.append(value)
            continue
        meanings[word or folded(value)].append(value)
        if word is None and tag_map.vocabulary(name) and not tag_map.holds_several(name):
            outside.append(value)
    made = [
        uses.lint(
            LintKind.SEVERAL_SPELLINGS,
            name,
            f"one value of {name} is spelled in several ways: {_counted(uses, same, 'say')}",
            same,
        )
        for same in meanings.values()
        if len(same) > 1
    ]
    if outside:
        words = ", ".join(tag_map.vocabulary(name))
        said = _counted(uses, outside, "say")
        sentence = f"no word of {name} ({words}), so no rule is decided by it: {said}"
        made.append(uses.lint(LintKind.OUTSIDE_VOCABULARY, name, sentence, outside))
    if fillers:
        sentence = f"{name} is filled in with nothing: {_counted(uses, fillers, 'say')}"
        made.append(uses.lint(LintKind.FILLER, name, sentence, fillers))
    return made


def _counted(uses: _Uses, spellings: Iterable[str], verb: str) -> str:
    """`17 versions use dataOwner, 3 use owner`; of many the first five."""
    ordered = sorted(spellings, key=lambda one: (-uses.counts[one], one))
    first, *others = ordered[:_EXAMPLES_AT_MOST]
    one = uses.counts[first] == 1
    parts = [f"{_versions(uses.counts[first])} {verb}{'s' if one else ''} {shown(first)}"]
    parts += [
        f"{uses.counts[n]} {verb}{'s' if uses.counts[n] == 1 else ''} {shown(n)}" for n in others
    ]
    more = len(ordered) - _EXAMPLES_AT_MOST
    return ", ".join(parts) + (f", and {more} more spellings" if more > 0 else "")


def _versions(count: int) -> str:
    return "1 version" if count == 1 else f"{count} versions"
