"""River's ADWIN on the rows of both files, one after the other, as a stream. It reads numbers
only; nulls are left out. A column is called moved when it signals after the reference has ended."""

from __future__ import annotations

from benchmarks.peers import timed

drift = timed.module("river.drift")


def look(reference: str, current: str, _: str) -> set[str]:
    """Columns with a signal in the current rows."""
    parquet = timed.module("pyarrow.parquet")
    found = set()
    for name in parquet.read_schema(reference).names:
        if not timed.is_number(name):
            continue
        detector = drift.ADWIN()
        signals = False
        for path, watched in ((reference, False), (current, True)):
            column = parquet.read_table(path, columns=[name], use_threads=False).column(0)
            for value in column.drop_null().to_pylist():
                detector.update(value)
                signals |= watched and detector.drift_detected
        if signals:
            found.add(name)
    return found


timed.main("river", look)
