"""The comparison with other programs as a table, a page and a picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from html import escape

from benchmarks import drift_data
from benchmarks.drift_peers import CANDIDATES, LONG_SECONDS, SCAN, Row

_MOVED = len(drift_data.DRIFTS)
_OTHERS = len(drift_data.COLUMNS) - _MOVED
_HEADS = (
    "program",
    "version",
    "s",
    "least - most",
    "processor s",
    "by the scan",
    "memory, MiB",
    "found of 8",
    "wrong of 42",
    "alarms of 50",
)

_PAGE = """# Drift, beside other programs

Written by `make bench-drift`; not by hand.

Two tables of {columns} columns, and one question: which columns have moved? {moved} have. Every
program gets the same two Parquet files, in one thread, and is timed after its imports: read both,
compare all columns, name those that moved. *Found* counts the columns that moved, *wrong* those
that it named beside them; *alarms* are the columns that it named in another table in which none has
moved. The scan reads all values of both files once and does nothing with them: no program that
reads them can be faster by much. *By the scan* are seconds of the processor, because others share
the machine; the table has the seconds on the clock too. Each figure is the median of three runs in
turn, of what takes longer than {long:.0f} s of one.

![seconds by those of a bare scan, and what was found](drift-benchmark.svg)

{tables}

Measured on {machine}.

## What moved

{drifts}

The other {others} columns, and all of the undrifted table, are new draws of the same laws: normal,
lognormal, uniform and a heavy tail (Student's t, 2 degrees of freedom) in turn, 8 of 40 with 2 %
nulls; and categories, {categories} of them, whose shares fall like rank to the -0.8. Seeds are
fixed: the same rows every time (`benchmarks/drift_data.py`).

## How each was asked

- **Trimtab**: `compare` with the preset `standard`, from both files, or from the second and a
  stored profile of the first, which is read too: that line reads one of the two files, and its
  time is still set beside the scan of both. It gives D, PSI, Wasserstein and Jensen-Shannon
  distances, null rates, new and vanished categories for every column.
- **Evidently**: `DataDriftPreset` with its tests; *default* leaves the method to it.
- **NannyML**: `UnivariateDriftCalculator` with its ten chunks; named are columns with an alert in
  half of the chunks or more.
- **whylogs**: profiles of both, `calculate_drift_scores` with its own thresholds; a *possible*
  drift does not count. Its sketches are randomised: what it names differs from run to run.
- **frouros**: a detector for each column, nulls left out by hand, because it knows none;
  p-values at 0.05, PSI from 0.1.
- **River**: ADWIN over the rows of both files, in order; named are columns with a signal in the
  second. It reads numbers only.

Distances of the others are exact where ours are right to within a cell, which is said beside each.
Those marked \\* were asked about numbers only: they cannot find what moves between categories.

## Again

```console
$ benchmarks/peers/setup.sh .peers
$ make bench-drift ARGS='--rows 200000 2000000 --output docs/reference'
```

`setup.sh` makes an environment for each (their pins contradict each other) and takes what is pinned
in `benchmarks/peers`. What is not installed is left out, and said. The scripts that ask them are
there too.
"""


def table(rows: Sequence[Row]) -> str:
    """One table for each size, in Markdown."""
    sizes = sorted({row.rows for row in rows})
    return "\n\n".join(_table([row for row in rows if row.rows == size], size) for size in sizes)


def page(machine: str, rows: Sequence[Row]) -> str:
    """The page of the reference."""
    return _PAGE.format(
        columns=len(drift_data.COLUMNS),
        moved=_MOVED,
        others=_OTHERS,
        long=LONG_SECONDS,
        machine=machine,
        tables=table(rows),
        drifts="\n".join(f"- `{name}`: {what}" for name, what in drift_data.DRIFTS.items()),
        categories=" to ".join(
            f"{bound:,}" for bound in (min(drift_data.CATEGORIES.values()), 5000)
        ),
    )


def _table(rows: Sequence[Row], size: int) -> str:
    scan = next(row for row in rows if row.title == SCAN.title)
    lines = [_HEADS, ("---",) * len(_HEADS), *(_cells(row, scan) for row in rows)]
    head = (
        f"**{size:,} rows a file**, {2 * size * len(drift_data.COLUMNS) / 1e6:,.0f} million values"
    )
    return head + "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(row: Row, scan: Row) -> tuple[str, ...]:
    title = row.title + (" \\*" if row.numbers_only else "")
    if not row.wall:
        return (title, row.version, row.why_not, *[""] * (len(_HEADS) - 3))
    spread = f"{min(row.wall):.2f} - {max(row.wall):.2f}" if len(row.wall) > 1 else "one run"
    said = ("", "", "")
    if row.title != SCAN.title:
        alarms = "" if row.alarms is None else str(len(row.alarms))
        said = (str(row.hits), str(row.wrong), alarms)
    return (
        title,
        row.version,
        f"{statistics.median(row.wall):.2f}",
        spread,
        f"{statistics.median(row.worked):.2f}",
        f"{row.by_scan(scan):.2f}",
        f"{statistics.median(row.peak_mib):,.0f}",
        *said,
    )


# -- the picture ----------------------------------------------------------------------------

_WIDTH, _LEFT, _BARS, _LINE, _TOP = 900, 232, 300, 30, 86
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 11px; fill: #59636e; }
.head { font-weight: 600; }
.ours { fill: #0969da; } .scan { fill: #818b98; } .other { fill: #bf8700; }
.hit { fill: #1a7f37; } .miss { fill: none; stroke: #818b98; }
.wrong { fill: #cf222e; font-weight: 600; } .none { fill: #1a7f37; }
.grid { stroke: #d1d9e0; stroke-width: 1; } .paper { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } .small { fill: #9198a1; }
  .ours { fill: #4493f8; } .scan { fill: #9198a1; } .other { fill: #d29922; }
  .hit, .none { fill: #3fb950; } .miss { stroke: #9198a1; } .wrong { fill: #f85149; }
  .grid { stroke: #3d444d; } .paper { fill: #0d1117; }
}
"""


def picture(rows: Sequence[Row]) -> str:
    """Time by the scan's as bars on a logarithmic scale, and what was found beside them: of the
    largest files for which most programs have a figure."""
    size = _shown(rows)
    shown = [row for row in rows if row.rows == size and row.wall]
    scan = next(row for row in shown if row.title == SCAN.title)
    shown.sort(key=lambda row: row.by_scan(scan))
    most = max(2.0, *(row.by_scan(scan) for row in shown)) * 1.6
    height = _TOP + _LINE * len(shown) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">',
        f"<title>Drift in two tables of {size:,} rows: time by a bare scan, and what was found"
        "</title>",
        f'<style>{_STYLE}</style><rect class="paper" width="100%" height="100%" rx="6"/>',
        _text(16, 28, f"Which of {len(drift_data.COLUMNS)} columns moved? {_MOVED} did.", "head"),
        _text(
            16,
            48,
            f"two Parquet files of {size:,} rows, one thread, after imports; "
            "a stored profile stands for the first file, which is not read then",
            "small",
        ),
        _text(_LEFT, 74, "time, a bare scan of both files is 1 (logarithmic)", "small"),
        _text(_LEFT + _BARS + 40, 74, "found", "small"),
        _text(_LEFT + _BARS + 176, 74, "wrong", "small"),
        _text(_LEFT + _BARS + 246, 74, "alarms without drift", "small"),
    ]
    for mark in (1, 3, 10, 30, 100, 300):
        if mark < most:
            x = _LEFT + _length(mark, most)
            end = height - 30
            parts.append(f'<line class="grid" x1="{x:.0f}" x2="{x:.0f}" y1="80" y2="{end}"/>')
            parts.append(_text(x, height - 14, f"{mark}", "small", anchor="middle"))
    for place, row in enumerate(shown):
        parts += _bar(row, scan, _TOP + _LINE * place, most)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _shown(rows: Sequence[Row]) -> int:
    """The largest size that at least two thirds of the programs were run on."""
    sizes = sorted({row.rows for row in rows}, reverse=True)
    for size in sizes:
        if sum(bool(row.wall) for row in rows if row.rows == size) * 3 >= 2 * len(CANDIDATES):
            return size
    return sizes[-1]


