"""Profiles as JSON: a document that people can read, versioned, and read strictly."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.category import BUCKETS, CategoryProfile, of_counts
from trimtab.profiles.grid import HIGHEST_LEVEL, LOWEST_LEVEL, NO_CELLS, Cells, Grid
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, TableProfile
from trimtab.stats.sample import distinct

FORMAT = "trimtab.profile"
VERSION = 1
MAX_BYTES = 1 << 28
"""Size that a document may unpack to."""

_MOST = 1 << 53  # beyond, JSON as most programs read it has no whole numbers
_Document = Mapping[str, Any]
_Numbers = NDArray[np.int64]
_COUNTERS = ("rows", "nulls", "nans", "positive_infinities", "negative_infinities")


def to_document(profile: TableProfile) -> dict[str, Any]:
    """A profile as JSON objects. Cells are written level by level: the steps from each index
    to the next, and the counts.

    Example:
        >>> city = of_counts({"Bern": 2}, rows=3, nulls=1)
        >>> document = to_document(TableProfile(3, {"city": city}))
        >>> document["columns"][0]["counts"]
        {'Bern': 2}
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "rows": profile.rows,
        "columns": [{"name": name, **_column(one)} for name, one in profile.columns.items()],
        "skipped": dict(profile.skipped),
    }


def from_document(document: Any) -> TableProfile:
    """What `to_document` wrote.

    Raises:
        InvalidInput: it is no such document, of another version, or contradicts itself.

    Example:
        >>> city = of_counts({"Bern": 2}, rows=3, nulls=1)
        >>> document = to_document(TableProfile(3, {"city": city}))
        >>> from_document(document).columns["city"].nulls
        1
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidInput("this is not a profile", remedy="make one: trimtab profile FILE -o P")
    if type(document.get("version")) is not int or document["version"] != VERSION:
        raise InvalidInput(
            f"the profile has version {document.get('version')!r}, this program reads {VERSION}",
            remedy="profile the data anew, or use the release that wrote the profile",
        )
    try:
        rows = _count(document["rows"])
        columns = {_name(one["name"]): _profile(one, rows) for one in document["columns"]}
        skipped = {_name(name): _name(why) for name, why in document["skipped"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InvalidInput(f"the profile is damaged: {error!r}"[:300]) from error
    except RecursionError as error:
        raise InvalidInput("the profile is damaged: it is nested too deeply") from error
    if len(columns) != len(document["columns"]):
        raise InvalidInput("the profile names a column twice")
    return TableProfile(rows, columns, skipped)


def to_bytes(profile: TableProfile) -> bytes:
    """The document, packed; the same profile gives the same bytes.

    Example:
        >>> content = to_bytes(TableProfile(0, {}))
        >>> zlib.decompress(content)
        b'{"format":"trimtab.profile","version":1,"rows":0,"columns":[],"skipped":{}}'
    """
    text = json.dumps(to_document(profile), ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 6)


def from_bytes(content: bytes, *, max_bytes: int = MAX_BYTES) -> TableProfile:
    """What `to_bytes` packed, or the plain document.

    Raises:
        InvalidInput: as `from_document`, or it unpacks to more than `max_bytes`.

    Example:
        >>> from_bytes(to_bytes(TableProfile(5, {}))).rows
        5
    """
    if content[:1] != b"{":
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(content, max_bytes)
        except zlib.error as error:
            raise InvalidInput(
                "this is not a profile", remedy="make one: trimtab profile FILE -o P"
            ) from error
        if not unpacker.eof or unpacker.unused_data:
            raise InvalidInput("the profile is cut short, or larger than any that is written")
    try:
        document = json.loads(content.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the profile is damaged: no JSON") from error
    return from_document(document)


def _column(profile: Profile) -> dict[str, Any]:
    if isinstance(profile, CategoryProfile):
        buckets = None if profile.buckets is None else profile.buckets.tolist()
        return {
            "kind": "category",
            "rows": profile.rows,
            "nulls": profile.nulls,
            "counts": dict(profile.counts),
            "buckets": buckets,
        }
    grid = profile.grid
    return {
        "kind": "numeric",
        **{name: getattr(profile, name) for name in _COUNTERS},
        "whole": profile.whole,
        "low": profile.low,
        "high": profile.high,
        "grid": [grid.level, grid.start, grid.cells],
        "cells": _levels(profile.cells),
    }


def _levels(cells: Cells) -> list[list[Any]]:
    found = []
    for level in distinct(cells.level).tolist():
        mine = cells.level == level
        steps = np.diff(cells.index[mine], prepend=0)
        found.append([level, steps.tolist(), cells.count[mine].tolist()])
    return found


def _profile(document: _Document, rows: int) -> Profile:
    if _count(document["rows"]) != rows:
        raise ValueError(f"column {document['name']} has other rows than the table")
    kind = document["kind"]
    if kind == "category":
        return _category(document)
    if kind == "numeric":
        return _numeric(document)
    raise ValueError(f"a column of kind {kind!r}")


def _category(document: _Document) -> CategoryProfile:
    rows, nulls = _count(document["rows"]), _count(document["nulls"])
    if document["buckets"] is None:
        counts = {_name(name): _count(n) for name, n in document["counts"].items()}
        return of_counts(counts, rows=rows, nulls=nulls)
    counted = _counts(document["buckets"])
    known = sum(document["buckets"])
    if counted.size != BUCKETS or known + nulls != rows or document["counts"] != {}:
        raise ValueError("the buckets do not add up")
    return CategoryProfile(rows, nulls, {}, counted)


def _numeric(document: _Document) -> NumericProfile:
    level, start, cells = (_whole(n) for n in document["grid"])
    found = NumericProfile(
        grid=Grid(level, start, cells),
        whole=_flag(document["whole"]),
        low=_edge(document["low"]),
        high=_edge(document["high"]),
        cells=_cells(document["cells"]),
        **{name: _count(document[name]) for name in _COUNTERS},
    )
    if sum(found.cells.count.tolist()) != found.known:
        raise ValueError("the cells do not add up to the rows")
    if (found.low is None, found.high is None) != (found.known == 0, found.known == 0):
        raise ValueError("extreme values without rows, or rows without them")
    if found.known and not _within(found):
        raise ValueError("the extreme values are not in the outermost cells")
    return found


def _within(profile: NumericProfile) -> bool:
    """Whether the extreme values lie in the outermost cells; what is so little below zero that
    its quotient by a cell's width is no double counts as zero."""
    lower, upper = profile.cells.lower, profile.cells.upper
    nothing = float(np.ldexp(1.0, int(profile.cells.level.max()) - 1075))
    low, high = profile.low, profile.high
    assert low is not None
    assert high is not None
    first = lower[0] - nothing <= low < upper[0]
    last = lower[-1] - nothing <= high < upper[-1]
    return bool(low <= high and first and last)


