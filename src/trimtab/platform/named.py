"""Files and objects that a request may name: below folders, and in buckets, that the operator
has opened, and nothing else.

An address is a path, or `s3://bucket/key`; nothing of any other scheme is ever fetched. A path
is resolved, links and all, before it is looked at, and again once it is open. What is fetched
is a copy of bounded size, so that nobody changes it under the hands of whoever reads it. What
is refused is refused in the same words, whether it is there or not.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from trimtab.kernel.errors import InvalidInput, NotFound, PolicyRefused, Unavailable
from trimtab.platform.blobs_choice import key_of_bucket
from trimtab.platform.settings_model import Settings

TENANT = "{tenant}"
"""Stands in a folder or a prefix for the name of a tenant."""

_PIECE = 1 << 20
_OTHERWISE = "send the values or a profile instead, or ask the operator to open its place"


class NotOpen(PolicyRefused):
    """What was named lies nowhere that is open to whoever asks."""

    grave = True


class _Incoming(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Asker:
    """For whom something is fetched: `actor` is the tenant of the credential, None for the
    fleet's, and `about` the tenant that the fleet's credential asks about."""

    actor: str | None
    about: str | None

    def places(self, listed: str) -> list[str]:
        """Those of the listed folders or buckets that they may read in."""
        all_of_them = [one.strip() for one in listed.split(",") if one.strip()]
        shared = [one for one in all_of_them if TENANT not in one]
        whose = self.actor or self.about
        own = [] if whose is None else [one for one in all_of_them if TENANT in one]
        own = [one.replace(TENANT, str(whose)) for one in own]
        return own if self.actor is not None else [*own, *shared]


class Named:
    """Fetches what is named, as `settings` allow it."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._most = settings.check_mib << 20

    def fetch(self, address: str, asker: Asker, into: Path, *, field: str) -> None:
        """Copy what `address` names to the new file `into`.

        Args:
            field: The member of the request that names it.

        Raises:
            NotOpen: it lies nowhere that is open to whoever asks.
            NotFound: it lies there, and does not exist.
            InvalidInput: it is no address that is fetched, no plain file, or too large.
            Unavailable: the store does not answer, or there is no room.
        """
        kind, place = _told_apart(address, field)
        with contextlib.ExitStack() as stack:
            if kind == "s3":
                source: _Incoming = self._object(place, asker, field)
            else:
                source = stack.enter_context(self._file(place, asker, field))
            try:
                with into.open("xb") as sink:
                    self._copied(source, sink, field)
            except OSError as error:
                raise Unavailable(
                    f"what was named cannot be kept here: {error.strerror}"
                ) from error

    def _copied(self, source: _Incoming, sink: BinaryIO, field: str) -> None:
        seen = 0
        while piece := source.read(_PIECE):
            seen += len(piece)
            if seen > self._most:
                raise self._too_large(field)
            sink.write(piece)

    def _too_large(self, field: str) -> InvalidInput:
        return InvalidInput(
            f"it has more than {self._settings.check_mib} MiB",
            field=field,
            remedy="send a profile of it: trimtab profile FILE -o PROFILE",
        )

    @contextlib.contextmanager
    def _file(self, path: str, asker: Asker, field: str) -> Iterator[BinaryIO]:
        folders = [os.path.realpath(one) for one in asker.places(self._settings.check_folders)]
        if not folders:
            raise NotOpen("no folder is open to you here", field=field, remedy=_OTHERWISE)
        try:
            real = os.path.realpath(path)
            self._demand_open(real, folders, field)
            # A pipe would be waited for, and a link that has just come would be followed.
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound("there is no such file", field=field) from error
        except (OSError, ValueError) as error:
            raise InvalidInput("this file cannot be read", field=field) from error
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, descriptor)
            found = os.fstat(descriptor)
            self._demand_open(os.readlink(f"/proc/self/fd/{descriptor}"), folders, field)
            if not stat.S_ISREG(found.st_mode):
                raise InvalidInput("this is no file", field=field, remedy="name one file")
            if found.st_size > self._most:
                raise self._too_large(field)
            yield opened.enter_context(open(descriptor, "rb", buffering=0, closefd=False))

    def _demand_open(self, real: str, folders: list[str], field: str) -> None:
        """Make sure that a resolved path lies below one of these folders, and not with our own
        keys and records."""
        path, home = Path(real), os.path.realpath(self._settings.home)
        if path.is_relative_to(home) or not any(path.is_relative_to(one) for one in folders):
            raise NotOpen(
                "this file lies in no folder that is open to you", field=field, remedy=_OTHERWISE
            )

    def _object(self, place: str, asker: Asker, field: str) -> _Incoming:
        bucket, _, key = place.partition("/")
        allowed = asker.places(self._settings.check_buckets)
        if not allowed:
            raise NotOpen("no bucket is open to you here", field=field, remedy=_OTHERWISE)
        if not key or not bucket or any(part in ("", ".", "..") for part in key.split("/")):
            raise InvalidInput(
                "this names no object", field=field, remedy="write s3://bucket/key.parquet"
            )
        if not any(_within(f"{bucket}/{key}", one) for one in allowed) or self._own(bucket, key):
            raise NotOpen(
                "this object lies in no bucket that is open to you", field=field, remedy=_OTHERWISE
            )
        try:
            from trimtab.platform.blobs_bucket import Bucket, Place
        except ImportError as error:
            raise Unavailable(
                "the package that speaks to buckets is not installed",
                remedy="the operator installs it: pip install 'trimtab[objects]'",
            ) from error
        s = self._settings
        try:
            place_of = Place(bucket, s.s3_endpoint, s.s3_region, "", *key_of_bucket(s))
        except InvalidInput as error:
            raise Unavailable("the key of the buckets is not set up whole") from error
        store = Bucket(place_of)
        try:
            incoming = store.read(key)
        except NotFound as error:
            raise NotFound("there is no such object", field=field) from error
        if incoming.size > self._most:
            raise self._too_large(field)
        return incoming

    def _own(self, bucket: str, key: str) -> bool:
        """Whether it is where our own blobs are kept."""
        s = self._settings
        return bucket == s.s3_bucket and (not s.s3_prefix or _within(key, s.s3_prefix))


def _within(place: str, folder: str) -> bool:
    return place.startswith(folder.rstrip("/") + "/")


def _told_apart(address: str, field: str) -> tuple[str, str]:
    """Whether an address is that of a file or of an object, and where that is.

    Raises:
        InvalidInput: it is neither.
    """
    scheme, mark, rest = address.partition("://")
    if mark and scheme.lower() == "s3":
        return "s3", rest
    path = address
    if mark and scheme.lower() == "file":
        parts = urlsplit(address)
        if parts.netloc or parts.query or parts.fragment:
            raise InvalidInput(
                "a file of another machine is not fetched",
                field=field,
                remedy="write file:///path, or the path alone",
            )
        path = unquote(parts.path)
    if not path.startswith("/") or "\0" in path:
        raise InvalidInput(
            "this is no address that is fetched",
            field=field,
            remedy="write the whole path of a file, such as /srv/tables/may.parquet, or "
            "s3://bucket/key.parquet; or send the values, or a profile",
        )
    return "file", path
