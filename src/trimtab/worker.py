"""The process that runs the loops, or some of them, and answers HTTP beside them, or does not."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from trimtab.api.patience import Patience, PatientConnection
from trimtab.app import ADMINISTRATOR, Application
from trimtab.kernel import garbage
from trimtab.kernel.errors import InvalidInput, TrimtabError
from trimtab.kernel.ports import demand_free
from trimtab.platform.logs import configure_logs, logger
from trimtab.platform.outages import DATABASE
from trimtab.platform.settings import load_settings
from trimtab.platform.whereabouts import note_served
from trimtab.workflows.jobs import Role
from trimtab.workflows.parts import Parts, Told

log = logger(__name__)

PAUSE_SECONDS = 1.0
"""Between two passes of the loop while nothing happens in this process: how late it is seen
that a row has become due, or that another process has written."""

LEAST_SECONDS = 0.02
"""Between two passes of which the first had nothing to do, however much is written."""

HEAD_SECONDS = 10.0
"""Between two signed heads of a growing ledger, in real time."""

PRUNE_SECONDS = 3600.0
"""Between two times that finished jobs are forgotten and blobs without a use looked for, in
real time; the first is at start."""

DRAIN_SECONDS = 25.0
"""From the signal to end until jobs that still run are left to the next start."""

ANSWER_SECONDS = 15
"""How long answers under way may take after the signal; jobs go on meanwhile."""

KEEP_ALIVE_SECONDS = 15
"""Of a connection on which nobody asks anything, in real time."""

MAX_CONNECTIONS = 1000
"""Open at once; one more is told to come back later."""

LOST_SECONDS = 0.5
"""Between two looks whether another process has taken this one for dead."""

TAKEN_OVER = 75
"""The exit code of a process whose work was taken over: start it anew, it is not at fault."""


class Worker:
    """A thread that makes one pass of the loop after the other, until it is stopped."""

    def __init__(self, application: Application):
        self._application = application
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the pass at hand, and end."""
        self._stopping.set()
        self._application.parts.records.entered.set()
        self._thread.join()

    def _run(self) -> None:
        signed_at, pruned_at = time.monotonic(), -PRUNE_SECONDS
        keep_seconds = 3600.0 * self._application.settings.jobs_keep_hours
        parts = self._application.parts
        entered = parts.records.entered
        while not self._stopping.is_set():
            entered.clear()  # before the look that follows, so that no entry is missed
            _tried(parts.refusals.flush)
            _tried(parts.key_uses.flush)
            handed = _tried(self._application.loop.go_on)
            if time.monotonic() - signed_at >= HEAD_SECONDS:
                signed_at = time.monotonic()
                _tried(parts.heads.sign)
            if time.monotonic() - pruned_at >= PRUNE_SECONDS:
                pruned_at = time.monotonic()
                _tried(lambda: parts.engine.prune(keep_seconds))
                _tried(self._application.leftovers.look)
            if not handed and not self._stopping.wait(LEAST_SECONDS):
                entered.wait(PAUSE_SECONDS)


def _tried(act: Callable[[], object]) -> object:
    """What `act` returns; None, with the reason in the log, where it failed. Whatever else the
    thread has to do goes on: no head would be signed where no job can be handed over."""
    try:
        return act()
    except TrimtabError as error:
        say = log.debug if DATABASE.explains(error) else log.error
        say("a pass of the loop failed", code=error.code, what=error.message)
    except Exception as error:  # noqa: BLE001 - without this thread nothing runs any more
        log.error("a pass of the loop failed", code="unforeseen", what=repr(error))
    return None


