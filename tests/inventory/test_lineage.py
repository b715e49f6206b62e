"""Edges of a record, and walks over those of many."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inventory import documents as made

from trimtab.inventory.lineage import (
    Direction,
    Edge,
    Kind,
    Node,
    Relation,
    edges,
    version_node,
    walk,
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
    assert version_node("a/1", 2).key != version_node("a%2F1", 2).key


def test_a_walk_goes_both_ways_and_ends_at_its_depth() -> None:
    one, two, three, four = (version_node("m", n) for n in range(1, 5))
    graph = [Edge(a, Relation.COPIED, b, "x") for a, b in ((one, two), (two, three), (three, four))]
    assert [edge.end for edge in walk(graph, one, Direction.DOWN, 2)] == [two, three]
    assert [edge.start for edge in walk(graph, four, Direction.UP, 9)] == [three, two, one]
    assert walk(graph, one, Direction.UP, 9) == ()
    assert walk(graph, one, Direction.DOWN, 0) == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=40), st.integers(0, 9))
def test_a_walk_over_loops_ends_and_meets_each_edge_once(
    pairs: list[tuple[int, int]], depth: int
) -> None:
    graph = [
        Edge(version_node("m", a), Relation.COPIED, version_node("m", b), "x") for a, b in pairs
    ]
    for direction in Direction:
        met = walk(graph, version_node("m", 1), direction, depth)
        assert len(set(met)) == len(met) <= len(set(graph))
        assert set(met) <= set(graph)


def test_a_record_that_knows_nothing_has_no_descent() -> None:
    record = made.record(made.version(run_id=None, source=None))
    assert edges(record) == []
    assert json.dumps([edge.said_by for edge in edges(record)]) == "[]"
