"""YAML as plain data: no object is built, and what unfolds without end is refused.

Values are made from the parser's events, so that nothing is built before it is counted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from trimtab.artifacts.findings import Severity

MAX_DEPTH = 40

_PYTHON = "tag:yaml.org,2002:python/"
_CORE = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("bool", "float", "int", "map", "null", "seq", "str", "timestamp")
)
_TRUE, _FALSE = {"y", "yes", "true", "on"}, {"n", "no", "false", "off"}
_INT = re.compile(r"[+-]?[0-9][0-9_]{0,300}")


class NotPlain(ValueError):
    """A document is not plain data; `rule` and `severity` are those of the finding."""

    def __init__(self, rule: str, severity: Severity, what: str):
        super().__init__(what)
        self.rule = rule
        self.severity = severity
        self.what = what


@dataclass
class _Open:
    """A list or mapping that has not ended; `weight` counts its values, unfolded."""

    value: Any
    anchor: str | None
    keys: list[str] = field(default_factory=list)
    weight: int = 1


def read_yaml(data: bytes, *, max_bytes: int, max_values: int, as_text: bool = False) -> Any:
    """The value of the one document in `data`: dict, list, str, int, float, bool or None.

    Args:
        max_bytes: Longer documents are refused unread.
        max_values: Values in it, an alias counted as often as it is used.
        as_text: Leave numbers as they are written, since 3.10 is a version and no number.

    Raises:
        NotPlain: a tag that is not of plain data, a key that occurs twice or is no text,
            too long, too deep, too many values, or no YAML at all.
    """
    import yaml

    if len(data) > max_bytes:
        raise NotPlain("budget", Severity.UNREADABLE, f"more than {max_bytes} bytes")
    if _PYTHON.encode() in data or b"!!python/" in data:
        raise NotPlain("yaml_code", Severity.MALICIOUS, "a tag that builds Python objects")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder(max_values, as_text)
    try:
        for event in yaml.parse(data.decode("utf-8"), Loader=loader):
            builder.take(event)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise NotPlain(
            "malformed", Severity.UNREADABLE, f"no YAML: {type(error).__name__}"
        ) from error
    return builder.result()


class _Builder:
    """Builds values from events, in order."""

    def __init__(self, max_values: int, as_text: bool) -> None:
        import yaml

        self._events = yaml.events
        self._resolve: Any = yaml.resolver.Resolver().resolve
        self._scalar = yaml.nodes.ScalarNode
        self._max_values = max_values
        self._as_text = as_text
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._documents: list[Any] = []

    def result(self) -> Any:
        """The document; None where there is none."""
        if len(self._documents) > 1:
            raise NotPlain("malformed", Severity.UNREADABLE, "more than one document")
        return self._documents[0] if self._documents else None

    def take(self, event: Any) -> None:
        """Count one event, and build what it is part of."""
        events = self._events
        if isinstance(event, events.AliasEvent):
            if event.anchor not in self._anchors:
                raise NotPlain("budget", Severity.MALICIOUS, "a value that contains itself")
            self._put(*self._anchors[event.anchor])
        elif isinstance(event, events.ScalarEvent):
            self._demand_plain(event.tag)
            value = self._value(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            self._put(value, 1)
        elif isinstance(event, events.SequenceStartEvent | events.MappingStartEvent):
            self._demand_plain(event.tag)
            if len(self._open) >= MAX_DEPTH:
                raise NotPlain("budget", Severity.MALICIOUS, f"deeper than {MAX_DEPTH} levels")
            empty: Any = [] if isinstance(event, events.SequenceStartEvent) else {}
            self._anchors.pop(event.anchor, None)
            self._open.append(_Open(empty, event.anchor))
        elif isinstance(event, events.SequenceEndEvent | events.MappingEndEvent):
            ended = self._open.pop()
            if ended.anchor:
                self._anchors[ended.anchor] = (ended.value, ended.weight)
            self._put(ended.value, ended.weight)

    def _put(self, value: Any, weight: int) -> None:
        if not self._open:
            self._documents.append(value)
            return
        inside = self._open[-1]
        inside.weight += weight
        if inside.weight > self._max_values:
            raise NotPlain(
                "budget", Severity.MALICIOUS, f"unfolds to more than {self._max_values} values"
            )
        if isinstance(inside.value, list):
            inside.value.append(value)
        elif inside.keys:
            inside.value[inside.keys.pop()] = value
        else:
            self._key(inside, value)

    def _key(self, inside: _Open, key: Any) -> None:
        if isinstance(key, dict | list):
            raise NotPlain("malformed", Severity.UNREADABLE, "a key that is no text")
        text = key if isinstance(key, str) else str(key)
        if text == "<<":
            raise NotPlain("malformed", Severity.UNREADABLE, "a merged mapping")
        if text in inside.value:
            raise NotPlain("malformed", Severity.UNREADABLE, "a key that occurs twice")
        inside.keys.append(text)

    def _demand_plain(self, tag: str | None) -> None:
        if tag is None or tag in _CORE or tag == "!":
            return
        if tag.startswith(_PYTHON):
            raise NotPlain("yaml_code", Severity.MALICIOUS, "a tag that builds Python objects")
        raise NotPlain("yaml_tag", Severity.UNREADABLE, "a tag that is not of plain data")

    def _value(self, event: Any) -> Any:
        tag = event.tag or self._resolve(self._scalar, event.value, event.implicit)
        kind, text = tag.rpartition(":")[2], str(event.value)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        if self._as_text:
            return text
        if kind == "int" and _INT.fullmatch(text):
            return int(text.replace("_", ""))
        if kind == "float":
            return _number(text)
        return text


def _number(text: str) -> float | str:
    try:
        found = float(text.replace("_", ""))
    except ValueError:
        return text  # such as 190:20:30.15, or .inf
    return found if math.isfinite(found) else text
