"""What a version was made from, and where it went: edges between pinned things."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trimtab.inventory import uris
from trimtab.inventory.record import Known, Record, Stage


class Kind(StrEnum):
    """What can stand in a lineage, in the order in which it flows."""

    DATASET = "dataset"
    CODE = "code"
    RUN = "run"
    LOGGED_MODEL = "logged_model"
    VERSION = "version"
    PLACEMENT = "placement"


class Relation(StrEnum):
    """What the first of two things is to the second."""

    TRAINED = "trained"
    """A data set was read by a run."""
    BUILT = "built"
    """A run was started from a commit."""
    PRODUCED = "produced"
    """A run, or a logged model of it, was registered as a version."""
    COPIED = "copied"
    """A version was registered from another one."""
    PLACED = "placed"
    """A version stands in a stage, or under an alias."""


@dataclass(frozen=True, order=True)
class Node:
    """A thing that does not change: a data set by its digest, a version by its number. `label`
    is for people, and does not tell two apart."""

    kind: Kind
    id: str
    label: str = ""


@dataclass(frozen=True, order=True)
class Edge:
    """From what was there first to what came of it. `said_by` is the field that tells."""

    start: Node
    relation: Relation
    end: Node
    said_by: str


def version_node(model: str, version: int) -> Node:
    """A version, pinned by its number."""
    return Node(Kind.VERSION, _joined(model, str(version)), f"{model} {version}")


def edges(record: Record) -> list[Edge]:
    """What `record` says of its descent and its places, in the order in which it flows.

    A data set of which nothing but a name is known is named by that; the same name is then the
    same thing, which it need not be, and its label says so.
    """
    version = version_node(record.model, record.version)
    run_id = record.value("source_run_id")
    made: list[Edge] = []
    if run_id:
        run = Node(Kind.RUN, run_id, f"run {run_id[:8]}")
        made += [Edge(data, Relation.TRAINED, run, said) for data, said in _datasets(record)]
        commit = record.value("code_commit")
        if commit:
            node = Node(Kind.CODE, commit, f"commit {commit[:12]}")
            made.append(Edge(node, Relation.BUILT, run, "code_commit"))
        made += _produced(record, run, version)
    source = uris.version_named(record.value("source_artifact_uri") or "")
    if source is not None and source != (record.model, record.version):
        origin = version_node(*source)
        made.append(Edge(origin, Relation.COPIED, version, "source_artifact_uri"))
    return made + [
        Edge(version, Relation.PLACED, place, said) for place, said in _placements(record)
    ]


def _produced(record: Record, run: Node, version: Node) -> list[Edge]:
    logged_id = record.value("logged_model_id")
    if not logged_id:
        return [Edge(run, Relation.PRODUCED, version, "source_run_id")]
    logged = Node(Kind.LOGGED_MODEL, logged_id, f"logged model {logged_id[:10]}")
    return [
        Edge(run, Relation.PRODUCED, logged, "logged_model_id"),
        Edge(logged, Relation.PRODUCED, version, "logged_model_id"),
    ]


def _datasets(record: Record) -> list[tuple[Node, str]]:
    found = [
        (Node(Kind.DATASET, _joined(name, digest), f"{name}@{digest}"), "dataset_inputs")
        for said in record.value("dataset_inputs") or ()
        if (name := said.get("name")) and (digest := said.get("digest"))
    ]
    known: Known = record.fields["dataset_reference"]
    if known.value is not None and not found:
        label = f"{known.value} (by name only)"
        found.append((Node(Kind.DATASET, str(known.value), label), "dataset_reference"))
    return list(dict.fromkeys(found))


def _placements(record: Record) -> list[tuple[Node, str]]:
    found = []
    if record.stage in (Stage.PRODUCTION, Stage.STAGING):
        stage = record.stage.value
        place = Node(Kind.PLACEMENT, _joined(record.model, "stage", stage), stage)
        found.append((place, "lifecycle_stage"))
    for alias in record.aliases:
        place = Node(Kind.PLACEMENT, _joined(record.model, "alias", alias), f"@{alias}")
        found.append((place, "aliases"))
    return found


def _joined(*parts: str) -> str:
    """One id of several parts, whatever characters they have."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)
