"""A stored profile is read back to the last bit, or refused; nothing else ever happens."""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles.drawn import columns, grids, profiled

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles import codec
from trimtab.profiles.category import of_counts
from trimtab.profiles.grid import fit
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import TableProfile

GOLDEN = Path(__file__).parent / "golden"


def sample() -> TableProfile:
    """A table of every kind of column."""
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(500) < 0.05, np.nan, rng.lognormal(size=500))
    amount[:3] = [np.inf, -np.inf, -0.0]
    count = rng.poisson(3, size=500).astype(np.float64)
    many = of_counts({f"n{number}": 1 for number in range(10_001)}, rows=10_001, nulls=0)
    return TableProfile(
        500,
        {
            "amount": profiled(fit(amount), amount),
            "count": profiled(fit(count), count, whole=True).with_missing_rows(0),
            "city": of_counts({"Bern": 300, "Zürich": 150}, rows=500, nulls=50),
            "id": type(many)(500, 0, {}, np.bincount(np.arange(500), minlength=4096)),
            "nothing": profiled(fit(amount), amount[:0]).with_missing_rows(500),
        },
        {"at": "times are not compared"},
    )


DOCUMENT = codec.to_document(sample())
PACKED = codec.to_bytes(sample())


@given(columns(), columns(), grids(), grids())
def test_whatever_is_written_is_read_back(
    one: np.ndarray, other: np.ndarray, grid: Any, its: Any
) -> None:
    profile = profiled(grid, one).merged(profiled(its, other))
    table = TableProfile(profile.rows, {"x": profile})
    content = codec.to_bytes(table)
    assert codec.to_bytes(codec.from_bytes(content)) == content


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 2**40)))
def test_categories_are_read_back(counts: dict[str, int]) -> None:
    one = of_counts(counts, rows=sum(counts.values()) + 1, nulls=1)
    content = codec.to_bytes(TableProfile(one.rows, {"x": one}))
    assert codec.to_bytes(codec.from_bytes(content)) == content


def test_every_kind_of_column_is_read_back_packed_or_plain() -> None:
    assert codec.to_bytes(codec.from_bytes(PACKED)) == PACKED
    plain = json.dumps(DOCUMENT).encode()
    assert codec.to_bytes(codec.from_bytes(plain)) == PACKED
    assert codec.to_document(codec.from_document(DOCUMENT)) == DOCUMENT


def test_a_profile_of_the_first_version_is_read_to_the_same_numbers() -> None:
    """This file never changes: profiles that were kept stay readable."""
    found = codec.from_bytes((GOLDEN / "version-1.profile").read_bytes())
    assert codec.to_document(found) == json.loads((GOLDEN / "version-1.json").read_text("utf-8"))
    assert (found.rows, list(found.columns)) == (500, ["amount", "count", "city", "id", "nothing"])
    amount, count = found.columns["amount"], found.columns["count"]
    assert isinstance(amount, NumericProfile)
    assert isinstance(count, NumericProfile)
    assert (amount.known, amount.nans, amount.low) == (479, 19, 0.0)
    assert (amount.positive_infinities, amount.negative_infinities) == (1, 1)
    assert amount.mean == pytest.approx(1.4227180828939154, rel=1e-12)
    assert (count.low, count.high, count.mean, count.whole) == (0.0, 8.0, 2.874, True)


def test_fields_of_which_nobody_knows_are_ignored() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["note"] = document["columns"][0]["note"] = "of a later release"
    assert codec.to_document(codec.from_document(document)) == DOCUMENT


# -- refusals -------------------------------------------------------------------------------


def column(document: Any, name: str) -> Any:
    return next(one for one in document["columns"] if one["name"] == name)


def at(name: str, *path: Any, to: Any) -> Callable[[Any], None]:
    """Sets what is at a path within a column."""

    def change(document: Any) -> None:
        place = column(document, name)
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


def without(key: str, name: str | None = None) -> Callable[[Any], None]:
    return lambda document: (document if name is None else column(document, name)).pop(key)


def top(key: str, to: Any) -> Callable[[Any], None]:
    return lambda document: document.update({key: to})


