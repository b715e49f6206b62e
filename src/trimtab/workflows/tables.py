"""Tables that somebody sends or names, into profiles: whatever is in them, within limits.

Values come as JSON that was read already, and are counted here. What is a file, an object or a
stored profile is read by a child process that has nothing to lose.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from trimtab.kernel.errors import InvalidInput, NotFound, PolicyRefused, Unavailable
from trimtab.platform.child import ChildResult, Outcome, run_limited
from trimtab.platform.named import Asker, Named
from trimtab.profiles import codec, confined
from trimtab.profiles.confined import Counts, Limits, Order
from trimtab.profiles.table import TableProfile
from trimtab.sdk.shapes.base import LINE
from trimtab.workflows.parts import Parts

MAX_NAME = 120
"""Characters of the name of a column."""

PROFILE_BYTES = 64 << 20
"""Size that a profile may unpack to."""

_SECONDS = 120.0
_MEMORY_MIB = 4096
_ANSWER_BYTES = 1 << 20
_NAMED = re.compile(LINE)
_HALF = re.compile("[\ud800-\udfff]")
_OURS = ("features", "detection_config")


@dataclass(frozen=True)
class Given:
    """One side of a comparison, in one of three ways: an address, values, a stored profile.

    `field` is the member of the request that it came in.
    """

    field: str
    address: str | None = None
    columns: Mapping[str, Sequence[Any]] | None = None
    profile: bytes | None = None


class Tables:
    """Counts what is given, with the limits of the settings."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self._named = Named(parts.settings)

    def count(
        self, given: Given, order: Order, asker: Asker, like: TableProfile | None = None
    ) -> Counts:
        """The profile of what is given, and those of its windows.

        Args:
            given: A table.
            order: What of it is counted.
            asker: For whom files and objects are fetched.
            like: A profile to count the columns of the same names like.

        Raises:
            InvalidInput: it is no table that is compared, has no rows, or is too large.
            PolicyRefused, NotFound, Unavailable: as `Named.fetch`.
        """
        with _about(given.field):
            if given.columns is not None:
                schema, batches = arrow_of(given.columns, f"{given.field}.columns")
                source = confined.rows_source(schema, batches)
                found = confined.counted(source, order, {} if like is None else like.columns)
            else:
                found = self._confined(given, order, asker, like)
            _demand_sound(found.whole)
            return found

    def limits(self) -> Limits:
        """How large a table may be."""
        return Limits(self._parts.settings.check_rows, PROFILE_BYTES)

    def _confined(
        self, given: Given, order: Order, asker: Asker, like: TableProfile | None
    ) -> Counts:
        with self._parts.scratch.folder() as folder:
            if given.address is not None:
                self._named.fetch(given.address, asker, folder / confined.TABLE, field=given.field)
            else:
                (folder / confined.TABLE).write_bytes(given.profile or b"")
            if like is not None:
                (folder / confined.LIKE).write_bytes(codec.to_bytes(like))
            child = run_limited(
                "trimtab.profiles.confined",
                [json.dumps(dataclasses.asdict(order))],
                max_seconds=_SECONDS,
                max_cpu_seconds=int(_SECONDS),
                max_memory_mib=_MEMORY_MIB,
                max_output_bytes=_ANSWER_BYTES,
                folder=folder,
            )
            return _answer(folder, child)


def arrow_of(
    columns: Mapping[str, Sequence[Any]], field: str
) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """Values by column as Arrow: each column numbers, texts, or true and false; None is null.

    Raises:
        InvalidInput: a column mixes these, or another one has more values; all are named.
    """
    rows = max((len(values) for values in columns.values()), default=0)
    arrays, faults = {}, []
    for name, values in columns.items():
        try:
            if len(values) != rows:
                raise ValueError(f"{len(values)} values where another column has {rows}")
            kind = _type_of(values)
            if kind == pa.float64():  # whole numbers too, however large
                values = [None if value is None else float(value) for value in values]
            arrays[name] = pa.array(values, type=kind)
        except (ValueError, OverflowError, pa.ArrowException) as error:
            what = str(error) if type(error) is ValueError else "a number that is too large"
            faults.append((f"{field}.{name}", what))
    if faults:
        raise InvalidInput(
            "; ".join(f"{where}: {what}" for where, what in faults[:3]),
            field=faults[0][0],
            remedy="send as many values in each column, all of one kind; null where there is none",
            faults=faults,
        )
    table = pa.table(arrays)
    return table.schema, table.to_batches()


def _type_of(values: Sequence[Any]) -> pa.DataType:
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.null()
    if kinds == {str}:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds <= {int, float}:
        small = kinds == {int} and all(v is None or -(2**63) <= v < 2**63 for v in values)
        return pa.int64() if small else pa.float64()
    raise ValueError("it mixes numbers, texts, or true and false")


def _demand_sound(profile: TableProfile) -> None:
    if not profile.rows:
        raise InvalidInput("it has no rows", remedy="give a table with rows in it")
    for name in (*profile.columns, *profile.skipped):
        if len(name) > MAX_NAME or not _NAMED.fullmatch(name) or _HALF.search(name):
            raise InvalidInput(
                f"{ascii(name)[:80]} is no name of a column",
                remedy=f"one line that can be read, of at most {MAX_NAME} characters",
            )


@contextlib.contextmanager
def _about(field: str) -> Iterator[None]:
    """Say of what is wrong in which member of the request it is."""
    try:
        yield
    except (NotFound, PolicyRefused):
        raise
    except InvalidInput as error:
        place = error.field or field
        if not place.startswith((field, *_OURS)):
            place = f"{field}.{place}"
        said = error.message if error.message.startswith(field) else f"{field}: {error.message}"
        raise InvalidInput(said, field=place, remedy=error.remedy, faults=error.faults) from error


def _answer(folder: Path, child: ChildResult) -> Counts:
    """What a child has found.

    Raises:
        Unavailable: it could not begin, or was ended by somebody else.
        InvalidInput: it gave no answer: what it read may be of any kind.
    """
    if child.unanswered:
        raise Unavailable("the table was not read: try again shortly")
    large = "it takes more time or memory to read than a check may take"
    if child.outcome in (Outcome.TIMEOUT, Outcome.MEMORY, Outcome.OUTPUT_TOO_LARGE):
        raise InvalidInput(large, remedy="name fewer columns in features, or send a profile")
    try:
        told = json.loads(child.stdout) if child.outcome is Outcome.OK else {}
        refused = told.get("refused")
        if refused is None:
            return confined.read(folder, told, max_bytes=PROFILE_BYTES)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput("it cannot be read: it may be damaged") from error
    raise InvalidInput(str(refused["message"]), field=refused["field"], remedy=refused["remedy"])
