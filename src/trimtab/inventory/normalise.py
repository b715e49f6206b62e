"""From what a registry told to the canonical record: pure, and the same each time.

Nothing here raises for what a registry said, whatever that is. What is odd is a finding, what
could not be made plain is a fault of its field, and what could not be read this time makes the
record incomplete.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.artifacts.redaction import shown, without_secrets
from trimtab.inventory import uris
from trimtab.inventory.coerce import (
    Limits,
    Plain,
    integer,
    listed,
    mapping,
    moment,
    odd_characters,
    text,
)
from trimtab.inventory.descent import Descent, findings
from trimtab.inventory.evidence import evidence
from trimtab.inventory.record import CLAIMS, FIELDS, GROUPS, Finding, Group, Known, Origin, Record
from trimtab.inventory.said import STRICTEST_COUNTS, claimed, lifecycle, tagged
from trimtab.inventory.source import Details, Part, SourceModel, SourceVersion
from trimtab.inventory.tagmap import TAGGABLE, TagMap
from trimtab.inventory.tags import Kept, keep
from trimtab.inventory.training import datasets, metrics

_MAX_ALIASES = 200
_WITHHELD = "it held what seems to be a secret, which is not kept"
_FROM_RUN = (*GROUPS[Group.TRAINING], *GROUPS[Group.LINEAGE], *TAGGABLE)
_FROM: Mapping[Part, tuple[str, ...]] = {
    Part.RUN: _FROM_RUN,
    Part.EXPERIMENT: ("experiment_name",),
    Part.LOGGED_MODEL: ("logged_model_id", "metrics", "hyperparameters", "artifact_uri"),
    Part.ARTIFACTS: GROUPS[Group.EVIDENCE],
}
"""Which fields may be unknown because a part could not be read."""

Said = dict[str, Known]


@dataclass(frozen=True)
class _Read:
    """What was read of one version, taken apart once."""

    model: Mapping[str, Any]
    version: Mapping[str, Any]
    run: Mapping[str, Any]
    info: Mapping[str, Any]
    """Of the run."""
    experiment: Mapping[str, Any]
    logged: Mapping[str, Any]
    model_tags: Kept
    version_tags: Kept
    run_tags: Kept
    tag_map: TagMap
    now: datetime
    limits: Limits

    def words(
        self,
        origin: Origin,
        said: Mapping[str, Any],
        key: str,
        path: str = "",
        without: Callable[[str], str] = without_secrets,
    ) -> Known:
        """A text of a document `without` the secrets in it; blank is None."""
        read = text(said.get(key), self.limits.text_chars)
        value = read.value if read.value and read.value.strip() else None
        if value is None and read.fault is None:
            return Known()
        kept = None if value is None else without(value)
        fault = read.fault if kept == value else _WITHHELD
        return Known(value=kept, origin=origin, key=path + key, fault=fault)

    def time(self, origin: Origin, said: Mapping[str, Any], key: str, path: str = "") -> Known:
        """A time of a document, in milliseconds."""
        read = moment(said.get(key), self.now, self.limits)
        if read == Plain():
            return Known()
        written = text(said.get(key), 40).value
        return Known(read.value, origin, path + key, coerced_from=written, fault=read.fault)


def normalise(
    model: SourceModel,
    version: SourceVersion,
    details: Details,
    tag_map: TagMap,
    *,
    now: datetime,
    limits: Limits | None = None,
) -> Record:
    """The record of a version.

    Args:
        model: The registered model that the version belongs to, with its aliases.
        version: The version.
        details: What the version leads to.
        tag_map: Which tags say what.
        now: Times that lie further ahead of it than `limits` allow are not believed.
        limits: How much is kept.
    """
    read = _apart(model, version, details, tag_map, now, limits or Limits())
    unread = {f.part: _reason(f.reason) for f in details.faults if f.passing}
    gone = {f.part: _reason(f.reason) for f in details.faults if not f.passing}
    identity, odd_name = _identity(read, version.name)
    stages, odd_stage = _lifecycle(read, version.version)
    training, odd_training = _training(read)
    lineage, odd_inputs = _lineage(read)
    risk, odd_claims = _risk(read)
    files, odd_files = (
        evidence(details.listing, tag_map, read.limits) if details.listing else ({}, [])
    )
    said = {**identity, **stages, **training, **lineage, **risk, **files}
    descent = Descent(
        run_id=said["source_run_id"].value,
        source=_source(read),
        run=details.run and read.run,
        experiment=read.experiment,
        logged_model=read.logged,
        gone=gone,
        unread=unread,
    )
    return Record(
        model=text(version.name, read.limits.text_chars).value or "",
        version=version.version,
        fields={name: _complete(name, said.get(name, Known()), unread) for name in FIELDS},
        model_tags=read.model_tags.values,
        version_tags=read.version_tags.values,
        run_tags=read.run_tags.values,
        findings=(
            *odd_name,
            *odd_stage,
            *findings(descent),
            *_odd_times(said),
            *odd_training,
            *odd_inputs,
            *odd_files,
            *odd_claims,
            *read.model_tags.findings,
            *read.version_tags.findings,
            *read.run_tags.findings,
            *_withheld(said),
            *_claims(said),
        ),
        incomplete=_incomplete(unread),
    )


def source_hash(model: SourceModel, version: SourceVersion) -> str:
    """SHA-256 of what a scan alone shows of a version, as `sha256:` and hex digits.

    That is its own document, and of the registered model the description, the tags and the
    aliases that point to it. Tags and aliases move no timestamp; this they do move. The order
    of keys, tags and aliases does not count.
    """
    registered = _unwrapped(model.document, "registered_model")
    shown_of = {
        "name": version.name,
        "version": version.version,
        "document": _unordered(version.document),
        "description": registered.get("description"),
        "tags": _in_order(registered.get("tags")),
        "aliases": _aliases(registered.get("aliases"), version.version),
    }
    body = json.dumps(shown_of, sort_keys=True, separators=(",", ":"), default=repr)
    return "sha256:" + hashlib.sha256(body.encode()).hexdigest()


def _unordered(document: Mapping[str, Any]) -> Mapping[str, Any]:
    said = _unwrapped(document, "model_version")
    return {
        key: _in_order(value) if key in ("tags", "aliases") else value
        for key, value in said.items()
    }


def _in_order(found: Any) -> Any:
    if not isinstance(found, list | tuple):
        return found
    return sorted(json.dumps(item, sort_keys=True, default=repr) for item in found)


def _unwrapped(document: Any, name: str) -> Mapping[str, Any]:
    """A document, also where it came with the name of its kind around it."""
    said = mapping(document)
    inner = said.get(name)
    return inner if len(said) == 1 and isinstance(inner, Mapping) else said


def _apart(
    model: SourceModel,
    version: SourceVersion,
    details: Details,
    tag_map: TagMap,
    now: datetime,
    limits: Limits,
) -> _Read:
    registered = _unwrapped(model.document, "registered_model")
    own = _unwrapped(version.document, "model_version")
    run = _unwrapped(details.run, "run")
    tags = mapping(run.get("data")).get("tags")
    return _Read(
        model=registered,
        version=own,
        run=run,
        info=mapping(run.get("info")),
        experiment=_unwrapped(details.experiment, "experiment"),
        logged=_unwrapped(details.logged_model, "model"),
        model_tags=keep(registered.get("tags"), "tags of the model", limits.tags, tag_map, limits),
        version_tags=keep(own.get("tags"), "tags of the version", limits.tags, tag_map, limits),
        run_tags=keep(tags, "tags of the run", limits.tags, tag_map, limits),
        tag_map=tag_map,
        now=now,
        limits=limits,
    )


def _tagged(read: _Read, name: str) -> Known:
    """A field from tags. What people say of a model is looked for nearest to the version; what
    a run notes of itself, at the run."""
    sources = _nearest_first(read)
    return tagged(name, sources if name in CLAIMS else sources[::-1], read.tag_map)


def _nearest_first(read: _Read) -> list[tuple[Kept, Origin]]:
    return [
        (read.version_tags, Origin.MODEL_VERSION),
        (read.model_tags, Origin.REGISTERED_MODEL),
        (read.run_tags, Origin.RUN),
    ]


def _risk(read: _Read) -> tuple[Said, list[Finding]]:
    said, found = Said(), list[Finding]()
    for name in GROUPS[Group.RISK]:
        if name in STRICTEST_COUNTS:
            said[name], odd = claimed(name, _nearest_first(read), read.tag_map)
            found += odd
        else:
            said[name] = _tagged(read, name)
    return said, found


def _identity(read: _Read, name: str) -> tuple[Said, list[Finding]]:
    description = read.words(Origin.REGISTERED_MODEL, read.model, "description")
    if description.value is None:
        own = read.words(Origin.MODEL_VERSION, read.version, "description")
        description = description if own.value is None else own
    plain = text(name, read.limits.text_chars)
    found = []
    if odd_characters(name) or plain.fault:
        detail = f"the name {shown(name)} has characters that are not seen, or are none"
        found.append(Finding("name_odd", detail))
    owner = _tagged(read, "owner")
    if owner.value is None:
        owner, assumed = _user(read, owner)
        found += assumed
    return {
        "model_name": Known(plain.value, Origin.MODEL_VERSION, "name", fault=plain.fault),
        "description": description,
        "business_purpose": _tagged(read, "business_purpose"),
        "owner": owner,
    }, found


def _user(read: _Read, unnamed: Known) -> tuple[Known, list[Finding]]:
    """Who started the run, in the place of an owner whom nobody has named."""
    user = read.words(Origin.RUN, read.info, "user_id", "info.")
    if user.value is None:
        user = read.words(Origin.RUN, read.run_tags.values, "mlflow.user", "tags.")
    if user.value is None:
        return unnamed, []
    detail = "no tag names an owner; whoever started the run stands in the place of one"
    return dataclasses.replace(user, claim=True), [Finding("owner_assumed", detail)]


def _lifecycle(read: _Read, number: int) -> tuple[Said, list[Finding]]:
    own = Origin.MODEL_VERSION
    stage = read.words(own, read.version, "current_stage")
    pointing = _aliases(read.model.get("aliases"), number)
    names = sorted({*pointing, *_alias_names(read.version.get("aliases"))})
    origin = Origin.REGISTERED_MODEL if pointing else own
    aliases = Known(value=names[:_MAX_ALIASES], origin=origin, key="aliases")
    where, found = lifecycle(stage, aliases, read.tag_map)
    source = read.words(own, read.version, "source", without=uris.without_secrets)
    return {
        "version_number": Known(number, own, "version"),
        "lifecycle_stage": where,
        "created_at": read.time(own, read.version, "creation_timestamp"),
        "last_updated_at": read.time(own, read.version, "last_updated_timestamp"),
        "deployment_status": where,
        "source_run_id": read.words(own, read.version, "run_id"),
        "source_artifact_uri": source,
        "registry_stage": stage,
        "registry_status": read.words(own, read.version, "status"),
        "aliases": aliases,
    }, found


def _training(read: _Read) -> tuple[Said, list[Finding]]:
    run, origin, path = mapping(read.run.get("data")), Origin.RUN, "data."
    if not run.get("metrics") and not run.get("params") and mapping(read.logged.get("data")):
        run, origin = mapping(read.logged.get("data")), Origin.LOGGED_MODEL
    measured = metrics(run.get("metrics"), read.now, read.limits)
    parameters = keep(
        run.get("params"), "parameters", read.limits.parameters, read.tag_map, read.limits
    )
    tags = {k: v for k, v in read.run_tags.values.items() if read.tag_map.is_evaluation(k)}

    def known(value: Mapping[str, Any], key: str, where: Origin = origin) -> Known:
        return Known(dict(value), where, path + key) if value else Known()

    return {
        "training_status": read.words(Origin.RUN, read.info, "status", "info."),
        "training_started_at": read.time(Origin.RUN, read.info, "start_time", "info."),
        "training_ended_at": read.time(Origin.RUN, read.info, "end_time", "info."),
        "metrics": known(measured.values, "metrics"),
        "hyperparameters": known(parameters.values, "params"),
        "evaluation_tags": known(tags, "tags", Origin.RUN),
    }, [*measured.findings, *parameters.findings]


def _lineage(read: _Read) -> tuple[Said, list[Finding]]:
    logged = mapping(read.logged.get("info"))
    inputs = datasets(read.run.get("inputs"), read.limits)
    reference = _tagged(read, "dataset_reference")
    if reference.value is None and inputs.reference:
        reference = Known(inputs.reference, Origin.RUN, "inputs.dataset_inputs")
    artifacts = [
        read.words(origin, said, "artifact_uri", "info.", without=uris.without_secrets)
        for origin, said in ((Origin.RUN, read.info), (Origin.LOGGED_MODEL, logged))
    ]
    sets = [dict(value) for value in inputs.values]
    return {
        "experiment_id": _first(
            read.words(Origin.RUN, read.info, "experiment_id", "info."),
            read.words(Origin.EXPERIMENT, read.experiment, "experiment_id"),
            read.words(Origin.LOGGED_MODEL, logged, "experiment_id", "info."),
        ),
        "experiment_name": read.words(Origin.EXPERIMENT, read.experiment, "name"),
        "code_commit": _tagged(read, "code_commit"),
        "training_entrypoint": _tagged(read, "training_entrypoint"),
        "dataset_reference": reference,
        "artifact_uri": _first(*artifacts),
        "dataset_inputs": Known(sets, Origin.RUN, "inputs.dataset_inputs") if sets else Known(),
        "logged_model_id": _first(
            read.words(Origin.MODEL_VERSION, read.version, "model_id"),
            read.words(Origin.LOGGED_MODEL, logged, "model_id", "info."),
            _named_model(read),
        ),
    }, list(inputs.findings)


def _named_model(read: _Read) -> Known:
    named = uris.logged_model_named(_source(read) or "")
    return Known(named, Origin.MODEL_VERSION, "source") if named else Known()


def _first(*said: Known) -> Known:
    return next((known for known in said if known.value is not None), said[0])


def _source(read: _Read) -> str | None:
    said = text(read.version.get("source"), read.limits.text_chars).value
    return said if isinstance(said, str) else None


def _aliases(found: Any, number: int) -> list[str]:
    """The names among a model's aliases that point to the version `number`."""
    pairs = (
        found.items()
        if isinstance(found, Mapping)
        else ((mapping(item).get("alias"), mapping(item).get("version")) for item in listed(found))
    )
    names = (text(alias, 300).value for alias, points_to in pairs if integer(points_to) == number)
    return sorted(name for name in names if name)