DAMAGES: dict[str, Callable[[Any], None]] = {
    "another format": top("format", "other"),
    "version 2": top("version", 2),
    "version true": top("version", True),
    "version 1.0": top("version", 1.0),
    "no version": without("version"),
    "no rows": without("rows"),
    "no columns": without("columns"),
    "no skipped": without("skipped"),
    "rows -1": top("rows", -1),
    "rows as a float": top("rows", 500.0),
    "other rows": top("rows", 501),
    "rows beyond": top("rows", 1 << 53),
    "columns as an object": top("columns", {"a": 1}),
    "columns as a number": top("columns", 7),
    "columns of numbers": top("columns", [7]),
    "a reason that is none": top("skipped", {"a": 7}),
    "a column twice": lambda d: d["columns"].append(column(d, "city")),
    "no name": without("name", "city"),
    "a name that is none": at("city", "name", to=7),
    "no kind": without("kind", "city"),
    "another kind": at("city", "kind", to="tree"),
    "negative category": at("city", "counts", "Bern", to=-300),
    "category as a float": at("city", "counts", "Bern", to=300.0),
    "category as truth": at("city", "counts", "Bern", to=True),
    "category too many": at("city", "counts", "Bern", to=301),
    "negative nulls": at("city", "nulls", to=-50),
    "no buckets": without("buckets", "city"),
    "buckets and names": at("id", "counts", to={"a": 1}),
    "counts that are none": at("id", "counts", to=None),
    "few buckets": at("id", "buckets", to=[500]),
    "negative bucket": at("id", "buckets", 0, to=-1),
    "bucket as a float": at("id", "buckets", 0, to=1.0),
    "buckets over": at("id", "buckets", 0, to=2),
    "NaN low": at("amount", "low", to=float("nan")),
    "infinite high": at("amount", "high", to=float("inf")),
    "low as text": at("amount", "low", to="0"),
    "low as truth": at("count", "low", to=False),
    "low as a huge number": at("amount", "low", to=10**400),
    "no low": at("amount", "low", to=None),
    "no high": at("amount", "high", to=None),
    "high without rows": at("nothing", "high", to=1.0),
    "low above high": at("count", "low", to=9.5),
    "low out of its cell": at("count", "low", to=-5.0),
    "high out of its cell": at("count", "high", to=10.5),
    "whole as text": at("count", "whole", to="no"),
    "more NaN": at("amount", "nans", to=24),
    "NaN as a float": at("amount", "nans", to=23.0),
    "grid of two": at("amount", "grid", to=[0, 0]),
    "grid of floats": at("amount", "grid", to=[0.0, 0, 128]),
    "grid beyond": at("amount", "grid", to=[0, 0, 1 << 40]),
    "grid of a huge level": at("amount", "grid", to=[10**9, 0, 128]),
    "cells missing": at("amount", "cells", to=[]),
    "cells as a number": at("amount", "cells", to=7),
    "cells of two": at("amount", "cells", to=[[0, [1]]]),
    "a count over": at("count", "cells", 0, 2, 0, to=10_000),
    "a count of none": at("count", "cells", 0, 2, 0, to=0),
    "a count below none": at("count", "cells", 0, 2, 0, to=-1),
    "a count as a float": at("count", "cells", 0, 2, 0, to=1.0),
    "a step as a float": at("count", "cells", -1, 1, 0, to=1.0),
    "a cell twice": lambda d: column(d, "count")["cells"].append(column(d, "count")["cells"][0]),
    "a step beyond": at("count", "cells", -1, 1, 0, to=1 << 62),
    "a huge step": at("count", "cells", -1, 1, 0, to=10**30),
    "a level beyond": at("count", "cells", 0, 0, to=5000),
    "a step too many": lambda d: column(d, "count")["cells"][0][1].append(1),
    "counts that wrap around": lambda d: column(d, "nothing")["cells"].append(
        [0, [1, 1, 1, 1], [1 << 62] * 4]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_document_that_contradicts_itself_is_refused(damage: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    DAMAGES[damage](document)
    with pytest.raises(InvalidInput):
        codec.from_document(document)


@pytest.mark.parametrize("document", [None, 7, [], "text", {}, {"format": codec.FORMAT}])
def test_what_is_no_document_is_refused(document: Any) -> None:
    with pytest.raises(InvalidInput):
        codec.from_document(document)


def refused_or_read(content: bytes) -> None:
    try:
        found = codec.from_bytes(content)
    except InvalidInput:
        return
    assert codec.to_bytes(codec.from_bytes(codec.to_bytes(found))) == codec.to_bytes(found)


@pytest.mark.parametrize("kept", [0, 1, 2, 10, -1, -4])
def test_a_profile_that_is_cut_short_is_refused(kept: int) -> None:
    for content in (PACKED, json.dumps(DOCUMENT).encode()):
        with pytest.raises(InvalidInput):
            codec.from_bytes(content[:kept])


def test_what_follows_a_profile_is_refused() -> None:
    with pytest.raises(InvalidInput):
        codec.from_bytes(PACKED + b"more")


@pytest.mark.parametrize("seed", range(4))
def test_turned_bits_are_refused_or_still_a_profile(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = zlib.decompress(PACKED)
    for content in (PACKED, plain):
        for place in rng.integers(0, len(content), size=40).tolist():
            turned = bytearray(content)
            turned[place] ^= 1 << int(rng.integers(8))
            refused_or_read(bytes(turned))
            if content is PACKED:  # its checksum finds each one
                with pytest.raises(InvalidInput):
                    codec.from_bytes(bytes(turned))


@given(st.binary(max_size=200), st.sampled_from([b"", b"{", b"x\x9c", b'{"format":']))
@settings(max_examples=200)
def test_random_bytes_are_refused(content: bytes, begin: bytes) -> None:
    with pytest.raises(InvalidInput):
        codec.from_bytes(begin + content)
    with pytest.raises(InvalidInput):
        codec.from_bytes(zlib.compress(begin + content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = [
    "rows",
    "nulls",
    "whole",
    "low",
    "high",
    "grid",
    "cells",
    "nans",
    "kind",
    "counts",
    "buckets",
]


@given(st.sampled_from(KEYS), st.sampled_from(["amount", "city", "id"]), JSON)
@settings(max_examples=300)
def test_anything_in_any_place_is_refused_or_a_profile(key: str, name: str, value: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    column(document, name)[key] = value
    refused_or_read(json.dumps(document).encode("utf-8", "surrogatepass"))


def test_deep_json_is_refused() -> None:
    for depth in (500, 900, 950, 970, 985, 100_000):
        deep = "[" * depth + "]" * depth
        for text in (deep, json.dumps(DOCUMENT).replace('"Bern": 300', f'"Bern": {deep}')):
            with pytest.raises(InvalidInput):
                codec.from_bytes(text.encode())
            with pytest.raises(InvalidInput):
                codec.from_bytes(zlib.compress(text.encode()))


def test_what_unpacks_to_more_than_is_allowed_is_refused() -> None:
    bomb = zlib.compress(b"{" + b" " * (1 << 24))
    assert len(bomb) < 1 << 15
    with pytest.raises(InvalidInput, match="larger"):
        codec.from_bytes(bomb, max_bytes=1 << 20)
