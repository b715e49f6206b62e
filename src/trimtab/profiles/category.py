"""The profile of a column of categories, with a bounded number of names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput

MAX_CATEGORIES = 10_000
"""Names that are kept. A column with more of them is counted by the digests of its names."""

BUCKETS = 4096
"""Digests that names are counted by where there are too many; a power of two."""

MAX_NAME = 256
"""Characters of a name; a longer one is known by its beginning and its digest."""

KEPT_OF_LONG = 200


@dataclass(frozen=True, eq=False)
class CategoryProfile:
    """What is kept of a column of categories.

    `counts` are the rows of each category by name, in the order of the names. Where there are
    more than `MAX_CATEGORIES` it is empty, and `buckets`, shape (`BUCKETS`,), has the rows by
    the digest of their names: shares can still be compared, names no longer be told.
    """

    rows: int
    nulls: int
    counts: Mapping[str, int]
    buckets: NDArray[np.int64] | None = None

    @property
    def known(self) -> int:
        """Rows with a category."""
        return self.rows - self.nulls

    @property
    def missing(self) -> int:
        """Rows without one."""
        return self.nulls

    @property
    def constant(self) -> bool:
        """Whether there is one single category."""
        return len(self.counts) == 1

    @property
    def named(self) -> bool:
        """Whether the categories are known by name."""
        return self.buckets is None

    def in_buckets(self) -> NDArray[np.int64]:
        """Rows by the digest of their names, shape (`BUCKETS`,)."""
        return _bucketed(self.counts) if self.buckets is None else self.buckets

    def merged(self, other: CategoryProfile) -> CategoryProfile:
        """The profile of the rows of both; in any order and grouping the same."""
        rows, nulls = self.rows + other.rows, self.nulls + other.nulls
        if self.named and other.named:
            both = dict(self.counts)
            for name, count in other.counts.items():
                both[name] = both.get(name, 0) + count
            return of_counts(both, rows=rows, nulls=nulls)
        return CategoryProfile(rows, nulls, {}, self.in_buckets() + other.in_buckets())

    def with_missing_rows(self, rows: int) -> CategoryProfile:
        """The same with so many more rows that are null."""
        return CategoryProfile(self.rows + rows, self.nulls + rows, self.counts, self.buckets)


def of_counts(counts: Mapping[str, int], *, rows: int, nulls: int) -> CategoryProfile:
    """The profile of counted categories; names that are too long, or too many, are shortened.

    Raises:
        InvalidInput: the counts and the nulls do not add up to the rows.

    Example:
        >>> city = of_counts({"Zürich": 2, "Bern": 1}, rows=4, nulls=1)
        >>> city.counts, city.known
        ({'Bern': 1, 'Zürich': 2}, 3)
    """
    found: dict[str, int] = {}
    for name, count in counts.items():
        if count:
            short = shortened(name)
            found[short] = found.get(short, 0) + count
    if sum(found.values()) + nulls != rows or min(found.values(), default=1) < 0 or nulls < 0:
        raise InvalidInput(f"the counts do not add up to {rows} rows", field="counts")
    if len(found) > MAX_CATEGORIES:
        return CategoryProfile(rows, nulls, {}, _bucketed(found))
    return CategoryProfile(rows, nulls, dict(sorted(found.items())))


def shortened(name: str) -> str:
    """A name of at most `MAX_NAME` characters; different names stay different.

    Example:
        >>> shortened("Bern"), len(shortened("x" * 300))
        ('Bern', 233)
    """
    if len(name) <= MAX_NAME:
        return name
    return f"{name[:KEPT_OF_LONG]}…{_digest(name).hexdigest()}"


def bucket_of(name: str) -> int:
    """The bucket of a name: the first twelve bits of the MD5 of its UTF-8 form, which every
    database can compute too.

    Example:
        >>> hex(bucket_of("Bern")), hashlib.md5(b"Bern").hexdigest()[:3]
        ('0x961', '961')
    """
    return int.from_bytes(_digest(shortened(name)).digest()[:2], "big") * BUCKETS >> 16


def _bucketed(counts: Mapping[str, int]) -> NDArray[np.int64]:
    buckets = np.zeros(BUCKETS, dtype=np.int64)
    for name, count in counts.items():
        buckets[bucket_of(name)] += count
    return buckets


def _digest(name: str) -> hashlib._Hash:
    return hashlib.md5(name.encode("utf-8", "surrogatepass"), usedforsecurity=False)
