"""`trimtab migrate`, by a process that kills itself before it has told the database something.

`migrate_and_die.py FRAGMENT N`: before the N-th statement that holds FRAGMENT, or, where that
is COMMIT, before the N-th end of a transaction that wrote. What was never told ends in peace.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from trimtab.cli.commands import migrate


def main(fragment: str, number: int) -> None:
    """Migrate what the settings name, as far as that."""
    told = 0

    def count(statement: str) -> None:
        nonlocal told
        told += fragment in statement
        if told == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def said(_connection: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        count(statement)

    def ended(connection: Connection) -> None:
        if connection.get_execution_options().get("trimtab_write"):
            count("COMMIT")

    event.listen(Engine, "before_cursor_execute", said)
    event.listen(Engine, "commit", ended)
    migrate()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
