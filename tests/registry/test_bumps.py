"""What changed decides how much of a version is new; a number that says less is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.registering import GRAPH

from trimtab.kernel.errors import InvalidInput
from trimtab.registry import bumps
from trimtab.registry.bumps import Bump, Change, Traits
from trimtab.registry.model import is_version, version_key

BEFORE = Traits(
    digest="sha256:a",
    framework="onnx",
    cutoff=0.5,
    hyperparameters={"trees": 60},
    reference_digest="sha256:r",
    reference_rows=1000,
    graph=GRAPH,
)


def graph(**changes: Any) -> dict[str, Any]:
    return {**GRAPH, **changes}


def inputs(**changes: Any) -> dict[str, Any]:
    return graph(inputs=[{**GRAPH["inputs"][0], **changes}])


TRAINED_ANEW: dict[str, Any] = {"digest": "sha256:b", "reference_digest": "sha256:s"}
KINDS: list[tuple[Bump, dict[str, Any], str]] = [
    (Bump.MAJOR, {"framework": "pytorch"}, "model type was 'onnx' and is 'pytorch'"),
    (Bump.MAJOR, {"graph": graph(architecture="sha256:x")}, "architecture changed"),
    (Bump.MAJOR, {"graph": inputs(name="Z")}, "of the inputs, Z is new"),
    (Bump.MAJOR, {"graph": inputs(name="Z")}, "of the inputs, X is gone"),
    (Bump.MAJOR, {"graph": inputs(elem_type="double")}, "X is of another type or shape"),
    (Bump.MAJOR, {"graph": inputs(dims=[None, 3])}, "X is of another type or shape"),
    (Bump.MAJOR, {"graph": graph(outputs=[])}, "of the outputs, probabilities is gone"),
    (Bump.MAJOR, {"graph": None}, "could not be read"),
    (Bump.MAJOR, {"graph": graph(architecture="")}, "could not be read"),
    (Bump.MAJOR, {"framework": "pytorch", "cutoff": 0.6}, "model type"),
    (Bump.MINOR, {"cutoff": 0.6}, "cut-off was 0.5 and is 0.6"),
    (Bump.MINOR, {"hyperparameters": {"trees": 61}}, "hyper-parameters changed"),
    (Bump.MINOR, {"hyperparameters": None}, "hyper-parameters changed"),
    (Bump.MINOR, {"graph": graph(trees=61)}, "had 60 trees and has 61"),
    (Bump.MINOR, {**TRAINED_ANEW, "reference_rows": 1001}, "1 more rows"),
    (Bump.PATCH, TRAINED_ANEW, "other data"),
    (Bump.PATCH, {**TRAINED_ANEW, "reference_rows": 900}, "other data"),
    (Bump.PATCH, {"reference_digest": "sha256:s"}, "other data"),
    (Bump.PATCH, {"digest": "sha256:b"}, "only what it learnt is different"),
    (Bump.PATCH, {"graph": inputs(dims=["batch", 2])}, "nothing that is compared changed"),
    (Bump.PATCH, {}, "nothing that is compared changed"),
]
NUMBERS = {"1.2.4": Bump.PATCH, "1.3.0": Bump.MINOR, "2.0.0": Bump.MAJOR}
USED = {"1.2.3": False}


@pytest.mark.parametrize(("bump", "changes", "why"), KINDS)
@pytest.mark.parametrize("number", NUMBERS)
def test_each_kind_of_change_under_each_number(
    number: str, bump: Bump, changes: dict[str, Any], why: str
) -> None:
    change = bumps.derive(BEFORE, replace(BEFORE, **changes))
    assert change.bump is bump
    assert why in "; ".join(change.reasons)
    bumps.demand_next("1.2.3", number, USED)
    if NUMBERS[number].weight >= bump.weight:
        bumps.demand_enough("1.2.3", number, change, USED)
        return
    with pytest.raises(InvalidInput) as refused:
        bumps.demand_enough("1.2.3", number, change, USED)
    assert refused.value.field == "version"
    assert why in refused.value.message
    wanted = [n for n in NUMBERS if NUMBERS[n].weight >= bump.weight]
    assert refused.value.remedy == "take " + " or ".join(wanted)


def test_the_same_data_learnt_otherwise_without_a_word_is_tuning() -> None:
    before = replace(BEFORE, hyperparameters=None)
    change = bumps.derive(before, replace(before, digest="sha256:b"))
    assert change.bump is Bump.MINOR
    assert "states no hyper-parameters" in change.reasons[0]
    assert bumps.derive(before, before).bump is Bump.PATCH


def test_neither_graph_is_known_so_neither_is_the_same() -> None:
    before = replace(BEFORE, graph=None)
    assert bumps.derive(before, before).bump is Bump.MAJOR


def test_the_order_of_inputs_means_nothing() -> None:
    one, two = {**GRAPH["inputs"][0]}, {**GRAPH["inputs"][0], "name": "Y"}
    before = replace(BEFORE, graph=graph(inputs=[one, two]))
    after = replace(BEFORE, graph=graph(inputs=[two, one]))
    assert bumps.derive(before, after).bump is Bump.PATCH


@pytest.mark.parametrize(
    ("number", "used", "allowed"),
    [
        ("1.2.4", {}, True),
        ("1.2.5", {}, False),
        ("1.2.5", {"1.2.4": False}, True),
        ("1.4.0", {}, False),
        ("1.4.0", {"1.3.0": False}, True),
        ("1.3.1", {}, False),
        ("1.3.1", {"1.3.0": False}, False),
        ("1.3.1", {"1.3.0": True}, True),
        ("1.3.2", {"1.3.0": True, "1.3.1": True}, True),
        ("1.3.2", {"1.3.0": True, "1.3.1": False}, False),
        ("2.0.1", {"2.0.0": True}, True),
        ("3.0.0", {"2.0.0": True}, True),
        ("3.0.0", {}, False),
        ("999999.0.0", {}, False),
        ("1.2.3", {}, False),
        ("1.2.2", {}, False),
        ("0.0.1", {}, False),
    ],
)
def test_no_number_is_skipped(number: str, used: dict[str, bool], allowed: bool) -> None:
    known = {"1.2.3": False, **used}
    if allowed:
        bumps.demand_next("1.2.3", number, known)
        return
    with pytest.raises(InvalidInput, match=r"skips numbers after|is not above") as refused:
        bumps.demand_next("1.2.3", number, known)
    assert refused.value.field == "version"
    assert refused.value.remedy == "take " + " or ".join(bumps.next_numbers("1.2.3", known))


@pytest.mark.parametrize(
    ("number", "used", "allowed"),
    [
        ("1.0.0", set(), True),
        ("0.1.0", set(), True),
        ("1.4.2", set(), True),
        ("2.0.0", set(), False),
        ("999999.0.0", set(), False),
        ("2.0.0", {"1.0.0"}, True),
        ("3.0.0", {"1.0.0"}, False),
    ],
)
def test_a_scope_begins_within_one_major(number: str, used: set[str], allowed: bool) -> None:
    known = dict.fromkeys(used, False)
    if allowed:
        bumps.demand_next(None, number, known)
        return
    with pytest.raises(InvalidInput, match="skips numbers") as refused:
        bumps.demand_next(None, number, known)
    assert refused.value.remedy == f"begin with {bumps.first_number(used)}, or below it"


def test_no_number_is_left_at_the_very_end() -> None:
    last = "999999.999999.999999"
    with pytest.raises(InvalidInput) as refused:
        bumps.demand_next(last, "999999.999999.999998", {last: False})
    assert "no number is left" in str(refused.value.remedy)


PARTS = st.integers(min_value=0, max_value=4)
VERSIONS = st.builds(lambda *parts: ".".join(map(str, parts)), PARTS, PARTS, PARTS)


@given(VERSIONS, st.dictionaries(VERSIONS, st.booleans(), max_size=60))
def test_what_may_follow_is_free_greater_and_never_far(before: str, used: dict[str, bool]) -> None:
    known = used | {before: False}
    numbers = bumps.next_numbers(before, known)
    assert {bumps.stated(before, n) for n in numbers} == {Bump.PATCH, Bump.MINOR, Bump.MAJOR}
    for number in numbers:
        assert is_version(number)
        assert number not in known
        assert version_key(number) > version_key(before)
        bumps.demand_next(before, number, known)
        steps = sum(n in known for n in _below(number)) + 1
        assert sum(version_key(number)) <= sum(version_key(before)) + steps


def _below(number: str) -> set[str]:
    """Every smaller number within reach of the test."""
    reach = range(12)
    every = {f"{a}.{b}.{c}" for a in reach for b in reach for c in reach}
    return {n for n in every if version_key(n) < version_key(number)}


@given(VERSIONS, st.dictionaries(VERSIONS, st.booleans(), max_size=60), st.sampled_from(Bump))
def test_what_is_offered_is_taken_and_nothing_less(
    before: str, used: dict[str, bool], bump: Bump
) -> None:
    known = used | {before: False}
    change = Change(bump, ("why",))
    offered = bumps.enough(before, change, known)
    assert offered, "there is a way on from everywhere"
    for number in bumps.next_numbers(before, known):
        if number in offered:
            bumps.demand_enough(before, number, change, known)
        else:
            with pytest.raises(InvalidInput):
                bumps.demand_enough(before, number, change, known)


@given(st.lists(st.sampled_from([*NUMBERS.values()]), max_size=12))
def test_versions_of_one_major_never_differ_by_more_than_a_minor_change(path: list[Bump]) -> None:
    """Whatever way numbers are taken: the architecture is a function of the major number."""
    used, at, architecture = {"1.0.0": False}, "1.0.0", 0
    known = {1: 0}
    for bump in path:
        architecture += bump is Bump.MAJOR
        at = bumps.enough(at, Change(bump, ()), used)[0]
        used[at] = False
        assert known.setdefault(version_key(at)[0], architecture) == architecture
