"""whylogs: a profile of each file, then the drift scores of its own thresholds."""

from __future__ import annotations

import os

from benchmarks.peers import timed

os.environ["WHYLOGS_NO_ANALYTICS"] = "True"  # it would tell its makers
whylogs = timed.module("whylogs")
drift = timed.module("whylogs.viz.drift.column_drift_algorithms")


def look(reference: str, current: str, _: str) -> set[str]:
    """Columns in the category of drift; a possible drift does not count."""
    before, now = timed.tables(reference, current)
    views = whylogs.log(pandas=before).view(), whylogs.log(pandas=now).view()
    scores = drift.calculate_drift_scores(
        target_view=views[1], reference_view=views[0], with_thresholds=True
    )
    return {
        name
        for name, score in scores.items()
        if score and str(score.get("drift_category")).rpartition(".")[2] == "DRIFT"
    }


timed.main("whylogs", look)