def _alias_names(found: Any) -> list[str]:
    """The names among a version's own aliases."""
    names = (item.get("alias") if isinstance(item, Mapping) else item for item in listed(found))
    return [name for item in names if (name := text(item, 300).value)]


def _odd_times(said: Said) -> list[Finding]:
    times = [name for name in FIELDS if name.endswith("_at")]
    made = [
        Finding("timestamp_odd", f"{name}: {said[name].fault}")
        for name in times
        if name in said and said[name].fault
    ]
    for first, then in (
        ("created_at", "last_updated_at"),
        ("training_started_at", "training_ended_at"),
    ):
        begin, end = said[first].value, said[then].value
        if begin is not None and end is not None and end < begin:
            made.append(Finding("timestamp_odd", f"{then} lies before {first}"))
    return made


def _withheld(said: Said) -> list[Finding]:
    """A finding for each text that held a secret, by where it was read."""
    where = dict.fromkeys(known.key for known in said.values() if known.fault == _WITHHELD)
    return [Finding("secret_withheld", f"{key} holds what seems to be a secret") for key in where]


def _claims(said: Said) -> list[Finding]:
    claimed = [name for name in GROUPS[Group.RISK] if said[name].value is not None]
    if not claimed:
        return []
    detail = f"said by tags, confirmed by nobody, and no approval: {', '.join(claimed)}"
    return [Finding("claim", detail)]


def _complete(name: str, known: Known, unread: Mapping[Part, str]) -> Known:
    """`known`, or why nothing is known: a part was not read that may say it."""
    if known.value is not None or known.fault is not None:
        return known
    for part, reason in unread.items():
        if name in _FROM[part]:
            fault = f"the {part.value.replace('_', ' ')} could not be read: {reason}"
            return dataclasses.replace(known, fault=fault, claim=name in CLAIMS)
    return known


def _incomplete(unread: Mapping[Part, str]) -> str | None:
    sentences = (
        f"the {part.value.replace('_', ' ')} could not be read: {reason}"
        for part, reason in unread.items()
    )
    return "; ".join(sentences) or None


def _reason(reason: str) -> str:
    return shown(text(reason, 2_000).value or "no reason is known", 300)