def _cells(levels: Any) -> Cells:
    parts: list[tuple[_Numbers, _Numbers, _Numbers]] = []
    for level, steps, counts in levels:
        if not LOWEST_LEVEL <= _whole(level) <= HIGHEST_LEVEL or len(steps) != len(counts):
            raise ValueError("cells of no level, or not each with its count")
        # The first sum that is out of bounds is one of 55 bits, so none wraps before it is seen.
        index, count = np.cumsum(_numbers(steps, 2 * _MOST)), _counts(counts)
        if (np.abs(index) >= _MOST).any() or not count.all():
            raise ValueError("a cell out of all doubles, or without rows")
        parts.append((np.full(index.size, level, dtype=np.int64), index, count))
    if not parts:
        return NO_CELLS
    cells = Cells.joined(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    if cells.count.size != sum(count.size for _, _, count in parts):
        raise ValueError("two cells overlap")
    return cells


def _edge(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"an extreme value of {value!r}")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _count(value: Any) -> int:
    if not 0 <= _whole(value) < _MOST:
        raise ValueError(f"a count of {value!r}")
    return int(value)


def _counts(values: Any) -> _Numbers:
    found = _numbers(values, _MOST)
    if (found < 0).any():
        raise ValueError("a count below zero")
    return found


def _numbers(values: Any, most: int) -> _Numbers:
    """Whole numbers of less than `most`; a look at the types of all costs less than at each."""
    if not isinstance(values, list) or not set(map(type, values)) <= {int}:
        raise ValueError("a list that is not of whole numbers")
    found = np.array(values, dtype=np.int64)
    if (np.abs(found) >= most).any():
        raise ValueError("a number that is too large")
    return found


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no name")
    return value
