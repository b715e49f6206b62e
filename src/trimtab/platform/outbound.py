"""The one guarded way to speak HTTP to an address that somebody else chose.

    with Outbound(url, permitted, limits=Limits(), networks=()) as http:
        answer = http.ask("GET", "/health")

Nothing is sent but permitted calls, to checked addresses of one origin. Redirects are not
followed. Bodies, requests and the whole have bounds. What may pass is tried again, with pauses.
Errors quote the other side briefly, in printable characters, and without our secrets.
"""

from __future__ import annotations

import json
import random
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import NoReturn
from urllib.parse import quote, quote_plus, urlencode

import httpx

from trimtab.kernel.errors import (
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Unavailable,
)
from trimtab.platform.outbound_addresses import Network
from trimtab.platform.outbound_transport import GuardedTransport, Permitted, deadline

Query = Mapping[str, str | int | Sequence[str]]

QUOTED_CHARACTERS = 200
AGAIN = frozenset({429, 500, 502, 503, 504})
_LONGEST_URL = 2048
_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_~.@:+-]+)*")
_STEP_BYTES = 1 << 16
_REDACTED = "[redacted]"
_FORM = "give it as https://host, https://host:port or https://host/path"


@dataclass(frozen=True)
class Limits:
    """Bounds of speaking to one server. `total_seconds` counts from the first moment of the
    connection to it; `request_seconds` a request with its whole body, each try for itself."""

    connect_seconds: float = 10.0
    request_seconds: float = 60.0
    download_seconds: float = 600.0
    total_seconds: float = 4 * 3600.0
    body_bytes: int = 16 << 20
    connections: int = 8
    tries: int = 4
    first_pause_seconds: float = 0.5
    most_pause_seconds: float = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back; a status of 400 and more, too, where it is not tried again."""

    status: int
    body: bytes


class NoAnswer(Unavailable):
    """Nobody answers, or not now: a connection, a time-out, a server that is overloaded."""


class TooLarge(Unavailable):
    """An answer has more bytes than are taken."""


class ServerFailed(Unavailable):
    """It answers that it failed at this request, which says nothing about the next."""


class Outbound:
    """A connection to one server.

    Args:
        url: Its base address; may have a path.
        permitted: The only calls that are sent.
        limits: Bounds.
        networks: Those that are allowed besides public addresses.
        ca_file: Certificates that are believed beside the usual ones.
        headers: Sent with every request; they hold the credentials.
        secrets: What must not be quoted by any error.
        rest: Waits for so many seconds.

    Raises:
        InvalidInput: the address is none that can be spoken to.
    """

    def __init__(
        self,
        url: str,
        permitted: Permitted,
        *,
        limits: Limits,
        networks: Sequence[Network],
        ca_file: Path | None = None,
        headers: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        rest: Callable[[float], None] = time.sleep,
    ):
        self.base = read_address(url)
        self._prefix = self.base.path.rstrip("/")
        self._limits = limits
        self._secrets = _forms(secrets)
        self._rest = rest
        self._ends = time.monotonic() + limits.total_seconds
        own = {"User-Agent": "trimtab", "Accept-Encoding": "identity"}
        self._http = httpx.Client(
            transport=GuardedTransport(
                self.base,
                self._prefix,
                permitted,
                networks=networks,
                ca_file=ca_file,
                connections=limits.connections,
            ),
            headers={**own, **(headers or {})},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(limits.request_seconds, connect=limits.connect_seconds),
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Outbound:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Outbound({self.origin}{self._prefix})"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return _origin(self.base)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
    ) -> Answer:
        """The whole answer to a request, tried again where that may help.

        Args:
            method: GET, or POST for a search.
            path: Below the base address, already encoded.
            query: Its parameters.
            body: Sent as JSON.

        Raises:
            PolicyRefused: it is not permitted, or its address is not; nothing was sent.
            NotAuthenticated: our credentials are refused.
            NotPermitted: they do not suffice.
            NoAnswer, TooLarge, ServerFailed: as their names say; they are `Unavailable`.
            Unavailable: it sends us elsewhere, or the time for all of it is over.
        """
        request = self._request(method, path, query, body)
        with self._persisted(request, self._limits.request_seconds, whole=True) as (answer, taken):
            return Answer(answer.status_code, taken)

    @contextmanager
    def stream(self, path: str, *, query: Query | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of an answer to GET as they come. Whoever reads decides how many to take;
        a compressed answer is refused, whose size nobody could tell.

        Raises:
            NotFound: there is no such thing.
            Unavailable: it is not handed out, or not as it should be; the others as of `ask`.
        """
        request = self._request("GET", path, query, None)
        seconds = self._limits.download_seconds
        with self._persisted(request, seconds, whole=False) as (answer, taken):
            if answer.status_code == 404:
                raise NotFound(f"{self.origin} has no such file: {self.said(taken)}")
            if answer.status_code != 200:
                raise Unavailable(
                    f"{self.origin} does not hand the file out: status {answer.status_code}: "
                    f"{self.said(taken)}"
                )
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise Unavailable(f"{self.origin} compresses a file, which was not asked for")
            yield self._chunks(answer, self._end(seconds))

    def said(self, text: str | bytes) -> str:
        """What the other side said, as it may be quoted: short, printable, without secrets."""
        if isinstance(text, bytes):
            text = text[:_STEP_BYTES].decode("utf-8", "replace")
        for secret in self._secrets:
            text = text.replace(secret, _REDACTED)
        shown = "".join(c if c.isprintable() else " " for c in text[: 8 * QUOTED_CHARACTERS])
        return shown[:QUOTED_CHARACTERS]

    def _request(self, method: str, path: str, query: Query | None, body: object) -> httpx.Request:
        url = f"{self.origin}{self._prefix}{path}"
        if query:
            url += "?" + urlencode(query, doseq=True, errors="replace")
        return self._http.build_request(method, url, json=body)

    @contextmanager
    def _persisted(
        self, request: httpx.Request, seconds: float, *, whole: bool
    ) -> Iterator[tuple[httpx.Response, bytes]]:
        """The answer, once there is one that is none of those that may pass. Its body is read
        where `whole` is asked for, or where it says what went wrong."""
        tried, response = 0, None
        while response is None:
            tried += 1
            ends = self._end(seconds)
            try:
                response = self._sent(request, ends)
                ok = response.status_code == 200
                taken = self._body(response, ends) if whole or not ok else b""
                failure = self._passing(response, taken)
            except httpx.TransportError as error:
                failure, taken = (
                    NoAnswer(
                        f"{self.origin} does not answer: {self.said(str(error) or _name(error))}",
                        remedy="check the address, and that the server can be reached from here",
                    ),
                    b"",
                )
            if failure is not None:
                wait = self._pause(tried, response)
                if response is not None:
                    response.close()
                    response = None
                if tried >= self._limits.tries or time.monotonic() + wait >= self._ends:
                    raise failure from None
                self._rest(wait)
        try:
            self._refuse(response, taken)
            yield response, taken
        finally:
            response.close()

    def _sent(self, request: httpx.Request, ends: float) -> httpx.Response:
        with deadline(ends):
            return self._http.send(request, stream=True)

    def _body(self, response: httpx.Response, ends: float) -> bytes:
        """The whole body, decoded, or nothing at all."""
        most, found = self._limits.body_bytes, bytearray()
        try:
            for chunk in _decoded(self._raw(response, ends), response.headers):
                found += chunk
                if len(found) > most:
                    raise TooLarge(f"{self.origin} answers with more than {most} bytes")
        finally:
            response.close()
        return bytes(found)

    def _raw(self, response: httpx.Response, ends: float) -> Iterator[bytes]:
        chunks = response.iter_raw(_STEP_BYTES)
        while True:
            with deadline(ends):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _chunks(self, response: httpx.Response, ends: float) -> Iterator[bytes]:
        try:
            yield from self._raw(response, ends)
        except httpx.TransportError as error:
            said = self.said(str(error) or _name(error))
            raise NoAnswer(f"{self.origin} broke off in the middle of a file: {said}") from None

    def _passing(self, response: httpx.Response, body: bytes) -> Unavailable | None:
        """What is wrong, where it may be over the next time."""
        status = response.status_code
        if status not in AGAIN:
            return None
        said = f"{self.origin} answers with status {status}: {self.said(body)}"
        return ServerFailed(said) if status == 500 else NoAnswer(said)

    def _refuse(self, response: httpx.Response, body: bytes) -> None:
        status = response.status_code
        if 300 <= status < 400:
            where = _where(response.headers.get("Location", ""))
            raise Unavailable(
                f"{self.origin} sends us on to {self.said(where)}; redirects are not followed",
                remedy="give the address that it has in the end",
            )
        if status == 401:
            raise NotAuthenticated(
                f"{self.origin} does not accept our credentials: {self.said(body)}",
                remedy="check the credentials that are kept for it",
            )
        if status == 403:
            raise NotPermitted(
                f"{self.origin} does not permit it to our credentials: {self.said(body)}",
                remedy="give the account there the right to read",
            )

    def _pause(self, tried: int, response: httpx.Response | None) -> float:
        """Seconds until the next try: as asked for, or more each time and never in step."""
        most = self._limits.most_pause_seconds
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        if re.fullmatch(r"[0-9]{1,9}", asked):
            return min(float(asked), most)
        bound = min(self._limits.first_pause_seconds * 2.0 ** (tried - 1), most)
        return random.uniform(bound / 2, bound)

    def _end(self, seconds: float) -> float:
        now = time.monotonic()
        if now >= self._ends:
            raise NoAnswer(
                f"{self.origin} has had its {self._limits.total_seconds:g} s",
                remedy="what is missing is read the next time",
            )
        return min(now + seconds, self._ends)


