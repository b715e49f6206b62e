"""A value that is taken is told by the name of its field, not in the words of a database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from trimtab.kernel.errors import Conflict
from trimtab.platform.database import Database, Kind, plain_table

NAMED = plain_table(
    "test_taken_names",
    Kind.OBSERVATION,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("place", sa.String(20), nullable=False, unique=True),
    sa.Column("model", sa.String(20), nullable=False),
    sa.Column("version", sa.String(20), nullable=False),
    sa.Index("uq_test_taken_names_model_version", "model", "version", unique=True),
)
ROW = {"id": "1", "place": "a", "model": "m", "version": "1.0.0"}


@pytest.mark.parametrize(
    ("same", "field"),
    [(("id",), "id"), (("place",), "place"), (("model", "version"), "version")],
)
def test_a_value_that_is_taken_is_named(
    either_database: Database, same: tuple[str, ...], field: str
) -> None:
    other = {name: ROW[name] if name in same else value + "2" for name, value in ROW.items()}
    with either_database.write() as connection:
        connection.execute(NAMED.insert(), ROW)
    with pytest.raises(Conflict) as refused, either_database.write() as connection:
        connection.execute(NAMED.insert(), other)
    assert refused.value.field == field
    assert refused.value.message == f"this {field} is taken"
    assert "constraint" not in str(refused.value.remedy)
