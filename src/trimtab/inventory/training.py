"""What a run measured and read: metrics and data sets, as far as they are values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trimtab.artifacts.redaction import shown
from trimtab.inventory import uris
from trimtab.inventory.coerce import Limits, integer, listed, mapping, moment, number, text
from trimtab.inventory.record import Finding
from trimtab.inventory.tags import name_of

_NAMED_AT_MOST = 5


@dataclass(frozen=True)
class Metrics:
    """Each metric by name: `{"value": 0.93, "step": 3, "at": "2026-..."}`.

    One that is no finite number is kept as `{"value": null, "invalid": "nan"}`; one that came as
    text has `coerced_from`.
    """

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def metrics(found: Any, now: datetime, limits: Limits) -> Metrics:
    """The newest value of each metric of a run."""
    values: dict[str, Mapping[str, Any]] = {}
    cut = malformed = 0
    for key, item in _measured(found):
        name = name_of(key, limits)
        if name is None:
            malformed += 1
        elif name in values and not _newer(item, values[name]):
            continue
        elif name not in values and len(values) == limits.metrics:
            cut += 1
        else:
            values[name] = _metric(item, now, limits)
    findings = []
    invalid = sorted(name for name, value in values.items() if "invalid" in value)
    if invalid:
        named = ", ".join(f"{shown(n)} ({values[n]['invalid']})" for n in invalid[:_NAMED_AT_MOST])
        more = f" and {len(invalid) - _NAMED_AT_MOST} more" if len(invalid) > _NAMED_AT_MOST else ""
        findings.append(
            Finding("metric_invalid", f"no finite number, and so not measured: {named}{more}")
        )
    if cut:
        findings.append(
            Finding("cut", f"{cut} of the metrics were left out; {limits.metrics} are kept")
        )
    if malformed:
        findings.append(Finding("malformed", f"{malformed} of the metrics could not be read"))
    return Metrics(values, tuple(findings))


def _measured(found: Any) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield key, value if isinstance(value, Mapping) else {"value": value}
    for item in listed(found):
        yield mapping(item).get("key"), mapping(item)


def _metric(item: Mapping[str, Any], now: datetime, limits: Limits) -> Mapping[str, Any]:
    read = number(item.get("value"))
    made: dict[str, Any] = {"value": read.value}
    if read.fault:
        made["invalid"] = text(read.fault, 40).value
    elif isinstance(item.get("value"), str):
        made["coerced_from"] = text(item["value"], 40).value
    step = integer(item.get("step"))
    if step is not None:
        made["step"] = step
    at = moment(item.get("timestamp"), now, limits)
    if at.value is not None:
        made["at"] = at.value
    return made


def _newer(item: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    step = integer(item.get("step"))
    return step is not None and step > kept.get("step", step)


@dataclass(frozen=True)
class Datasets:
    """The data sets that a run read, each with `name`, `digest`, `source_type`, `source` and
    `context`, as far as the run says them."""

    values: tuple[Mapping[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def reference(self) -> str | None:
        """`name@digest` of what was trained on; of everything, where no context is said."""
        training = [value for value in self.values if value.get("context") == "training"]
        named = [
            "@".join(value[part] for part in ("name", "digest") if part in value)
            for value in training or self.values
        ]
        return ", ".join(dict.fromkeys(name for name in named[:_NAMED_AT_MOST] if name)) or None


def datasets(found: Any, limits: Limits) -> Datasets:
    """The data sets among the inputs of a run."""
    items = listed(mapping(found).get("dataset_inputs"))
    values = tuple(_dataset(item, limits) for item in items[: limits.datasets])
    cut = len(items) - len(values)
    findings = []
    if cut:
        findings.append(
            Finding("cut", f"{cut} of the data sets were left out; {limits.datasets} are kept")
        )
    kept = tuple(value for value in values if value)
    if len(kept) < len(values):
        detail = f"{len(values) - len(kept)} of the data sets could not be read"
        findings.append(Finding("malformed", detail))
    return Datasets(kept, tuple(findings))


def _dataset(item: Any, limits: Limits) -> Mapping[str, str]:
    said = mapping(mapping(item).get("dataset"))
    made = {}
    for part in ("name", "digest", "source_type", "source"):
        read = text(said.get(part), limits.key_chars).value
        if read:
            made[part] = uris.without_secrets(read)
    for tag in listed(mapping(item).get("tags")):
        if mapping(tag).get("key") == "mlflow.data.context":
            context = text(mapping(tag).get("value"), limits.key_chars).value
            if context:
                made["context"] = uris.without_secrets(context)
    return made
