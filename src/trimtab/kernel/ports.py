"""Ports of this machine that something is to listen on."""

from __future__ import annotations

import os
import socket

from trimtab.kernel.errors import Unavailable


def demand_free(host: str, port: int, *, remedy: str) -> None:
    """Make sure that nobody listens there yet, before anything is begun.

    Raises:
        Unavailable: somebody does, or the address is not this machine's.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise Unavailable(
                f"nothing can listen on port {port} of {host}: {why}", field="port", remedy=remedy
            ) from error
