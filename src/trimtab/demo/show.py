"""The demo from the first process to the last: start, play, verify, report, stay, tidy up."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from pathlib import Path
from types import FrameType

from rich.console import Console

from trimtab.demo import cast as casting
from trimtab.demo import narrator, processes, report
from trimtab.demo.beats import Beat, Board, Tone
from trimtab.demo.candidates import register_models
from trimtab.demo.cast import Cast
from trimtab.demo.director import Director
from trimtab.demo.endpoints import Endpoints
from trimtab.demo.memory import PeakMemory
from trimtab.demo.screen import LiveScreen, PlainScreen, Progress, Screen
from trimtab.demo.story import Story
from trimtab.kernel.errors import InvalidInput, NotAuthenticated, Unavailable
from trimtab.sdk.client import Client

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Options:
    """How the demo is run. `home` None: a folder of its own, gone at the end. `database` None:
    a file in it; else the address of an empty database, which stays."""

    story: Story
    stay: bool = True
    report: Path | None = None
    port: int | None = None
    home: Path | None = None
    database: str | None = None


class Stopped(BaseException):
    """A person or the system wants the demo to end; `number` is the signal."""

    def __init__(self, number: int):
        super().__init__(f"signal {number}")
        self.number = number


def run(options: Options, console: Console) -> int:
    """Play the story of `options`; return the exit code of the process.

    0: it was played and its ledger is whole; 1: the ledger is not; 128 and the number of a
    signal that ended it before that. Whatever happens, no process of it is left.

    Raises:
        InvalidInput: the report or the home cannot be used.
        Unavailable: a process did not start, or ended.
    """
    if options.report is not None:
        report.demand_writable(options.report)
    try:
        with _restored_signals(), ExitStack() as stack:
            home = stack.enter_context(_home(options.home))
            _hear_signals()
            try:
                return _play(options, _screen(console), home, stack)
            finally:
                _ignore_signals()  # tidying up is bounded in time, and not to be cut short
    except Stopped as stopped:
        console.print(
            f"ended by {signal.Signals(stopped.number).name}; none of its processes is left"
        )
        return 128 + stopped.number


@dataclass
class _Telling:
    """Follows the ledger, and shows what is new in it."""

    story: Story
    cast: Cast
    screen: Screen
    board: Board
    told: list[Beat]
    heard: int = 0

    def say(self, beat: Beat) -> None:
        """Show a line."""
        self.told.append(beat)
        self.screen.beats([beat])

    def listen(self) -> None:
        """Hear everything that has been written since."""
        entries = list(self.cast.auditor.audit.entries(after=self.heard))
        for entry in entries:
            self.heard = entry.sequence
            self.board.hear(entry)
        beats = narrator.tell(entries)
        self.told += beats
        self.screen.beats(beats)

    def day_is_over(self, day: date) -> None:
        """Hear, and show where the story is."""
        self.listen()
        taken_in = self.cast.auditor.monitoring.totals()
        first, last = self.story.first_day, self.story.last_day
        self.screen.progress(
            Progress(
                today=day,
                day=(day - first).days + 1,
                days=(last - first).days + 1,
                predictions=taken_in.predictions,
                labels=taken_in.labels,
                entries=self.heard,
            ),
            self.board,
        )


def _play(options: Options, screen: Screen, home: Path, stack: ExitStack) -> int:
    began = time.monotonic()
    story = options.story
    memory = stack.enter_context(PeakMemory())
    clock = datetime.combine(story.first_day, time_of_day(), UTC)
    control = processes.start_control_plane(
        home,
        f"{clock:%Y-%m-%dT%H:%M:%SZ}",
        port=options.port,
        lockstep=True,
        more={} if options.database is None else {"DATABASE_URL": options.database},
    )
    stack.callback(control.process.stop)
    screen.open()
    stack.callback(screen.close)
    screen.notice(f"the pages: {control.url}")
    screen.notice(f"log in as admin@localhost, password {control.admin_password}")
    cast = casting.assemble(control, tuple(t.lower() for t in story.flights.tenants))
    stack.callback(cast.close)
    gateway, address = processes.start_gateway(control, cast.gateway_key)
    stack.callback(gateway.stop)
    _hear_deaths(control.process, gateway)
    _introduce(screen, cast)
    register_models(cast.scientist, story)
    endpoints = Endpoints(address, cast.endpoint_keys)
    stack.callback(endpoints.close)
    telling = _Telling(story, cast, screen, Board(), [])
    director = Director(story, cast, endpoints, address, cast.endpoint_keys[None], telling.say)
    for day in director.play():
        telling.day_is_over(day)
    telling.listen()
    gathered = report.gather(cast.auditor)
    sent = director.counts
    whole = (gathered["predictions"], gathered["labels"]) == (sent.predictions, sent.labels)
    good = whole and bool(gathered["audit"]["verified"])
    if not whole:
        telling.say(_lost(gathered, director))
    telling.say(_verdict(gathered, director))
    if options.report is not None:
        report.write(
            options.report,
            {
                "duration_s": round(time.monotonic() - began, 1),
                "seed": story.seed,
                "first_day": story.first_day.isoformat(),
                "last_day": story.last_day.isoformat(),
                "peak_memory_bytes": memory.peak_bytes,
                "unanswered": director.counts.unanswered,
                **gathered,
                "story": report.story(telling.told),
            },
        )
        screen.notice(f"the report: {options.report}")
    screen.notice(f"played in {time.monotonic() - began:.0f} s{_peak(memory)}")
    if options.stay:
        _stay(screen, control, gateway)
    return 0 if good else 1


def _introduce(screen: Screen, cast: Cast) -> None:
    """How to log in as somebody who may decide something."""
    lead = next(email for email in cast.passwords if email.startswith("mira"))
    screen.notice(f"or, to approve, as {lead}, password {cast.passwords[lead]}")


def _verdict(gathered: report.Report, director: Director) -> Beat:
    audit = gathered["audit"]
    now = director.cast.admin.clock.now().now
    if audit["verified"]:
        text = f"the ledger is verified: {audit['entries']:,} entries, root {audit['root'][:16]}…"
        return Beat(now, text, Tone.GOOD)
    what = "; ".join(finding["what"] for finding in audit["findings"][:3])
    return Beat(now, f"the ledger is NOT whole: {what}", Tone.BAD)


def _lost(gathered: report.Report, director: Director) -> Beat:
    sent, now = director.counts, director.cast.admin.clock.now().now
    text = (
        f"{sent.predictions:,} predictions were answered and {sent.labels:,} labels sent, but "
        f"{gathered['predictions']:,} and {gathered['labels']:,} are on record"
    )
    return Beat(now, text, Tone.BAD)


def _peak(memory: PeakMemory) -> str:
    if memory.peak_bytes is None:
        return ""
    return f", with at most {memory.peak_bytes / 2**20:,.0f} MiB of memory in all processes"


def _stay(screen: Screen, control: processes.ControlPlane, gateway: processes.Process) -> None:
    """Keep the pages open until somebody ends it."""
    screen.notice(f"the pages stay open at {control.url}; Ctrl-C ends it")
    admin: Client | None = None
    try:
        while True:
            control.process.demand_alive()
            gateway.demand_alive()
            admin = _stand(control, admin)
            time.sleep(_LOOK_SECONDS)
    except Stopped:
        return


def _stand(control: processes.ControlPlane, admin: Client | None) -> Client | None:
    """Step the clock to where it stands, so that what visitors do is carried out; with a new
    credential where there is none, or where the old one has run out."""
    try:
        if admin is None:
            with Client(control.url) as nobody:
                token = nobody.identity.log_in("admin@localhost", control.admin_password)
            admin = Client(control.url, token=token)
        admin.clock.step(admin.clock.now().now)
    except (NotAuthenticated, Unavailable):  # a process that has ended is noticed elsewhere
        return None
    return admin


def _screen(console: Console) -> Screen:
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


@contextmanager
def _home(chosen: Path | None) -> Iterator[Path]:
    """The folder of everything: the one that was named, which stays, or one for now.

    Raises:
        InvalidInput: something is in it already; a story begins with nothing.
    """
    if chosen is None:
        folder = Path(tempfile.mkdtemp(prefix="trimtab-demo-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    folder = chosen.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(
            f"{chosen} is not empty", field="home", remedy="name a folder that is new or empty"
        )
    yield folder


@contextmanager
def _restored_signals() -> Iterator[None]:
    """Afterwards signals do again what they did before."""
    before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGCHLD)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hear_signals() -> None:
    """Signals that end a process become an exception, so that everything is put away."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(number)

    for number in _SIGNALS:
        signal.signal(number, stop)


def _hear_deaths(*running: processes.Process) -> None:
    """The end of a process that is needed becomes an exception at once: whoever waits for the
    control plane would wait long for a gateway that is no more."""

    def look(_number: int, _frame: FrameType | None) -> None:
        for process in running:
            process.demand_alive()

    signal.signal(signal.SIGCHLD, look)


def _ignore_signals() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
