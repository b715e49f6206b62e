"""Tables for people: as wide as the terminal, and nothing that is to be copied is broken."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_BELOW = "    "
_BETWEEN = 2
"""Spaces between two columns."""

_LEAST_PROSE = 20
"""Characters that words need beside other columns, so that they can be read there."""

_DIGITS = 12
"""Of a digest: as many as the pages show."""


def short(digest: str) -> str:
    """Enough of a digest to tell it from its neighbours, and to see that there is more of it."""
    return digest.removeprefix("sha256:")[:_DIGITS] + "..."


def show_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, prose: Collection[str] = ()
) -> None:
    """Print rows in columns.

    A cell is never wrapped, unless its column is `prose`. Where there is no room for all of
    them beside each other, the columns that have none stand below each row, with their heads.
    """
    from rich.cells import cell_len
    from rich.console import Console

    # What a row says may hold brackets and colons; they are no commands to this terminal.
    console = Console(markup=False, emoji=False, highlight=False)
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    least = [
        min(width, _LEAST_PROSE) if head in prose else width
        for head, width in zip(heads, widths, strict=True)
    ]
    if sum(least) + _BETWEEN * (len(least) - 1) <= console.width:
        _beside(console, heads, rows, least, prose)
    else:
        _below(console, heads, rows, widths, prose)


def _beside(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    least: Sequence[int],
    prose: Collection[str],
) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _BETWEEN, 0, 0))
    for head, width in zip(heads, least, strict=True):
        table.add_column(head, no_wrap=head not in prose, min_width=width, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _below(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    prose: Collection[str],
) -> None:
    from rich.cells import cell_len

    names = [place for place, head in enumerate(heads) if head not in prose]
    beside, taken = names[:1], widths[names[0]]
    for place in names[1:]:
        if taken + _BETWEEN + widths[place] <= console.width:
            beside.append(place)
            taken += _BETWEEN + widths[place]
    left = [place for place in range(len(heads)) if place not in beside]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[p] + " " * (widths[p] + _BETWEEN - cell_len(cells[p])) for p in beside]
        return "".join(padded).rstrip()

    console.print(line(heads), style="bold", soft_wrap=True)
    for row in rows:
        console.print(line(row), soft_wrap=True)
        for place in left:
            if row[place]:
                console.print(_said(f"{heads[place]}: {row[place]}", console.width), soft_wrap=True)


def _said(text: str, width: int) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=_BELOW,
        subsequent_indent=_BELOW,
        break_long_words=False,
        break_on_hyphens=False,
    )