def _length(ratio: float, most: float) -> float:
    return _BARS * math.log(max(ratio, 0.8) / 0.8) / math.log(most / 0.8)


def _bar(row: Row, scan: Row, y: int, most: float) -> list[str]:
    kind = "ours" if row.title.startswith("Trimtab") else "other"
    kind = "scan" if row.title == SCAN.title else kind
    ratio = row.by_scan(scan)
    length = _length(ratio, most)
    parts = [
        _text(16, y + 19, row.title, "head" if kind == "ours" else ""),
        f'<rect class="{kind}" x="{_LEFT}" y="{y + 6}" width="{length:.0f}" height="18" rx="2"/>',
        _text(
            _LEFT + length + 5,
            y + 19,
            f"{ratio:.2g}x" if ratio < 100 else f"{ratio:.0f}x",
            "small",
        ),
    ]
    if kind == "scan":
        return parts
    for number in range(_MOVED):
        x = _LEFT + _BARS + 40 + 14 * number
        look = "hit" if number < row.hits else "miss"
        parts.append(f'<rect class="{look}" x="{x}" y="{y + 10}" width="10" height="10" rx="2"/>')
    parts.append(_text(_LEFT + _BARS + 176, y + 19, str(row.wrong), _colour(row.wrong)))
    if row.alarms is not None:
        alarms = len(row.alarms)
        parts.append(_text(_LEFT + _BARS + 246, y + 19, str(alarms), _colour(alarms)))
    return parts


def _colour(count: int) -> str:
    return "wrong" if count else "none"


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )
