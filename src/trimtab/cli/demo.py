"""The command that shows everything on real data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path


def play(
    *,
    stay: bool,
    report: Path | None,
    port: int | None,
    seed: int | None,
    home: Path | None,
    fault_month: int | None,
    fault_feature: str | None,
    fault_factor: float | None,
) -> int:
    """Play the story with these changes; return the exit code.

    Raises:
        InvalidInput: a change that the story cannot take.
    """
    from rich.console import Console

    from trimtab.demo.show import Options, run
    from trimtab.demo.story import Story, with_fault

    story = Story() if seed is None else replace(Story(), seed=seed)
    if (fault_month, fault_feature, fault_factor) != (None, None, None):
        story = with_fault(story, month=fault_month, feature=fault_feature, factor=fault_factor)
    return run(Options(story=story, stay=stay, report=report, port=port, home=home), Console())
