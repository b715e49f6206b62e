"""Edges of a record."""

from __future__ import annotations

import json

from tests.inventory import documents as made

from trimtab.inventory.lineage import (
    Edge,
    Kind,
    Node,
    Relation,
    edges,
    version_node,
)

TRAIN = {"dataset": {"name": "train", "digest": "d1"}, "tags": []}


def told(found: list[Edge]) -> list[tuple[str, str, str]]:
    return [(edge.start.label, edge.relation.value, edge.end.label) for edge in found]


def test_a_version_leads_back_to_data_and_code_and_on_to_its_places() -> None:
    record = made.record(
        under=made.model(aliases={"champion": 3}),
        leads_to=made.details(run=made.run(inputs=[TRAIN, TRAIN])),
    )
    assert told(edges(record)) == [
        ("train@d1", "trained", "run 01234567"),
        ("commit c0ffee", "built", "run 01234567"),
        ("run 01234567", "produced", "churn 3"),
        ("churn 3", "placed", "production"),
        ("churn 3", "placed", "@champion"),
    ]
    data = edges(record)[0].start
    assert data == Node(Kind.DATASET, "train/d1", "train@d1")


def test_a_data_set_known_by_name_says_so() -> None:
    record = made.record(made.version(tags={"dataset": "sales"}))
    assert edges(record)[0].start == Node(Kind.DATASET, "sales", "sales (by name only)")


def test_a_logged_model_stands_between_run_and_version() -> None:
    record = made.record(made.version(model_id="m-1"))
    relations = [(edge.start.kind, edge.end.kind) for edge in edges(record)]
    assert (Kind.RUN, Kind.LOGGED_MODEL) in relations
    assert (Kind.LOGGED_MODEL, Kind.VERSION) in relations
    assert (Kind.RUN, Kind.VERSION) not in relations


def test_a_copy_leads_to_what_it_was_copied_from() -> None:
    copied = edges(made.record(made.version(source="models:/first/2", run_id="")))
    assert copied == [
        Edge(
            version_node("first", 2),
            Relation.COPIED,
            version_node("churn", 3),
            "source_artifact_uri",
        )
    ]
    assert edges(made.record(made.version(source="models:/churn/3", run_id=""))) == []


def test_ids_of_parts_with_slashes_stay_apart() -> None:
    assert version_node("a/1", 2).id != version_node("a", 1).id + "/2"
    assert version_node("a/1", 2).id != version_node("a%2F1", 2).id


def test_a_record_that_knows_nothing_has_no_descent() -> None:
    record = made.record(made.version(run_id=None, source=None))
    assert edges(record) == []
    assert json.dumps([edge.said_by for edge in edges(record)]) == "[]"
