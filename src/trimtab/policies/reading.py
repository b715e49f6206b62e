"""Strict reading of YAML: plain data with the line and column of every key.

Less than YAML on purpose. No anchors, aliases, tags, merge keys, second documents,
nulls or duplicate keys; numbers in plain decimals only, because YAML 1.1 reads `010` as
eight, `1:30` as ninety and `on` as true.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import yaml

from trimtab.kernel.errors import InvalidInput

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value]"
Path: TypeAlias = tuple[str | int, ...]

_NUMBER = re.compile(r"(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?")
# The compiled parser, where there is one: a policy is read in 10 ms instead of 150.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# What the parser counts as the end of a line.
_BREAK = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")


@dataclass(frozen=True)
class Budget:
    """The largest text that is read: bytes of UTF-8, levels of nesting, nodes."""

    max_bytes: int = 262_144
    max_depth: int = 12
    max_nodes: int = 10_000


@dataclass(frozen=True)
class Place:
    """Line and column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """What was read: `data`, and for each path in it the place where it is written."""

    source: str
    data: dict[str, Value]
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Where `path` is written, or else the nearest thing above it that is."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))

    def refuse(self, path: Path, what: str, *, remedy: str | None = None) -> NoReturn:
        """Raise InvalidInput that names the place of `path`."""
        raise refusal(self.source, self.place(path), what, dotted(path), remedy)


def dotted(path: Path) -> str | None:
    """`path` for a person; None for the whole text."""
    return ".".join(str(part) for part in path) or None


def refusal(
    source: str, place: Place, what: str, name: str | None = None, remedy: str | None = None
) -> InvalidInput:
    """The error for something wrong at `place`: `source:line:column: what`."""
    return InvalidInput(f"{source}:{place.line}:{place.column}: {what}", field=name, remedy=remedy)


def said_of(fault: Any, whole: str, nearest: Callable[[], str]) -> tuple[str, str | None]:
    """A fault that validation found, in our words, and what to do about it.

    Args:
        fault: As pydantic tells of it.
        whole: What the document is called where no part of it is at fault.
        nearest: Of the keys that may stand there, that which looks most like the one at fault.
    """
    path: Path = tuple(fault["loc"])
    name = dotted(path) or whole
    match fault["type"]:
        case "extra_forbidden":
            near = nearest()
            return f"{name} is not a key; the nearest is {near!r}", f"Use {near!r}."
        case "missing":
            return f"{name} is missing", f"Give {str(path[-1])!r} a value."
        case "value_error":
            return f"{name}: {fault['ctx']['error']}", None
        case _:
            given = repr(fault["input"])
            given = given if len(given) <= 60 else given[:60] + "..."
            return f"{name} {fault['msg'].removeprefix('Input ')}, but is {given}", None


def read(text: str, source: str, budget: Budget | None = None) -> Document:
    """`text` as plain data.

    Args:
        text: YAML whose outermost value is a mapping.
        source: What the text is called in errors, such as a file name.
        budget: How much is read at most.

    Raises:
        InvalidInput: anything else; the message starts with `source:line:column:`.
    """
    budget = budget or Budget()
    _refuse_size(text, source, budget)
    try:
        _refuse_features(text, source, budget)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        place = _within(text, _place(error.problem_mark or error.context_mark))
        raise refusal(source, place, f"not YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - before.rfind("\n"))
        raise refusal(source, place, "a character that YAML does not allow") from error
    if not isinstance(node, yaml.MappingNode):
        raise refusal(source, Place(1, 1), "expected `key: value` lines at the top")
    places: dict[Path, Place] = {(): _place(node.start_mark)}
    data = _mapping(node, (), source, places)
    return Document(source, data, places)


def _refuse_size(text: str, source: str, budget: Budget) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        place = Place(text.count("\n", 0, error.start) + 1, 1)
        raise refusal(source, place, "half of a surrogate pair is not a character") from error
    if size > budget.max_bytes:
        raise refusal(source, Place(1, 1), f"{size} bytes; at most {budget.max_bytes} are read")


def _refuse_features(text: str, source: str, budget: Budget) -> None:
    """Walk the events, which nest on no stack of ours, before anything is composed."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        place = _place(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise refusal(source, place, "anchors and aliases are not read")
        if getattr(event, "tag", None):
            raise refusal(source, place, "tags are not read")
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > budget.max_depth:
            raise refusal(source, place, f"nested deeper than {budget.max_depth} levels")
        if nodes > budget.max_nodes:
            raise refusal(source, place, f"more than {budget.max_nodes} values")
        if documents > 1:
            raise refusal(source, place, "a second document")


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _within(text: str, place: Place) -> Place:
    """`place`, or the end of `text`: libyaml counts an end without a line break as a new line."""
    lines = _BREAK.split(text)
    return place if place.line <= len(lines) else Place(len(lines), len(lines[-1]) + 1)


def _value(node: yaml.Node, path: Path, source: str, places: dict[Path, Place]) -> Value:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, source, places)
    if isinstance(node, yaml.SequenceNode):
        items: list[Value] = []
        for index, child in enumerate(node.value):
            places[*path, index] = _place(child.start_mark)
            items.append(_value(child, (*path, index), source, places))
        return items
    return _scalar(node, path, source)


def _mapping(
    node: yaml.MappingNode, path: Path, source: str, places: dict[Path, Place]
) -> dict[str, Value]:
    mapping: dict[str, Value] = {}
    for key, child in node.value:
        place = _place(key.start_mark)
        if not isinstance(key, yaml.ScalarNode) or key.tag != _TAG + "str":
            raise refusal(source, place, "a key must be a plain word", dotted(path))
        name: str = key.value
        if name in mapping:
            first = places[*path, name].line
            what = f"{_clipped(name)} is given twice, first in line {first}"
            raise refusal(source, place, what, dotted((*path, name)), "Keep one of the two.")
        places[*path, name] = place
        mapping[name] = _value(child, (*path, name), source, places)
    return mapping


def _scalar(node: yaml.Node, path: Path, source: str) -> bool | int | float | str:
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    if kind == "str":
        return text
    if kind == "bool" and text in ("true", "false"):
        return text == "true"
    if kind in ("int", "float") and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    remedy = {
        "int": "Write a plain decimal number that is not negative, such as 0.05 or 500.",
        "float": "Write a plain decimal number that is not negative, such as 0.05 or 500.",
        "bool": "Write true or false.",
        "null": "Give a value, or leave the key out where a tier inherits it.",
    }.get(kind, "Put quotes around it if a text is meant.")
    what = f"{_clipped(text) if text else 'nothing'} is not a value that is read here"
    raise refusal(source, _place(node.start_mark), what, dotted(path), remedy)


def _clipped(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
