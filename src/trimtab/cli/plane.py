"""A control plane to ask: the one that is named, or runs here, or else one for this command.

Whoever has a control plane names it and shows a credential, as for every other command. Whoever
has none needs none: one is started on the data folder of this machine, answers this command,
and ends with it. What it has read stays there.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trimtab.cli.remote import Remote

if TYPE_CHECKING:
    import uvicorn

    from trimtab.app import Application
    from trimtab.platform.settings import Settings
    from trimtab.sdk.client import Client

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Plane:
    """A connection to a control plane. `url` is where its pages are; `ours` says that it was
    started for this command."""

    client: Client
    url: str
    ours: bool


@contextlib.contextmanager
def plane(asks: Remote, *, work: bool = False) -> Iterator[Plane]:
    """The control plane that a command asks.

    Args:
        asks: Whom, and with which credential; nobody in particular is the one of this machine.
        work: Whether one that is started for this command does what is due, or only answers.

    Raises:
        NotAuthenticated: one is named, and no credential for it.
        Unavailable: none could be started here.
    """
    from trimtab.platform.settings import load_settings
    from trimtab.platform.whereabouts import served_at

    if asks.url or asks.key or asks.token:
        named = replace(asks, url=asks.url or served_at(load_settings()))
        with named.client() as client:
            yield Plane(client, named.url, ours=False)
        return
    settings = load_settings()
    found = _running(settings, asks.tenant)
    if found is not None:
        with found.client as client:
            yield Plane(client, found.url, ours=False)
        return
    with _started(asks.tenant, work=work) as made, made.client:
        yield made


def _running(settings: Settings, tenant: str) -> Plane | None:
    """The control plane that runs on this data folder, if one does."""
    from trimtab.cli.local import local_token
    from trimtab.kernel.errors import NotAuthenticated, NotFound, Unavailable
    from trimtab.platform.whereabouts import served_at
    from trimtab.sdk.client import Client, Persistence

    try:
        token = local_token("admin@localhost")
    except NotFound:
        return None
    url = served_at(settings)
    client = Client(url, token=token, tenant=tenant or None, persistence=Persistence(tries=1))
    try:
        next(client.connections.list(), None)
    except (Unavailable, NotAuthenticated, NotFound):  # nobody, or that of another folder
        client.close()
        return None
    return Plane(client, url, ours=False)


@contextlib.contextmanager
def _started(tenant: str, *, work: bool) -> Iterator[Plane]:
    """A control plane in this process, at an address of its own, for as long as it is asked."""
    from trimtab.app import ADMINISTRATOR, Application
    from trimtab.cli.local import local_token
    from trimtab.platform.logs import configure_logs
    from trimtab.platform.settings import load_settings
    from trimtab.sdk.client import Client

    configure_logs("ERROR")
    settings = load_settings().model_copy(update={"port": _free_port(), "host": "127.0.0.1"})
    application = Application(settings)
    made = application.first_start()
    if made is not None:  # shown once, by whichever command comes first
        print(f"first administrator: {ADMINISTRATOR}, password {made}", file=sys.stderr)
    with _answering(application, work=work):
        url = settings.public_origin()
        client = Client(url, token=local_token(ADMINISTRATOR, url), tenant=tenant or None)
        yield Plane(client, url, ours=True)


@contextlib.contextmanager
def _answering(application: Application, *, work: bool) -> Iterator[None]:
    import uvicorn

    from trimtab.worker import Worker, configuration

    settings = application.settings
    config = configuration(application.http(), host=settings.host, port=settings.port)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="answers", daemon=True)
    worker = Worker(application)
    thread.start()
    if work:
        application.start()
        worker.start()
    try:
        _wait_for(server, thread)
        yield
    finally:
        application.parts.leaving.set()
        server.should_exit = True
        thread.join(_STOP_SECONDS)
        if work:
            worker.stop()
            application.stop(_STOP_SECONDS)
        else:
            application.parts.records.database.close()


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    from trimtab.kernel.errors import Unavailable

    until = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise Unavailable(
                "no control plane could be started here",
                remedy="name one that runs: --url and TRIMTAB_API_KEY or TRIMTAB_TOKEN",
            )
        time.sleep(_PAUSE_SECONDS)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
