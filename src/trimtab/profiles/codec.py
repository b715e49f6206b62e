"""Profiles as JSON: a document that people can read, versioned, and read strictly."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.category import BUCKETS, CategoryProfile, of_counts
from trimtab.profiles.grid import Cells, Grid
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, TableProfile

FORMAT = "trimtab.profile"
VERSION = 1
MAX_BYTES = 1 << 28
"""Size that a document may unpack to."""

_Document = Mapping[str, Any]
_COUNTERS = ("rows", "nulls", "nans", "positive_infinities", "negative_infinities")


def to_document(profile: TableProfile) -> dict[str, Any]:
    """A profile as JSON objects. Cells are written level by level: the steps from each index
    to the next, and the counts."""
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
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidInput("this is not a profile", remedy="make one: trimtab profile FILE -o P")
    if document.get("version") != VERSION:
        raise InvalidInput(
            f"the profile has version {document.get('version')!r}, this program reads {VERSION}",
            remedy="profile the data anew, or use the release that wrote the profile",
        )
    try:
        rows = _count(document["rows"])
        columns = {_name(one["name"]): _profile(one, rows) for one in document["columns"]}
        skipped = {_name(name): str(why) for name, why in document["skipped"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidInput(f"the profile is damaged: {error!r}") from error
    if len(columns) != len(document["columns"]):
        raise InvalidInput("the profile names a column twice")
    return TableProfile(rows, columns, skipped)


def to_bytes(profile: TableProfile) -> bytes:
    """The document, packed; the same profile gives the same bytes."""
    text = json.dumps(to_document(profile), ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 6)


def from_bytes(content: bytes) -> TableProfile:
    """What `to_bytes` packed, or the plain document.

    Raises:
        InvalidInput: as `from_document`, or it unpacks to more than `MAX_BYTES`.
    """
    if content[:1] != b"{":
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(content, MAX_BYTES)
        except zlib.error as error:
            raise InvalidInput(
                "this is not a profile", remedy="make one: trimtab profile FILE -o P"
            ) from error
        if not unpacker.eof:
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
    for level in np.unique(cells.level).tolist():
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
    buckets = np.array([_count(n) for n in document["buckets"]], dtype=np.int64)
    if buckets.shape != (BUCKETS,) or buckets.sum() + nulls != rows or document["counts"]:
        raise ValueError("the buckets do not add up")
    return CategoryProfile(rows, nulls, {}, buckets)


def _numeric(document: _Document) -> NumericProfile:
    level, start, cells = (_whole(n) for n in document["grid"])
    found = NumericProfile(
        grid=Grid(level, start, cells),
        whole=bool(document["whole"]),
        low=_edge(document["low"]),
        high=_edge(document["high"]),
        cells=_cells(document["cells"]),
        **{name: _count(document[name]) for name in _COUNTERS},
    )
    if int(found.cells.count.sum()) != found.known or (found.low is None) != (found.known == 0):
        raise ValueError("the cells do not add up to the rows")
    return found


def _cells(levels: Any) -> Cells:
    parts: list[list[np.ndarray[Any, np.dtype[np.int64]]]] = [[], [], []]
    for level, steps, counts in levels:
        index = np.cumsum(np.array([_whole(n) for n in steps], dtype=np.int64))
        count = np.array([_count(n) for n in counts], dtype=np.int64)
        if index.size != count.size or (count == 0).any():
            raise ValueError("cells and counts differ")
        parts[0].append(np.full(index.size, _whole(level), dtype=np.int64))
        parts[1].append(index)
        parts[2].append(count)
    joined = [np.concatenate([np.empty(0, dtype=np.int64), *part]) for part in parts]
    return Cells.joined(joined[0], joined[1], joined[2])


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


def _count(value: Any) -> int:
    if _whole(value) < 0:
        raise ValueError(f"a count of {value!r}")
    return int(value)


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no name")
    return value
