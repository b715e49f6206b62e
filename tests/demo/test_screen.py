"""What is seen fits the terminal, and says everything without colour too."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from trimtab.demo.beats import Beat, Board, Exposure, OpenIncident, Tone
from trimtab.demo.screen import LiveScreen, PlainScreen, Progress

AT = datetime(2015, 5, 12, tzinfo=UTC)


def board() -> Board:
    shown = Board()
    for exposure in (
        Exposure("flights", None, "1.0.0", "stable", 100.0),
        Exposure("flights", None, "1.1.0", "canary", 25.0),
        Exposure("flights", "ua", "2.0.0", "rolled_back", 0.0),
        Exposure("flights", None, "0.9.0", "retired", 0.0),
    ):
        shown.exposures[exposure.model, exposure.tenant, exposure.version] = exposure
    for number in range(9):
        incident = OpenIncident(f"inc-{number}", "flights", None, "distance: drift")
        shown.incidents[incident.id] = incident
    return shown


def drawn(width: int, height: int) -> tuple[str, int]:
    sink = io.StringIO()
    console = Console(file=sink, width=width, height=height)
    screen = LiveScreen(console)
    screen.notice("the pages: http://127.0.0.1:1")
    screen.beats([Beat(AT, f"line {n} " + "long " * 200, Tone.BAD, (n,)) for n in range(30)])
    screen.progress(Progress(date(2015, 5, 12), 72, 136, 1234567, 9, 8), board())
    console.print(screen.picture())
    text = sink.getvalue()
    return text, len(text.splitlines())


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_the_picture_is_no_higher_than_the_terminal(width: int, height: int) -> None:
    text, lines = drawn(width, height)
    assert lines <= height
    assert "line 29" in text
    assert "http://127.0.0.1:1" in text


def test_states_are_words_besides_their_shade() -> None:
    text, _ = drawn(160, 50)
    for word in ("1.0.0 stable", "1.1.0 canary 25 %", "2.0.0 rolled back", "1,234,567"):
        assert word in text
    assert "0.9.0" not in text
    bar = next(line for line in text.splitlines() if "1.1.0 canary" in line)
    assert bar.count("▒") == 8 + 1  # a quarter of the bar, and the mark beside the word
    assert "and 4 more" in text


def test_plain_lines_are_one_for_each_beat() -> None:
    sink = io.StringIO()
    screen = PlainScreen(Console(file=sink, width=40))
    screen.open()
    screen.beats([Beat(AT, "[bold] is no markup " + "x" * 100, Tone.GOOD, (1,))])
    screen.beats([Beat(AT, "a fault", Tone.STAGE)])
    screen.progress(Progress(date(2015, 5, 12), 1, 2, 3, 4, 5), board())
    screen.close()
    lines = sink.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("2015-05-12 + [bold] is no markup")
    assert lines[1] == "2015-05-12 demo: a fault"