def read_address(url: str) -> httpx.URL:
    """The base address of a server, as somebody gave it.

    Raises:
        InvalidInput: another scheme than http and https, credentials in it, a query or a
            fragment, no host, or a path that is not plain. The address is not repeated: there
            may be a password in it.
    """
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        _refuse_address("is too long, or has characters that are none of an address")
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in ("http", "https"):
        _refuse_address("is neither http nor https")
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if "@" in authority:
        _refuse_address("has credentials in it, which belong into a secret")
    if any(mark in rest for mark in "?#\\"):
        _refuse_address("has a query, a fragment or a backslash")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        _refuse_address("is not an address")
    path = rest[len(authority) :].rstrip("/")
    parts = path.split("/")
    if not parsed.host or not _PLAIN_PATH.fullmatch(path) or {".", ".."} & set(parts):
        _refuse_address("has no host, or a path with unusual parts")
    if "%" in authority or not 0 < (parsed.port or 1) < 1 << 16 or parsed.port == 0:
        _refuse_address("has a host or a port that is none")
    return parsed.copy_with(path=path or "/")


def _refuse_address(what: str) -> NoReturn:
    raise InvalidInput(f"the address of the server {what}", field="url", remedy=_FORM)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _where(location: str) -> str:
    """Scheme and host of where a redirect points to: a path may hold a secret."""
    parts = location.split("/")
    if len(parts) > 2 and not parts[1] and parts[2]:
        return f"{parts[0]}//{parts[2].rpartition('@')[2]}"
    return "another path"


def _name(error: Exception) -> str:
    return type(error).__name__


def _forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Each secret in the forms in which it could come back, the longest first."""
    found = {
        form
        for one in secrets
        if one
        for form in (one, quote(one, ""), quote_plus(one), json.dumps(one)[1:-1])
    }
    return tuple(sorted(found, key=len, reverse=True))


def _decoded(chunks: Iterator[bytes], headers: httpx.Headers) -> Iterator[bytes]:
    """Bytes as they were before they were compressed, never more than a step at once."""
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        yield from chunks
        return
    if encoding not in ("gzip", "x-gzip"):
        raise Unavailable("the answer is compressed in a way that was not asked for")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for chunk in chunks:
            while chunk:
                yield inflate.decompress(chunk, _STEP_BYTES)
                chunk = inflate.unconsumed_tail
    except zlib.error:
        raise Unavailable("the answer is said to be gzip, and is not") from None
    if not inflate.eof:
        raise Unavailable("the answer ends in the middle of its gzip")
