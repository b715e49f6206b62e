"""A bar on the terminal while something long is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trimtab.profiles.parquet import Told


@contextmanager
def bar(what: str) -> Iterator[Told]:
    """Show on standard error how far it is; gone when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)

        def told(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield told
