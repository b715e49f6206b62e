"""A table in a warehouse as a source of profiles: the rows stay there, only counts leave.

    open_warehouse("duckdb:///data/flights.duckdb?table=flights")
    open_warehouse("postgresql://reader@host/db?table=schema.flights")
    profile_expression(table)        any table of Ibis: Spark, Trino, Snowflake, ...

The profile is the one that the same rows give when they are read here, cell for cell. It takes
one query for columns that are counted like a known profile, and one more before it for those
that need a grid of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import numpy as np
import pyarrow as pa

from trimtab.integrations import warehouse_query as queries
from trimtab.kernel.errors import InvalidInput, NotFound, Unavailable
from trimtab.profiles.arrow import Like, is_text, unfit
from trimtab.profiles.category import BUCKETS, CategoryProfile, of_counts
from trimtab.profiles.grid import LOGARITHMIC, Cells, Grid, fit
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.parquet import Told, chosen
from trimtab.profiles.table import Profile, TableProfile

SCHEMES = ("duckdb", "postgres", "postgresql")
"""What an address of a warehouse begins with."""

AT_ONCE = 32
"""Columns in one query; a table with more takes several, which are prepared in linear time."""

_FORMS = "duckdb:///folder/file.duckdb?table=NAME or postgresql://USER@HOST/DATABASE?table=NAME"
_SHARES = tuple(sorted({0.0005, 0.005, 0.02, 0.98, 0.995, 0.9995, *(k / 64 for k in range(1, 64))}))
"""Where the values of a column are asked for to fit a grid by."""

_FITTED_BY = 8192
_READ_ONLY = "-c default_transaction_read_only=on"


def is_address(name: str) -> bool:
    """Whether this is the address of a warehouse, and not the name of a file."""
    return name.partition("://")[0].lower() in SCHEMES and "://" in name


def open_warehouse(address: str) -> WarehouseSource:
    """The table at an address; docs/reference/warehouse.md has its forms.

    A password in it goes to the server, and nowhere else: no title, error or log has it.

    Raises:
        InvalidInput: no such address, or the extra `warehouse` is not installed.
        NotFound: there is no such file or table.
        Unavailable: the server does not answer, or lets nobody in.
    """
    parts = _split(address)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    table, schema = options.pop("table", "") or unquote(parts.fragment), options.pop("schema", "")
    if not schema and "." in table:
        schema, table = table.split(".", 1)
    if not table:
        raise InvalidInput(
            "the address names no table", field="table", remedy=f"give it as {_FORMS}"
        )
    open_it = _open_duckdb if parts.scheme.lower() == "duckdb" else _open_postgresql
    engine = open_it(parts, options)
    shown = f"{schema}.{table}" if schema else table
    title = f"{engine.title}?table={shown}"
    try:
        with engine.errors():
            found = engine.backend.table(table, database=schema or None)
    except engine.absent:
        engine.close()
        raise NotFound(
            f"there is no table {title}", remedy="look at its name and schema: ?table=schema.name"
        ) from None
    return WarehouseSource(found, title=title, engine=engine)


def profile_expression(
    table: Any, *, columns: Sequence[str] | None = None, like: Like | None = None
) -> TableProfile:
    """The profile of any table of Ibis, or of an expression that has rows and columns.

    Args:
        table: For example `ibis.pyspark.connect(session).table("flights")`.
        columns: Those to count; all by default.
        like: Profiles to count the columns of the same names like.

    Raises:
        InvalidInput: there is no such column, or Ibis is not installed.
    """
    return WarehouseSource(table).profile(columns=columns, like=like)


class WarehouseSource:
    """A table in a warehouse.

    Args:
        table: A table of Ibis.
        title: What people call it.
        engine: The connection, if it is to be closed with this.
    """

    def __init__(self, table: Any, *, title: str | None = None, engine: _Engine | None = None):
        self._table = table
        self._engine = engine or _Engine(table.get_backend(), "", ())
        self.title = title or "a table of Ibis"
        self.schema = pa.schema([(name, _arrow(kind)) for name, kind in table.schema().items()])

    def profile(
        self,
        *,
        columns: Sequence[str] | None = None,
        like: Like | None = None,
        cores: int | None = None,
        told: Told | None = None,
    ) -> TableProfile:
        """Its profile, counted in the warehouse by one query; by two where a numeric column is
        not in `like`, and needs a grid.

        Args:
            columns: Those to count; all by default.
            like: Profiles to count the columns of the same names like.
            cores: Has no meaning here: the warehouse has its own.
            told: Hears when all is done.

        Raises:
            InvalidInput: there is no such column, or the warehouse refuses the query.
        """
        plan = _Plan.of(chosen(self.schema, columns), like or {})
        with self._engine.errors():
            grids = {**self._fitted(plan.unfitted()), **plan.grids}
            if not plan.names:
                rows = self._engine.rows(self._table.aggregate(rows=self._table.count()))[0][0]
                return TableProfile(int(rows), {}, plan.skipped)
            answer = [
                row
                for k in range(0, len(plan.names), AT_ONCE)
                for row in self._counted(plan, grids, k)
            ]
        found: dict[str, Profile] = {}
        for place, name in enumerate(plan.names):
            mine = [_Row(*row[1:]) for row in answer if row[0] == place]
            if name in plan.whole:
                found[name] = _numeric(mine, grids[name], whole=plan.whole[name])
            else:
                found[name] = _category(mine)
        if told is not None:
            told(len(found), len(found))
        rows = next(iter(found.values())).rows
        if any(one.rows != rows for one in found.values()):
            raise InvalidInput(
                f"{self.title} was written to while it was counted",
                remedy="count it again, or a snapshot of it",
            )
        return TableProfile(rows, found, plan.skipped)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Refused: rows do not leave the warehouse.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(
            f"{self.title} is a warehouse: its rows stay there, only counts leave it",
            remedy="export the rows that are to be looked at to Parquet, and give that file",
        )

    def close(self) -> None:
        """End the connection, if it was opened here."""
        self._engine.close()

    def _counted(self, plan: _Plan, grids: Mapping[str, Grid], first: int) -> list[Sequence[Any]]:
        """The answer to the query for the columns from this one on."""
        places = range(first, min(first + AT_ONCE, len(plan.names)))
        numeric = {
            k: queries.Counted(plan.names[k], grids[plan.names[k]])
            for k in places
            if plan.names[k] in plan.whole
        }
        categories = {k: plan.names[k] for k in places if k not in numeric}
        return self._engine.rows(queries.count_query(self._table, numeric, categories))

    def _fitted(self, columns: Sequence[str]) -> dict[str, Grid]:
        if not columns:
            return {}
        found = dict.fromkeys(columns, LOGARITHMIC)
        for first in range(0, len(columns), AT_ONCE):
            places = {k: columns[k] for k in range(first, min(first + AT_ONCE, len(columns)))}
            query = queries.quantile_query(self._table, places, _SHARES)
            for place, low, high, whole, quantiles in self._engine.rows(query):
                if low is not None:
                    found[columns[place]] = _grid(low, high, quantiles, whole=bool(whole))
        return found


@dataclass(frozen=True)
class _Row:
    """A row of the answer, as `queries.COLUMNS` has them."""

    width: float | None
    index: int
    name: str | None
    rows: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class _Plan:
    """Which columns are counted and how: `whole` has the numeric ones, and whether each holds
    whole numbers only; `grids` those of them whose grid is known."""

    names: list[str]
    whole: dict[str, bool]
    grids: dict[str, Grid]
    skipped: dict[str, str]

    @classmethod
    def of(cls, schema: pa.Schema, like: Mapping[str, Profile]) -> _Plan:
        """As `arrow.counter_for` would count each column."""
        plan = cls([], {}, {}, {})
        for field in schema:
            known, types = like.get(field.name), pa.types
            why = unfit(field.type)
            fraction = types.is_floating(field.type) or types.is_decimal(field.type)
            if why is None and fraction and isinstance(known, CategoryProfile):
                why = "the other side has categories, and engines write fractions differently"
            if why is not None:
                plan.skipped[field.name] = why
                continue
            plan.names.append(field.name)
            category = isinstance(known, CategoryProfile)
            if is_text(field.type) or category or (types.is_boolean(field.type) and known is None):
                continue
            plan.whole[field.name] = types.is_integer(field.type) or types.is_boolean(field.type)
            if isinstance(known, NumericProfile):
                plan.grids[field.name] = known.grid
        return plan

    def unfitted(self) -> list[str]:
        return [name for name in self.whole if name not in self.grids]


def _numeric(rows: Sequence[_Row], grid: Grid, *, whole: bool) -> NumericProfile:
    odd = {int(row.index): int(row.rows) for row in rows if row.width is None}
    celled = [row for row in rows if row.width is not None]
    width = np.array([row.width for row in celled], dtype=np.float64)
    cells = Cells.joined(
        np.frexp(width)[1].astype(np.int64) - 1,
        np.array([row.index for row in celled], dtype=np.int64),
        np.array([int(row.rows) for row in celled], dtype=np.int64),
    )
    low, high = (celled[0].low, celled[0].high) if celled else (None, None)
    return NumericProfile(
        grid=grid,
        whole=whole,
        rows=sum(int(row.rows) for row in rows),
        nulls=odd.get(queries.NULL, 0),
        nans=odd.get(queries.NAN, 0),
        positive_infinities=odd.get(queries.POSITIVE, 0),
        negative_infinities=odd.get(queries.NEGATIVE, 0),
        low=None if low is None else float(low) + 0.0,
        high=None if high is None else float(high) + 0.0,
        cells=cells,
    )


def _category(rows: Sequence[_Row]) -> CategoryProfile:
    every = sum(int(row.rows) for row in rows)
    known = [(row.name, int(row.rows)) for row in rows if row.name is not None]
    nulls = every - sum(count for _, count in known)
    if not any(row.index == queries.BUCKETED for row in rows):
        return of_counts(dict(known), rows=every, nulls=nulls)
    buckets = np.zeros(BUCKETS, dtype=np.int64)
    for digits, count in known:
        buckets[int(digits, 16)] += count
    return CategoryProfile(every, nulls, {}, buckets)


def _grid(low: float, high: float, quantiles: Sequence[float], *, whole: bool) -> Grid:
    """A grid for the values that lie evenly between known ones of a column."""
    shares = [0.0, *_SHARES, 1.0]
    known = np.array([low, *quantiles, high], dtype=np.float64)
    values = np.interp(np.linspace(0.0, 1.0, _FITTED_BY), shares, known)
    return fit(np.floor(values) if whole else values)


class _Engine:
    """A connection to an engine: how rows are fetched, and what its errors are called."""

    def __init__(self, backend: Any, title: str, kinds: tuple[type[Exception], ...]):
        self.backend = backend
        self.title = title
        self._kinds = kinds

    @property
    def absent(self) -> type[Exception]:
        """What Ibis raises where there is no such table."""
        return _ibis().common.exceptions.TableNotFound  # type: ignore[no-any-return]

    def rows(self, expression: Any) -> list[Sequence[Any]]:
        """The answer to one query, as one statement: a cursor on the server's side would be
        several, and would keep PostgreSQL from working on several cores."""
        found = self.backend.raw_sql(self.backend.compile(expression))
        if hasattr(found, "collect"):
            return list(found.collect())
        if self.backend.name == "duckdb":  # answers with its connection, which stays open
            return list(found.fetchall())
        with closing(found) as cursor:
            return list(cursor.fetchall())

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except self._kinds as error:
            raise InvalidInput(f"{self.title} refuses: {_brief(error)}") from error

    def close(self) -> None:
        """End a connection that was opened here."""
        if self._kinds:
            self.backend.disconnect()


def _open_duckdb(parts: SplitResult, options: Mapping[str, str]) -> _Engine:
    ibis = _ibis()
    import duckdb

    if options:
        raise _unknown(options)
    path = Path(unquote(parts.netloc + parts.path))
    title = f"duckdb://{path}"
    if not path.is_file():
        raise NotFound(f"there is no file {path}", remedy="look at its name and folder")
    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise InvalidInput(f"{title} cannot be opened: {_brief(error)}") from error
    return _Engine(ibis.duckdb.from_connection(connection), title, (duckdb.Error,))


def _open_postgresql(parts: SplitResult, options: dict[str, str]) -> _Engine:
    ibis = _ibis()
    import psycopg

    try:
        given = {"host": parts.hostname, "port": parts.port, "user": parts.username}
    except ValueError as error:
        raise InvalidInput("the address has a port that is none", remedy=_FORMS) from error
    database, password = unquote(parts.path.lstrip("/")), parts.password
    known = {name: unquote(str(value)) for name, value in given.items() if value}
    known |= {"dbname": database} if database else {}
    secret = options.pop("password", None) or (unquote(password) if password else None)
    wanted: dict[str, Any] = {**known, **options}
    wanted["options"] = f"{options.get('options', '')} {_READ_ONLY}".strip()
    if secret:
        wanted["password"] = secret
    where = known.get("host", "")
    place = where + (f":{known['port']}" if "port" in known else "")
    user = f"{known['user']}@" if "user" in known else ""
    title = f"postgresql://{user}{place}/{database}"
    try:
        connection = psycopg.connect(**wanted, autocommit=True)
    except psycopg.Error as error:
        said = _brief(error)
        if secret:
            said = said.replace(secret, "***")
        # What the driver says may quote what it was given, and a traceback would show it.
        raise Unavailable(
            f"{title} does not let us in: {said}",
            remedy="look at the address; a password may also come by PGPASSWORD or ~/.pgpass",
        ) from None
    return _Engine(ibis.postgres.from_connection(connection), title, (psycopg.Error,))


def _split(address: str) -> SplitResult:
    if not is_address(address):
        raise InvalidInput("this is no address of a warehouse", remedy=f"give it as {_FORMS}")
    try:
        return urlsplit(address)
    except ValueError:  # its words quote what stands in the place of the host
        raise InvalidInput(
            "the address of the warehouse cannot be read", remedy=f"give it as {_FORMS}"
        ) from None


def _unknown(options: Mapping[str, str]) -> InvalidInput:
    return InvalidInput(f"the address has no {', '.join(options)}", remedy=f"give it as {_FORMS}")


def _brief(error: Exception) -> str:
    """What a driver says, without the query that it quotes."""
    return str(error).strip().partition("\n")[0]


def _arrow(kind: Any) -> pa.DataType:
    """The type of a column as Arrow has it; what Arrow has no name for is not compared."""
    if kind.is_decimal():
        return pa.decimal128(38, 9)
    if kind.is_string():
        return pa.string()
    try:
        return kind.to_pyarrow()
    except (NotImplementedError, KeyError, TypeError, pa.ArrowException):
        return pa.binary()


def _ibis() -> Any:
    try:
        import ibis
    except ImportError as error:
        raise InvalidInput(
            "tables in warehouses need Ibis, which is not installed",
            remedy="pip install 'trimtab[warehouse]'",
        ) from error
    return ibis
