"""Evidently's preset for drift: `default` leaves the method to it, `psi` or `ks` asks for one."""

from __future__ import annotations

import re

from benchmarks.peers import timed

evidently = timed.module("evidently")
presets = timed.module("evidently.presets")


def look(reference: str, current: str, method: str) -> set[str]:
    """Columns whose test fails."""
    before, now = timed.tables(reference, current)
    names = list(before.columns)
    definition = evidently.DataDefinition(
        numerical_columns=[name for name in names if timed.is_number(name)],
        categorical_columns=[name for name in names if not timed.is_number(name)],
    )
    chosen = {} if method == "default" else {"num_method": method}
    if method == "psi":
        chosen["cat_method"] = "psi"
    report = evidently.Report([presets.DataDriftPreset(**chosen)], include_tests=True)
    made = report.run(
        evidently.Dataset.from_pandas(now, data_definition=definition),
        evidently.Dataset.from_pandas(before, data_definition=definition),
    )
    failed = [test["name"] for test in made.dict()["tests"] if test["status"] == "FAIL"]
    columns = [re.search(r"column '?([nc]\d\d)", name) for name in failed]
    return {column[1] for column in columns if column is not None}


timed.main("evidently", look, "default")
