"""Tags as they are kept: capped, and without the values of those that seem to hold secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trimtab.artifacts.redaction import WITHHELD, secrets_in, shown, without_secrets
from trimtab.inventory.coerce import Limits, listed, mapping, text
from trimtab.inventory.record import Finding
from trimtab.inventory.tagmap import TagMap


@dataclass(frozen=True)
class Kept:
    """Names and values; `faults` says of a name what was done to its value."""

    values: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def keep(found: Any, whose: str, most: int, tag_map: TagMap, limits: Limits) -> Kept:
    """Names with text, such as tags and parameters, from a list of `key` and `value` or from
    one object. Of a name that comes twice, the first stays.

    Args:
        found: What the registry sent.
        whose: What they are, for findings: `tags of the run`.
        most: How many are kept.
    """
    values: dict[str, str] = {}
    faults: dict[str, str] = {}
    findings: list[Finding] = []
    cut = malformed = 0
    for key, value in _pairs(found):
        name = name_of(key, limits)
        said = text(value, limits.tag_value_chars)
        if name is None or (said.value is None and said.fault):
            malformed += 1
            continue
        if name in values:
            continue
        if len(values) == most:
            cut += 1
            continue
        values[name] = said.value or ""
        if said.fault:
            faults[name] = said.fault
        if values[name] and (tag_map.is_secret(name) or secrets_in(values[name])):
            values[name] = WITHHELD
            faults[name] = "it seems to be a secret, and its value is not kept"
            detail = f"{shown(name)} of the {whose} seems to be a secret; its value is not kept"
            findings.append(Finding("secret_withheld", detail))
    if cut:
        findings.append(Finding("cut", f"{cut} of the {whose} were left out; {most} are kept"))
    if malformed:
        findings.append(Finding("malformed", f"{malformed} of the {whose} could not be read"))
    return Kept(values, faults, tuple(findings))


def name_of(key: Any, limits: Limits) -> str | None:
    """The name of a tag, metric or parameter, as it is kept; None: it is none."""
    read: str | None = text(key, limits.key_chars).value
    return None if read is None else without_secrets(read)


def _pairs(found: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(found, Mapping):
        yield from found.items()
    for item in listed(found):
        pair = mapping(item)
        yield pair.get("key"), pair.get("value")
