"""Write a migration from the newest schema to what the tables in the source say.

.venv/bin/python scripts/write_migration.py 0002 "what it adds"
"""

import sys
import tempfile

import trimtab.app  # noqa: F401 - every table is known once the house is joined
from trimtab.platform import migrate
from trimtab.platform.database import Database, metadata


def main() -> None:
    """Write the revision that the arguments name."""
    revision, message = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/schema.sqlite")
        if revision != "0001":
            migrate.upgrade(database)
        migrate.write_revision(database, metadata, message, revision)


main()
