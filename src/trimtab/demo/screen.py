"""The story as it is seen: a live view in a terminal, lines everywhere else."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from trimtab.demo.beats import Beat, Board, Exposure, Tone
from trimtab.demo.narrator import everybody

MARKS = {
    Tone.PLAIN: "·",
    Tone.GOOD: "+",
    Tone.WATCH: "?",
    Tone.BAD: "!",
    Tone.STAGE: "demo:",
}
_STYLES = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.WATCH: "yellow",
    Tone.BAD: "bold red",
    Tone.STAGE: "italic dim",
}

_SHADES = {
    "none": ("·", "bright_black"),
    "shadow": ("░", "color(67)"),
    "canary": ("▒", "color(74)"),
    "stable": ("█", "color(31)"),
    "rolled back": ("╳", "red"),
}
"""One scale for all exposure, as on the pages."""

_BAR = 30
_LINES = 12
_LINES_OF_A_BEAT = 3


@dataclass(frozen=True)
class Progress:
    """Where the story is."""

    today: date
    day: int
    days: int
    predictions: int
    labels: int
    entries: int


class Screen(Protocol):
    """Shows a story."""

    def open(self) -> None:
        """Begin."""

    def notice(self, text: str) -> None:
        """Something that stays readable: an address, a result."""

    def beats(self, told: list[Beat]) -> None:
        """New lines of the story."""

    def progress(self, now: Progress, board: Board) -> None:
        """The day is over."""

    def close(self) -> None:
        """End; what was shown last stays."""


@dataclass
class PlainScreen:
    """One line for each beat, for a log or a pipe."""

    console: Console

    def open(self) -> None:
        """Nothing to prepare."""

    def notice(self, text: str) -> None:
        self._line(text)

    def beats(self, told: list[Beat]) -> None:
        for beat in told:
            self._line(f"{beat.at:%Y-%m-%d} {MARKS[beat.tone]} {beat.text}")

    def progress(self, now: Progress, board: Board) -> None:
        """Days without a beat leave no line."""

    def close(self) -> None:
        """Nothing to put away."""

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


@dataclass
class LiveScreen:
    """A picture that is drawn anew: the date, what carries traffic, what is open, the story."""

    console: Console
    notices: list[str] = field(default_factory=list)
    story: deque[Beat] = field(default_factory=lambda: deque(maxlen=_LINES))
    now: Progress | None = None
    board: Board = field(default_factory=Board)
    _live: Live | None = None

    def open(self) -> None:
        self._live = Live(console=self.console, get_renderable=self.picture, refresh_per_second=6)
        self._live.start()

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def beats(self, told: list[Beat]) -> None:
        self.story.extend(told)

    def progress(self, now: Progress, board: Board) -> None:
        self.now, self.board = now, board

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def picture(self) -> RenderableType:
        """What is to be seen now, no higher than the terminal."""
        above: list[RenderableType] = [self._header(), self._bar(), Text()]
        above += [_exposures(self.board), Text(), *_incidents(self.board), Text()]
        below: list[RenderableType] = [Text(), *(Text(n, style="bold") for n in self.notices)]
        used = sum(len(self.console.render_lines(part)) for part in (*above, *below))
        room = max(3, self.console.height - used - 1)
        return Group(*above, *self._lines(room), *below)

    def _header(self) -> RenderableType:
        if self.now is None:
            return Text("Trimtab: starting", style="bold")
        now = self.now
        return Text.assemble(
            ("Trimtab  ", "bold"),
            (f"{now.today:%A %d %B %Y}", "bold color(31)"),
            f"   {now.predictions:,} predictions   {now.labels:,} labels   "
            f"{now.entries:,} entries in the ledger",
        )

    def _bar(self) -> RenderableType:
        days, day = (1, 0) if self.now is None else (self.now.days, self.now.day)
        return ProgressBar(total=days, completed=day, width=min(72, self.console.width - 1))

    def _lines(self, room: int) -> list[RenderableType]:
        """As many of the last beats as there is room for, each in a few lines at most."""
        width = self.console.width
        shown: deque[RenderableType] = deque()
        for beat in reversed(self.story):
            start = f"{beat.at:%d %b} {MARKS[beat.tone]} "
            text = beat.text
            longest = _LINES_OF_A_BEAT * (width - 1) - len(start)
            if len(text) > longest:
                text = text[: longest - 1] + "…"
            line = Text(start, style="bright_black").append(Text(text, _STYLES[beat.tone]))
            room -= len(self.console.render_lines(line))
            if room < 0:
                break
            shown.appendleft(line)
        return list(shown)


def _exposures(board: Board) -> RenderableType:
    """A bar for each place: who answers which share of its endpoints."""
    places: dict[tuple[str, str | None], list[Exposure]] = {}
    for exposure in board.placed():
        places.setdefault((exposure.model, exposure.tenant), []).append(exposure)
    table = Table.grid(padding=(0, 2))
    for (model, tenant), versions in places.items():
        table.add_row(Text(model), Text(everybody(tenant)), _share_bar(versions), _said(versions))
    if not places:
        table.add_row(Text("no version carries traffic yet", style="bright_black"))
    return table


def _share_bar(versions: list[Exposure]) -> Text:
    canary = sum(e.percent for e in versions if e.state == "canary")
    stable = any(e.state == "stable" for e in versions)
    cells = round(_BAR * canary / 100)
    rest = "stable" if stable else "none"
    return _shade(rest, _BAR - cells).append_text(_shade("canary", cells))


def _said(versions: list[Exposure]) -> Text:
    line = Text()
    for exposure in versions:
        if exposure.state == "retired":
            continue
        word = exposure.state.replace("_", " ")
        percent = f" {exposure.percent:g} %" if exposure.state in ("canary", "shadow") else ""
        line.append_text(_shade(word, 1)).append(f" {exposure.version} {word}{percent}  ")
    return line


def _shade(state: str, cells: int) -> Text:
    mark, style = _SHADES.get(state, _SHADES["none"])
    return Text(mark * cells, style=style)


def _incidents(board: Board) -> list[RenderableType]:
    if not board.incidents:
        return [Text("no incident is open", style="bright_black")]
    lines: list[RenderableType] = []
    for incident in board.incidents.values():
        line = Text.assemble(
            (f"{incident.id} ", "bold"),
            f"{incident.model}, {everybody(incident.tenant)}, {incident.phase}: {incident.title}",
            (f"  {incident.cause}" if incident.cause else "", "yellow"),
        )
        line.no_wrap, line.overflow = True, "ellipsis"
        lines.append(line)
    more = len(lines) - 5
    return lines if more <= 0 else [*lines[:5], Text(f"and {more} more")]
