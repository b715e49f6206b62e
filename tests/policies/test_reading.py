"""The strict subset of YAML."""

from __future__ import annotations

import re
import time

import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.reading import Budget, Place, read


def refused(text: str, budget: Budget | None = None) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(text, "t.yaml", budget)
    return caught.value.message


def test_plain_data_is_read_with_the_place_of_each_key() -> None:
    document = read("a: 1\nb:\n  - 0.5\n  - {c: true, d: word}\n", "t.yaml")
    assert document.data == {"a": 1, "b": [0.5, {"c": True, "d": "word"}]}
    assert document.place(("a",)) == Place(1, 1)
    assert document.place(("b", 0)) == Place(3, 5)
    assert document.place(("b", 1, "d")) == Place(4, 15)
    assert document.place(("b", 1, "unheard", "of")) == Place(4, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: 2\n", "t.yaml:1:4: anchors"),
        ("a: 1\nb: *x\n", "t.yaml:2:4: anchors"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "t.yaml:1:4: anchors"),
        ("a:\n  <<: {b: 1}\n", "t.yaml:2:3: a key must be a plain word"),
        ("a: !!python/object:os.system x\n", "t.yaml:1:4: tags"),
        ("a: !!int 3\n", "t.yaml:1:4: tags"),
        ("a: !x 3\n", "t.yaml:1:4: tags"),
        ("a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document"),
        ("a: 1\na: 2\n", "t.yaml:2:1: 'a' is given twice, first in line 1"),
        ("a: {b: 1, b: 1}\n", "t.yaml:1:11: 'b' is given twice"),
        ("1: x\n", "t.yaml:1:1: a key must be"),
        ("true: x\n", "t.yaml:1:1: a key must be"),
        ("? [a]\n: x\n", "t.yaml:1:3: a key must be"),
        ("a: [1, 2\n", "t.yaml:2:1: not YAML"),
        ("a: b: c\n", "t.yaml:1:5: not YAML"),
        ("a:\n\t- 1\n", "t.yaml:2:1: not YAML"),
        ("a: 1\nb: \x00\n", "t.yaml:2:4: a character"),
        ("a: 1\nb: \ud800\n", "t.yaml:2:1: half of a surrogate pair"),
        ("- a\n", "t.yaml:1:1: expected"),
        ("", "t.yaml:1:1: expected"),
        ("word", "t.yaml:1:1: expected"),
    ],
)
def test_other_features_are_refused_where_they_stand(text: str, message: str) -> None:
    assert refused(text).startswith(message)


@pytest.mark.parametrize(
    "value",
    [
        *("010", "0x10", "0b11", "1_000", "1:30", "1:30.5", "+1", "-1", "-0.5", "1.", ".5"),
        *("1.0e+3", ".inf", "-.inf", ".NaN", "9" * 17, "on", "No", "YES", "off", "null", "~"),
        *("", "2024-01-01"),
    ],
)
def test_a_value_that_yaml_would_reinterpret_is_refused(value: str) -> None:
    assert re.match(
        r"t\.yaml:1:\d+: .* is not a value that is read here$", refused(f"a: {value}\n")
    )


@pytest.mark.parametrize(("value", "read_as"), [("0", 0), ("0.05", 0.05), ("250000", 250_000)])
def test_plain_decimals_are_numbers(value: str, read_as: float) -> None:
    data = read(f"a: {value}\n", "t.yaml").data["a"]
    assert data == read_as
    assert type(data) is type(read_as)


@pytest.mark.parametrize("value", ["'010'", '"on"', "word", "1e400"])
def test_a_word_stays_a_word(value: str) -> None:
    assert read(f"a: {value}\n", "t.yaml").data["a"] == value.strip("'\"")


def test_budgets_bind_at_their_value() -> None:
    budget = Budget(max_bytes=20, max_depth=2, max_nodes=4)
    assert read("a: 1" + " " * 16, "t.yaml", budget).data == {"a": 1}
    assert "21 bytes" in refused("a: 1" + " " * 17, budget)
    assert read("a: [1]", "t.yaml", budget).data == {"a": [1]}
    assert "deeper than 2" in refused("a: [[1]]", budget)
    assert "more than 4 values" in refused("a: 1\nb: 2", budget)


def test_deep_nesting_ends_in_an_answer_and_soon() -> None:
    began = time.thread_time()
    assert "deeper than" in refused("a: " + "[" * 100_000)
    assert "deeper than" in refused("a: " + "{b: " * 50_000)
    assert time.thread_time() - began < 2
