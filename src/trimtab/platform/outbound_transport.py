"""The way onto the network: to checked addresses, by permitted calls, within a time.

The host is resolved once for each connection, everything that it resolves to is checked, and
the connection is made to what was checked. There is no second look-up that could answer
otherwise. The name itself stays in the Host header and in TLS.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpcore
import httpx

from trimtab.kernel.errors import InvalidInput, PolicyRefused
from trimtab.platform.outbound_addresses import Network, demand_allowed

Permitted = Sequence[tuple[str, re.Pattern[str]]]
"""Methods, each with the paths below the base address that it may be sent to."""

_IDLE_SECONDS = 15.0

_SocketOptions = Iterable[Any]


class _Until(threading.local):
    """When the request of this thread has to be over, in seconds of `time.monotonic`."""

    at: float | None = None


_until = _Until()


@contextmanager
def deadline(at: float) -> Iterator[None]:
    """Whatever this thread reads, writes and connects meanwhile ends at `at`, in seconds of
    `time.monotonic`: the time-outs of a library begin anew with each byte that drips in."""
    before = _until.at
    _until.at = at if before is None else min(at, before)
    try:
        yield
    finally:
        _until.at = before


def _left(timeout: float | None, kind: type[Exception]) -> float | None:
    if _until.at is None:
        return timeout
    left = _until.at - time.monotonic()
    if left <= 0:
        raise kind("it took too long as a whole")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline."""

    def __init__(self, inner: httpcore.NetworkStream):
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and to nothing else.

    Args:
        networks: Those that are allowed besides public addresses.
    """

    def __init__(self, networks: Sequence[Network]):
        self._networks = tuple(networks)
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to what `host` resolves to.

        Raises:
            PolicyRefused: one of the addresses may not be spoken to.
        """
        addresses = self._resolved(host, port)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return _Stream(
                    self._inner.connect_tcp(
                        address,
                        port,
                        timeout=_left(timeout, httpcore.ConnectTimeout),
                        local_address=local_address,
                        socket_options=socket_options,
                    )
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Refused: a socket file is no address of somebody else."""
        raise PolicyRefused("a socket file is not spoken to")

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)

    def _resolved(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        demand_allowed(host, addresses, self._networks)
        return addresses


class GuardedTransport(httpx.HTTPTransport):
    """Sends permitted calls to one origin.

    Args:
        origin: Scheme, host and port that every request must go to.
        prefix: The path that all paths of `permitted` stand below.
        permitted: What may be sent.
        networks: Those that are allowed besides public addresses.
        ca_file: Certificates that are believed beside the usual ones.
        connections: As many at once.
    """

    def __init__(
        self,
        origin: httpx.URL,
        prefix: str,
        permitted: Permitted,
        *,
        networks: Sequence[Network],
        ca_file: Path | None,
        connections: int,
    ):
        # What the parent would set up connects unchecked: its pool is not even made.
        self._origin = origin
        self._prefix = prefix
        self._permitted = tuple(permitted)
        self._pool = httpcore.ConnectionPool(
            ssl_context=trusted(ca_file),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=CheckedNetwork(networks),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, if it may be sent.

        Raises:
            PolicyRefused: another origin, or a call that is not permitted; nothing was sent.
        """
        self._demand_permitted(request.method, request.url)
        return super().handle_request(request)

    def _demand_permitted(self, method: str, url: httpx.URL) -> None:
        same = (url.scheme, url.host, url.port) == (
            self._origin.scheme,
            self._origin.host,
            self._origin.port,
        )
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        below = path.removeprefix(self._prefix)
        known = any(method == one and form.fullmatch(below) for one, form in self._permitted)
        if not same or not path.startswith(self._prefix) or not known:
            raise PolicyRefused(
                f"{method} {path} is not among the calls that are sent to this server",
                remedy="only its list of reads is permitted; nothing was sent",
            )


@lru_cache(maxsize=16)
def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Whose certificates are believed: the well-known authorities', and those of a file beside
    them. Certificates are always verified.

    Raises:
        InvalidInput: the file cannot be read, or holds no certificates.
    """
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(cafile=str(ca_file))
        return context
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            f"the file of certificates {ca_file.name} cannot be used: {type(error).__name__}",
            field="ca_file",
            remedy="give a file in PEM that holds the certificate of the authority",
        ) from error
