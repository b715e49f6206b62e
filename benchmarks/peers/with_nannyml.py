"""NannyML's univariate drift, in the ten chunks that it makes itself. A column is called moved
when at least half of the chunks raise an alert, in any of the methods asked for."""

from __future__ import annotations

import os

from benchmarks.peers import timed

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # it would tell its makers
nannyml = timed.module("nannyml")


def look(reference: str, current: str, methods: str) -> set[str]:
    """Columns with alerts in most chunks."""
    before, now = timed.tables(reference, current)
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(before.columns),
        continuous_methods=methods.split(","),
        categorical_methods=["jensen_shannon"],
    )
    calculator.fit(before)
    table = calculator.calculate(now).filter(period="analysis").to_df()
    alerts = [column for column in table.columns if column[2] == "alert"]
    return {column[0] for column in alerts if float(table[column].mean()) >= 0.5}


timed.main("nannyml", look, "kolmogorov_smirnov")
