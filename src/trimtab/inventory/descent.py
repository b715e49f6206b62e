"""What is odd about where a version says that it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.artifacts.redaction import shown
from trimtab.inventory import uris
from trimtab.inventory.coerce import mapping
from trimtab.inventory.record import Finding
from trimtab.inventory.source import Part


@dataclass(frozen=True)
class Descent:
    """What a version says of its origin, and what was found there. `gone` has the parts that
    the registry says do not exist, `unread` those that could not be read this time."""

    run_id: str | None
    source: str | None
    run: Mapping[str, Any] | None
    experiment: Mapping[str, Any] | None
    logged_model: Mapping[str, Any] | None
    gone: Mapping[Part, str]
    unread: Mapping[Part, str]


def findings(descent: Descent) -> list[Finding]:
    """Whether the run is there, whether the source is its own, and what is odd about it."""
    return [*_of_run(descent), *_of_parts(descent), *_of_source(descent)]


def _of_run(descent: Descent) -> list[Finding]:
    if not descent.run_id:
        return [Finding("no_run", "the version names no run, so nothing tells how it was made")]
    if descent.run is None:
        if Part.RUN in descent.unread:
            return []
        why = descent.gone.get(Part.RUN, "the registry has none of this id")
        detail = f"the version names the run {shown(descent.run_id)}: {shown(why, 300)}"
        return [Finding("run_missing", detail)]
    if mapping(descent.run.get("info")).get("lifecycle_stage") == "deleted":
        return [Finding("run_deleted", f"the run {shown(descent.run_id)} was deleted")]
    return []


def _of_parts(descent: Descent) -> list[Finding]:
    return [
        Finding(f"{part.value}_missing", shown(why, 300))
        for part, why in descent.gone.items()
        if part is not Part.RUN
    ]


def _of_source(descent: Descent) -> list[Finding]:
    source = descent.source
    if not source:
        return []
    made = []
    why = _foreign(descent, source)
    if why:
        made.append(Finding("lineage_mismatch", why))
    odd = uris.oddities(source, _roots(descent))
    logged = uris.logged_model_named(source)
    if logged is not None and not mapping(descent.logged_model).get("info"):
        detail = f"the logged model {shown(logged)} was not read, so nothing tells whose it is"
        made.append(Finding("lineage_unverified", detail))
    if odd:
        made.append(Finding("source_odd", f"{shown(uris.shown(source))}: {'; '.join(odd)}"))
    return made


def _foreign(descent: Descent, source: str) -> str | None:
    """Why `source` is not that of the run which the version names; None: nothing says so."""
    if not descent.run_id or uris.version_named(source):
        return None  # a copy of another version has that one's descent
    named = uris.run_named(source)
    if named is not None and named != descent.run_id:
        return f"the source lies among the artifacts of the run {shown(named)}, not of its own"
    logged = uris.logged_model_named(source)
    why = None if logged is None else _foreign_model(descent, logged)
    if why is not None or source.startswith(("runs:", "models:")):
        return why
    roots = _roots(descent)
    if descent.run is not None and roots and not any(uris.lies_below(source, r) for r in roots):
        return "the source lies outside of what its run and experiment have written"
    return None


def _foreign_model(descent: Descent, logged: str) -> str | None:
    info = mapping(mapping(descent.logged_model).get("info"))
    run = info.get("source_run_id")
    if info.get("model_id") not in (None, logged):
        return f"the source is the logged model {shown(logged)}, the version names another"
    if isinstance(run, str) and run and run != descent.run_id:
        return f"the source is a logged model of the run {shown(run)}, not of its own"
    return None


def _roots(descent: Descent) -> tuple[str, ...]:
    """Where the registry says that what belongs to the version lies."""
    said = (
        mapping(mapping(descent.run).get("info")).get("artifact_uri"),
        mapping(mapping(descent.logged_model).get("info")).get("artifact_uri"),
        mapping(descent.experiment).get("artifact_location"),
    )
    return tuple(root for root in said if isinstance(root, str) and root)
