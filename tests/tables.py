"""The tables of the records, those apart that a test declared for itself."""

from __future__ import annotations

import sqlalchemy as sa

from trimtab.platform.database import Kind, metadata


def tables_of_records(kind: Kind | None = None) -> list[sa.Table]:
    """All tables of the product in the order in which they can be made; of a `kind`, if given.

    A test that declares a table of its own, whose name begins with `test_`, leaves it declared
    for all tests after it in its process; no other test's records have it."""
    return [
        table
        for table in metadata.sorted_tables
        if not table.name.startswith("test_") and kind in (None, table.info.get("kind"))
    ]