def configuration(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """How `app` is served: with patience for its callers, and with an end to it."""
    return uvicorn.Config(
        Patience(app),
        host=host,
        port=port,
        http=PatientConnection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=ANSWER_SECONDS,
    )


class Announced(uvicorn.Server):
    """A server that says where it is once it can be reached; a log of JSON is for programs.

    When it is told to end, it says at `/health/ready` that nothing more should be sent to it,
    answers as ever for the notice that the settings name, then takes no new connection.

    Args:
        config: How it serves.
        parts: Where it is said that it is leaving.
        said: What is said after its address.
    """

    def __init__(self, config: uvicorn.Config, parts: Parts, *said: str):
        super().__init__(config)
        self._parts = parts
        self._said = said

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Give notice, then end; a second signal ends the notice."""
        notice = self._parts.settings.drain_notice_seconds
        if self._parts.leaving.is_set() or notice == 0:
            self._parts.leaving.set()
            super().handle_exit(sig, frame)
            return
        self._parts.leaving.set()
        timer = threading.Timer(notice, super().handle_exit, (sig, frame))
        timer.daemon = True
        timer.start()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets=sockets)
        if self.started:
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            lines = (f"listening on http://{host}:{self.config.port}", *self._said)
            print("\n".join(lines), flush=True)  # noqa: T201 - for whoever started it


def serve(*, port: int | None = None, work: bool = True) -> int:
    """Run the control plane until it is told to stop; the code to exit with.

    Args:
        port: To listen on, instead of the one in the settings.
        work: Whether it does all that is to be done, or leaves it to `trimtab work`.
    """
    settings = load_settings()
    if port is not None:  # before anything is joined: the port is part of our address
        settings = settings.model_copy(update={"port": port})
    configure_logs(settings.log_level)
    demand_free(
        settings.host,
        settings.port,
        remedy="end what listens there, or choose another one: --port, or TRIMTAB_PORT",
    )
    return run(Application(settings, roles=tuple(Role) if work else ()))


def run(application: Application) -> int:
    """Run one that has been joined, until it is told to stop; the code to exit with."""
    settings = application.settings
    made = application.first_start()
    if made is not None:
        log.warning("first start: keep the password that is shown once", who=ADMINISTRATOR)
        print(f"first administrator: {ADMINISTRATOR}\ninitial password:    {made}", flush=True)  # noqa: T201 - shown once, and not to the log
    note_served(settings)
    origin = settings.public_origin()
    server = Announced(
        configuration(application.http(), host=settings.host, port=settings.port),
        application.parts,
        f"pages:       {origin}/",
        f"interface:   {origin}/docs",
    )
    return _until_told(application, server)


def work(roles: Sequence[str], *, port: int | None = None) -> int:
    """Do what is to be done, beside processes that answer HTTP; the code to exit with.

    Args:
        roles: What to do of it; nothing named is all of it.
        port: To answer `/health` and `/metrics` on; without one, nothing listens.

    Raises:
        InvalidInput: there is no such role, or roles cannot be apart here.
    """
    settings = load_settings()
    configure_logs(settings.log_level)
    os.nice(settings.work_niceness)  # endpoints wait for answers; nobody for a look at a window
    application = Application(settings, roles=_roles(roles), beside=True)
    if port is None:
        return _until_told(application, None)
    demand_free(settings.host, port, remedy="end what listens there, or choose another --port")
    config = configuration(application.probes(), host=settings.host, port=port)
    does = ", ".join(role for role in Role if role in application.roles)
    return _until_told(application, Announced(config, application.parts, f"roles:       {does}"))


def _roles(names: Sequence[str]) -> tuple[Role, ...]:
    unknown = sorted(set(names) - {role.value for role in Role})
    if unknown:
        raise InvalidInput(
            f"there is no role {ascii(unknown[0])[:40]}",
            field="--role",
            remedy="the roles are " + ", ".join(Role),
        )
    return tuple(Role(name) for name in names) or tuple(Role)


def _until_told(application: Application, server: uvicorn.Server | None) -> int:
    """Work, and answer by `server`, until a signal comes or the work was taken over."""
    told = Told()
    # uvicorn hands a signal on after its own clean end; what is left to do then is ours.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    application.start()
    worker = Worker(application)
    worker.start()
    garbage.settle()
    try:
        if server is None:
            log.info("working", roles=sorted(application.roles))
            while not told.is_set() and not application.lost.is_set():
                time.sleep(LOST_SECONDS)
        else:
            with _ending(server, application.lost):
                server.run()
    finally:
        log.info("ending: what is under way is finished first")
        worker.stop()
        application.stop(DRAIN_SECONDS - (ANSWER_SECONDS if server is not None else 0))
        log.info("ended")
    return TAKEN_OVER if application.lost.is_set() else 0


@contextmanager
def _ending(server: uvicorn.Server, lost: threading.Event) -> Iterator[None]:
    """Let `server` end, too, when this process was taken for dead."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOST_SECONDS):
            if lost.is_set():
                server.should_exit = True

    watcher = threading.Thread(target=look, name="lost", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
