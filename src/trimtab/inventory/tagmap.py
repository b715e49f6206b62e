"""Which tags say what: a map from a tenant's own words to the fields of a record."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from trimtab.inventory.coerce import folded
from trimtab.inventory.record import GROUPS, Group, Stage
from trimtab.inventory.strict import Strict, demand_name, shaped
from trimtab.policies.reading import Document, read

TAGGABLE: tuple[str, ...] = (
    "business_purpose",
    "owner",
    "code_commit",
    "training_entrypoint",
    "dataset_reference",
    *GROUPS[Group.RISK],
)
"""The fields that are read from tags."""

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


class Matching(Strict):
    """How the names of tags are compared."""

    ignore_case_and_separators: bool


class StageWords(Strict):
    """What a registry calls a stage, and the aliases that mean it."""

    stages: tuple[str, ...]
    aliases: tuple[str, ...]


class SecretKeys(Strict):
    """Names of tags and parameters whose values are not kept. An entry of `words` is a word or
    several, found anywhere in the name; `harmless` are names with such words that hold none."""

    words: tuple[str, ...]
    harmless: tuple[str, ...]


class Files(Strict):
    """Patterns of files: of whole paths where there is a `/`, else of the last part."""

    environment: tuple[str, ...]
    evidence: tuple[str, ...]


class Written(Strict):
    """A tag map as it is written; every key is required."""

    tag_map: str
    matching: Matching
    fields: dict[str, tuple[str, ...]]
    several: tuple[str, ...]
    nothing_said: tuple[str, ...]
    vocabularies: dict[str, dict[str, tuple[str, ...]]]
    stages: dict[str, StageWords]
    evaluation_prefixes: tuple[str, ...]
    secret_keys: SecretKeys
    files: Files


@dataclass(frozen=True)
class TagMap:
    """A tag map as it is used. Two are equal that were read from the same text."""

    digest: str
    written: Written = field(compare=False, repr=False)
    keys: Mapping[str, tuple[str, ...]] = field(compare=False, repr=False)
    """For each field the folded names of its tags, the preferred one first."""
    _vocabulary: Mapping[tuple[str, str], str] = field(compare=False, repr=False)
    _nothing: frozenset[str] = field(compare=False, repr=False)
    _stages: Mapping[str, Stage] = field(compare=False, repr=False)
    _aliases: Mapping[str, Stage] = field(compare=False, repr=False)

    def fold(self, key: str) -> str:
        """`key` as keys of tags are compared."""
        return folded(key) if self.written.matching.ignore_case_and_separators else key

    def find(self, name: str, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Key and value of the tags that say the field `name`, the preferred one first; blank
        ones are left out. Of keys that are the same but for their spelling, the first in the
        order of the alphabet."""
        wanted = self.keys.get(name, ())
        found: dict[str, str] = {}
        for key in sorted(tags):
            if tags[key].strip():
                found.setdefault(self.fold(key), key)
        return tuple((found[key], tags[found[key]]) for key in wanted if key in found)

    def every(self, name: str, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Key and value of all tags that say the field `name`, in the order of `find`, those too
        that are the same but for their spelling."""
        wanted = self.keys.get(name, ())
        said = sorted(key for key in tags if tags[key].strip() and self.fold(key) in wanted)
        return tuple((k, tags[k]) for k in sorted(said, key=lambda k: wanted.index(self.fold(k))))

    def holds_several(self, name: str) -> bool:
        """Whether the field's value is a list of words."""
        return name in self.written.several

    def word(self, name: str, said: str) -> str | None:
        """The word in the vocabulary of the field that `said` stands for; None: it is none."""
        return self._vocabulary.get((name, folded(said)))

    def vocabulary(self, name: str) -> tuple[str, ...]:
        """The words of the field; none where any text will do."""
        return tuple(self.written.vocabularies.get(name, ()))

    def says_nothing(self, said: str) -> bool:
        """Whether `said` only stands where something should, such as `TBD`."""
        return folded(said) in self._nothing

    def stage_of(self, word: str) -> Stage | None:
        """The stage that the registry's word for it means; None: it means none."""
        return self._stages.get(folded(word))

    def stage_of_alias(self, alias: str) -> Stage | None:
        """The stage that an alias means; None: it means none."""
        return self._aliases.get(folded(alias))

    def seems_a_stage(self, alias: str) -> bool:
        """Whether an alias that means no stage has a word which does, as `prod-eu` has. Nobody
        but the tenant knows what it means."""
        if self.stage_of_alias(alias) is not None:
            return False
        return any(folded(word) in self._aliases for word in _WORDS.findall(alias))

    def is_evaluation(self, key: str) -> bool:
        """Whether a run's tag tells of an evaluation."""
        return key.startswith(self.written.evaluation_prefixes)

    def is_secret(self, key: str) -> bool:
        """Whether a tag or parameter of this name seems to hold a secret."""
        words = " ".join(word.casefold() for word in _WORDS.findall(key))
        if words in self.written.secret_keys.harmless:
            return False
        return any(f" {secret} " in f" {words} " for secret in self.written.secret_keys.words)

    def is_environment(self, path: str) -> bool:
        """Whether a file says in what environment a model runs."""
        return _matches(path, self.written.files.environment)

    def is_evidence(self, path: str) -> bool:
        """Whether a file is a report or another document about a model."""
        return _matches(path, self.written.files.evidence)


def load_tag_map(text: str, source: str = "tag_map.yaml") -> TagMap:
    """The tag map that `text`, YAML or JSON, states.

    Raises:
        InvalidInput: not YAML as policies are read, an unknown or missing key, a field or stage
            that there is not, one key for two fields, or one phrase for two words. The message
            starts with `source:line:column:` and `field` names the key.
    """
    document = read(text, source)
    written = shaped(Written, document)
    _demand_names(document, written)
    made = TagMap(
        digest="sha256:" + hashlib.sha256(text.encode()).hexdigest(),
        written=written,
        keys={},
        _vocabulary=_phrases(document, written),
        _nothing=frozenset(map(folded, written.nothing_said)),
        _stages={folded(w): Stage(s) for s, ws in written.stages.items() for w in ws.stages},
        _aliases={folded(w): Stage(s) for s, ws in written.stages.items() for w in ws.aliases},
    )
    return _with_keys(document, made)


@functools.cache
def default_tag_map() -> TagMap:
    """The tag map that comes with Trimtab."""
    return load_tag_map(_shipped(), "tag_map.yaml")


def adapted(changes: Mapping[str, Any]) -> TagMap:
    """The tag map that comes with Trimtab, with a tenant's own words in their places.

    Args:
        changes: As the tag map is written. What it says of a field, a vocabulary or a stage takes
            the place of what is shipped; what it does not name stays.

    Raises:
        InvalidInput: as `load_tag_map`.
    """
    shipped: dict[str, Any] = read(_shipped(), "tag_map.yaml").data
    merged = {**shipped, **changes}
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(shipped.get(name), Mapping):
            merged[name] = {**shipped[name], **value}
    return load_tag_map(json.dumps(merged), "tag_map")


def _shipped() -> str:
    file = resources.files("trimtab.inventory") / "data" / "tag_map.yaml"
    return file.read_bytes().decode()


def _demand_names(document: Document, written: Written) -> None:
    what = "a field that tags can say"
    for name in written.fields:
        demand_name(document, ("fields", name), name, TAGGABLE, what)
    for name in written.vocabularies:
        demand_name(document, ("vocabularies", name), name, TAGGABLE, what)
    for place, name in enumerate(written.several):
        demand_name(document, ("several", place), name, TAGGABLE, what)
    for stage in written.stages:
        demand_name(document, ("stages", stage), stage, tuple(Stage), "a stage")


def _phrases(document: Document, written: Written) -> dict[tuple[str, str], str]:
    """What each phrase means; a phrase with two meanings is refused."""
    meant: dict[tuple[str, str], str] = {}
    for name, words in written.vocabularies.items():
        for word, phrases in words.items():
            for place, phrase in enumerate((*phrases, word)):
                other = meant.setdefault((name, folded(phrase)), word)
                if other != word:
                    document.refuse(
                        ("vocabularies", name, word, place),
                        f"{phrase[:60]!r} means {other!r} already",
                        remedy="Keep it under one of the two words.",
                    )
    return meant


def _with_keys(document: Document, made: TagMap) -> TagMap:
    """`made` with its folded keys; a key that says two fields is refused."""
    says: dict[str, str] = {}
    keys: dict[str, tuple[str, ...]] = {}
    for name, wanted in made.written.fields.items():
        for place, key in enumerate(wanted):
            other = says.setdefault(made.fold(key), name)
            if other != name:
                document.refuse(
                    ("fields", name, place),
                    f"{key[:60]!r} says {other} already",
                    remedy="Keep it in one of the two fields.",
                )
        keys[name] = tuple(dict.fromkeys(made.fold(key) for key in wanted))
    return dataclasses.replace(made, keys=keys)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    folded_path = path.casefold()
    last = folded_path.rpartition("/")[2]
    return any(
        fnmatch.fnmatchcase(folded_path if "/" in pattern else last, pattern)
        for pattern in patterns
    )
