"""What the beginning of a CSV file tells of the rest: delimiter, header, decimal mark, packing.

Nothing here reads rows: that is Arrow's. Where a beginning may mean two things it is refused, with
what it looks like, instead of guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa

from trimtab.kernel.errors import InvalidInput

_PACKED = (
    (re.compile(rb"\x1f\x8b"), "gzip"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "bz2"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd"),
)
_SIGNS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_QUOTED = re.compile(rb'"[^"]*"?')
_JSON = re.compile(rb'\{|\[\s*(?:[\[{"\d-]|$)')
_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?\s*")
_WITH_COMMA = r"^\s*[+-]?(?:\d+|\d*,\d+)(?:[eE][+-]?\d+)?\s*$"
_THOUSANDS = r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$"


def packing(head: bytes) -> str | None:
    """How a file is packed, as Arrow names it; None where it is not.

    Example:
        >>> packing(b"\\x1f\\x8b\\x08\\x00"), packing(b"city,amount")
        ('gzip', None)
    """
    return next((name for magic, name in _PACKED if magic.match(head)), None)


def delimiter(title: str, head: bytes, preferred: str = ",") -> str:
    """What separates the columns of a file that begins so, told by its header: a comma if there
    is one outside quotes; else whichever of semicolon, tab and bar there are most of.

    Args:
        title: What people call the file.
        head: How it begins: the first two lines are looked at.
        preferred: What is taken wherever the header has it.

    Raises:
        InvalidInput: it looks like JSON, or as if something else than its commas separated it.

    Example:
        >>> delimiter("t.csv", b'"a,b";c|d;e'), delimiter("t.csv", b"a,b"), delimiter("t.csv", b"a")
        (';', ',', ',')
    """
    content = head.removeprefix(b"\xef\xbb\xbf")
    if _JSON.match(content.lstrip()):
        raise InvalidInput(f"{title} looks like JSON", remedy="give it as Parquet or CSV")
    lines = [line for line in re.split(rb"[\r\n]+", _QUOTED.sub(b'""', content)) if line]
    first, second = [*lines[:2], b"", b""][:2]
    if preferred.encode() in first and preferred != ",":
        return preferred
    sign = max(_SIGNS, key=lambda one: first.count(one.encode()))
    count, commas = first.count(sign.encode()), first.count(b",")
    if count and not commas:
        return sign
    if count and count >= commas and count == second.count(sign.encode()):
        raise InvalidInput(
            f"the header of {title} has commas, but {_SIGNS[sign]} seem to separate its columns",
            remedy="put names with commas or other signs in quotes, or give it as Parquet",
        )
    return ","


def demand_header(title: str, names: Sequence[str], below: Sequence[str | None]) -> None:
    """See to it that the first line has names, not values.

    Args:
        title: What people call the file.
        names: The fields of its first line.
        below: Those of its second; none where there is no other line.

    Raises:
        InvalidInput: the first line has numbers only, or a word that is below it too.

    Example:
        >>> demand_header("t.csv", ["city", "2024"], ["Bern", "3"])
        >>> demand_header("t.csv", ["", "0", "1"], ["0", "2.5", "7"])
        >>> demand_header("t.csv", ["Bern", "3"], ["Bern", "4"])
        Traceback (most recent call last):
        trimtab.kernel.errors.InvalidInput: t.csv has no header line: it begins with Bern, 3...
    """
    given = [name for name in names if name.strip()]
    if given == [str(place) for place in range(len(given))]:
        return  # columns that a program has numbered
    words = [name for name in given if not _NUMBER.fullmatch(name)]
    pairs = zip(names, below, strict=False)
    if given and (not words or any(name == value and name in words for name, value in pairs)):
        raise InvalidInput(
            f"{title} has no header line: it begins with {', '.join(names[:5])}",
            remedy="put a line with the names of the columns first: words, each unlike the values",
        )


def decimal_point(title: str, texts: pa.RecordBatch, kinds: Mapping[str, pa.DataType]) -> str:
    """The decimal mark of the numbers in a block that no commas separate.

    Args:
        title: What people call the file.
        texts: The block, each value as it is written.
        kinds: The type of each column, where points are decimal.

    Raises:
        InvalidInput: some numbers have commas and others have points, or the commas might as well
            separate thousands.

    Example:
        >>> block = pa.record_batch({"x": ["1,5", "20"], "city": ["Bern", "1,5"]})
        >>> decimal_point("t.csv", block, {"x": pa.string(), "city": pa.string()})
        ','
    """
    import pyarrow.compute as pc  # slow to load, and only needed for text

    plain = True
    with_comma = with_point = None
    for name, kind in kinds.items():
        column = texts.column(name)
        if pa.types.is_floating(kind):
            with_point = with_point or _first(column, pc.match_substring(column, "."))
        elif pa.types.is_string(kind) and _all(pc.match_substring_regex(column, _WITH_COMMA)):
            commas = pc.match_substring(column, ",")
            with_comma = with_comma or _first(column, commas)
            plain = plain and _all(pc.match_substring_regex(column.filter(commas), _THOUSANDS))
    if with_comma is None:
        return "."
    if with_point is not None:
        raise InvalidInput(
            f"{title} has numbers with commas, such as {with_comma}, and with points, such as "
            f"{with_point}",
            remedy="write all of its numbers with a decimal point, or give it as Parquet",
        )
    if plain:
        raise InvalidInput(
            f"{title} has numbers such as {with_comma}: that may be thousands, or a decimal comma",
            remedy="write its numbers with a decimal point only, or give it as Parquet",
        )
    return ","


def _all(there: pa.BooleanArray) -> bool:
    return bool(there.false_count == 0 and there.true_count > 0)


def _first(column: pa.Array, there: pa.BooleanArray) -> str | None:
    found = column.filter(there)
    return str(found[0].as_py()).strip() if len(found) else None
