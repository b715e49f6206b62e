"""`python -m trimtab.gateway`: serve until told to stop, then ship what waits."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

import uvicorn

from trimtab.gateway.app import Gateway
from trimtab.gateway.control import ControlPlane
from trimtab.gateway.link import Link
from trimtab.gateway.loading import read_trusted_keys
from trimtab.gateway.settings import Settings, read_settings
from trimtab.gateway.shipping import Buffer, Pace, Shipper
from trimtab.gateway.state import StateFolder
from trimtab.kernel.clock import Clock, SystemClock
from trimtab.kernel.errors import TrimtabError
from trimtab.kernel.ports import demand_free

log = logging.getLogger("trimtab.gateway")  # __name__ is __main__ here


def assemble(settings: Settings, clock: Clock) -> Gateway:
    """The gateway's parts, joined; nothing runs yet.

    Raises:
        Conflict: another gateway uses the state folder.
        InvalidInput: a key file holds no key of its kind.
        OSError: a key file or the state folder cannot be used.
    """
    keys = read_trusted_keys(settings)
    buffer = Buffer(settings.buffer_rows, settings.buffer_bytes, settings.shed == "oldest")
    control = ControlPlane(settings)
    link = Link(settings, keys, StateFolder(settings.state), control, buffer, clock)
    pace = Pace(
        settings.batch_rows,
        settings.flush_seconds,
        settings.backoff_seconds,
        settings.backoff_max_seconds,
    )
    return Gateway(settings, link, Shipper(buffer, control.ship, pace), buffer)


class _Announced(uvicorn.Server):
    """A server that says where it is once it can be reached."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            log.info("listening on http://%s:%d", self.config.host, self.config.port)


def server(settings: Settings, gateway: Gateway) -> uvicorn.Server:
    """The HTTP server around `gateway`; one process, one event loop, no access log."""
    return _Announced(
        uvicorn.Config(
            gateway,
            host=settings.host,
            port=settings.port,
            http="httptools",
            loop="uvloop",
            ws="none",
            lifespan="on",
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=max(1, round(settings.inference_seconds)),
        )
    )


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean end, 2 when it cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = read_settings(arguments, environment)
        demand_free(settings.host, settings.port, remedy="choose another one: --port")
        gateway = assemble(settings, SystemClock())
    except (TrimtabError, OSError) as error:
        logging.error("%s", error)
        if isinstance(error, TrimtabError) and error.remedy:
            logging.error("%s", error.remedy)
        return 2
    # uvicorn hands a signal on after its own clean end; that end is all that was asked.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server(settings, gateway).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
