"""Categories are counted by name as long as there are few, then by digest: in any order alike."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles.drawn import as_bytes

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.arrow import CategoryColumn
from trimtab.profiles.category import (
    BUCKETS,
    MAX_CATEGORIES,
    MAX_NAME,
    CategoryProfile,
    bucket_of,
    of_counts,
    shortened,
)

NAMES = st.text(max_size=4) | st.sampled_from(["x" * 257, "x" * 300, "x" * 256, "é" * 300])
COUNTS = st.dictionaries(NAMES, st.integers(1, 2**40), max_size=12)


def counted(counts: dict[str, int], nulls: int = 0) -> CategoryProfile:
    return of_counts(counts, rows=sum(counts.values()) + nulls, nulls=nulls)


def many(first: int, size: int) -> CategoryProfile:
    """Names in a range; more than are kept, where it is long enough."""
    return counted({f"n{number}": 1 + number % 3 for number in range(first, first + size)}, size)


@given(COUNTS, COUNTS, COUNTS)
def test_merging_hangs_on_no_order(a: dict[str, int], b: dict[str, int], c: dict[str, int]) -> None:
    x, y, z = counted(a, 1), counted(b), counted(c, 2)
    expected = as_bytes(x.merged(y).merged(z))
    assert as_bytes(x.merged(y.merged(z))) == expected
    assert as_bytes(z.merged(x).merged(y)) == expected
    assert as_bytes(x.merged(of_counts({}, rows=0, nulls=0))) == as_bytes(x)


@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), st.sampled_from([1, 4000, 6000])), min_size=3, max_size=3
    )
)
@settings(max_examples=15)
def test_too_many_names_hang_on_no_order(drawn: list[tuple[int, int]]) -> None:
    a, b, c = (many(first, size) for first, size in drawn)
    expected = a.merged(b).merged(c)
    names = {*a.counts, *b.counts, *c.counts}
    assert expected.named == (len(names) <= MAX_CATEGORIES)
    assert as_bytes(a.merged(b.merged(c))) == as_bytes(expected)
    assert as_bytes(c.merged(a).merged(b)) == as_bytes(expected)
    assert int(expected.in_buckets().sum()) == expected.known


def test_the_limit_is_where_it_is_said_to_be() -> None:
    assert many(0, MAX_CATEGORIES).named
    over = many(0, MAX_CATEGORIES + 1)
    assert not over.named
    assert not over.counts
    assert over.in_buckets().shape == (BUCKETS,)
    assert over.missing == MAX_CATEGORIES + 1


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_a_column_with_too_many_names_is_the_same_in_any_chunks(parts: int) -> None:
    names = [f"n{number % 11_000}" for number in range(15_000)] + ["y" * 300] * 3
    counter = CategoryColumn()
    for part in np.array_split(np.array(names, dtype=object), parts):
        counter.add(pa.array([*part.tolist(), None]))
    found = counter.profile()
    expected: dict[str, int] = {}
    for name in names:
        expected[name] = expected.get(name, 0) + 1
    assert as_bytes(found) == as_bytes(of_counts(expected, rows=15_003 + parts, nulls=parts))


def test_a_bucket_is_the_first_twelve_bits_of_the_md5() -> None:
    for name in ("", "a", "Zürich", "x" * 256):
        digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        assert bucket_of(name) == int(digest[:3], 16)


@given(st.text(min_size=250, max_size=300), st.text(min_size=250, max_size=300))
def test_long_names_are_shortened_and_stay_apart(one: str, other: str) -> None:
    assert len(shortened(one)) <= MAX_NAME
    assert shortened(shortened(one)) == shortened(one)
    assert (shortened(one) == shortened(other)) == (one == other)
    assert bucket_of(shortened(one)) == bucket_of(one)


def test_long_names_that_begin_alike_stay_apart() -> None:
    names = {"x" * 299 + end: 1 for end in "abc"}
    assert len(counted(names).counts) == 3


@pytest.mark.parametrize(
    ("counts", "rows", "nulls"),
    [({"a": 1}, 2, 0), ({"a": -1}, -1, 0), ({"a": 2, "b": -1}, 1, 0), ({"a": 2}, 1, -1)],
)
def test_counts_that_contradict_are_refused(counts: dict[str, int], rows: int, nulls: int) -> None:
    with pytest.raises(InvalidInput):
        of_counts(counts, rows=rows, nulls=nulls)


def test_a_category_without_rows_is_none() -> None:
    found = of_counts({"a": 0, "b": 3}, rows=3, nulls=0)
    assert dict(found.counts) == {"b": 3}
    assert found.constant
