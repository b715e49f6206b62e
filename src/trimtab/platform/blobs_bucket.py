"""A bucket of an S3-compatible store, through obstore: the few calls that blobs need.

Every call is bounded in time, and what the store refuses is told apart: a thing that is not
there, a thing that is there already, and a store that does not answer as it should. Only the
store's own word for a missing object counts as missing, for a bucket that is gone or hidden
would make everything look lost.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from trimtab.kernel.errors import InvalidInput, NotFound, Unavailable
from trimtab.platform.logs import logger

if TYPE_CHECKING:
    from obstore.store import S3Config  # a description of its type, absent when it runs

log = logger(__name__)

TEMPORARY = "tmp/"
PART_BYTES = 5 << 20  # the least that the protocol allows
"""Of an upload; what is larger is sent in several."""

_PARTS_AT_ONCE = 2  # each is held in memory
_READ_BYTES = 1 << 20
_WHOLE_REQUEST = timedelta(minutes=15)
_SILENCE = timedelta(seconds=20)  # between two bytes of an answer
_CONNECT = timedelta(seconds=5)
_RETRIES = 2
_RETRYING = timedelta(seconds=30)
_QUICK = timedelta(seconds=3)  # of a look at how the store is
_STATE_SECONDS = 5.0  # a look counts so long

_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (4\d\d[\w ]{0,40})")
_MISSING = ("NoSuchKey",)
_HEAD_MISSING = (*_MISSING, "404 Not Found")  # a look at the head is answered without a word
_LATER = ("408", "429")  # the two of these that say: not now
_WRONG_KEY = {
    "InvalidAccessKeyId": "S3_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "S3_SECRET_ACCESS_KEY",
}


@dataclass(frozen=True)
class Place:
    """Where a bucket is, and by which key.

    Without `endpoint` it is Amazon's; without a key, that of the machine's role is used.
    """

    bucket: str
    endpoint: str | None = None
    region: str = "us-east-1"
    prefix: str = ""
    key_id: str | None = None
    secret: str | None = None


class BucketRefused(Unavailable):
    """The store answers, and says no; `reason` is its own word for why."""

    def __init__(self, message: str, reason: str, remedy: str):
        super().__init__(message, remedy=remedy)
        self.reason = reason


class Bucket:
    """The objects below one prefix of a bucket."""

    def __init__(self, place: Place):
        self._place = place
        self._store = _store(place, _SILENCE, _RETRIES)
        self._quick = _store(place, _QUICK, 0)
        self._looking = threading.Lock()
        self._looked_at = -_STATE_SECONDS
        self._answers = True

    def __str__(self) -> str:
        return f"the bucket {self._place.bucket}"

    def create(self, key: str, content: bytes) -> bool:
        """Store a small object, whole, unless one of this name is there; whether it was stored."""
        try:
            with self._answered("PutObject"):
                obstore.put(self._store, key, content, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def write(self, key: str, content: bytes) -> None:
        """Store a small object, whole, whatever is there."""
        with self._answered("PutObject"):
            obstore.put(self._store, key, content, use_multipart=False)

    def send(self, key: str, pieces: Iterable[bytes]) -> None:
        """Store an object of any size; it appears when it is whole. What `pieces` raises
        passes through, and nothing appears."""
        with self._answered("PutObject"):
            obstore.put(
                self._store,
                key,
                iter(pieces),
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def name(self, source: str, key: str) -> bool:
        """Give an object a second name, unless an object has that; whether it was given.

        Raises:
            NotFound: there is no such object.
        """
        try:
            with self._answered("PutObject", _HEAD_MISSING):
                obstore.copy(self._store, source, key, overwrite=False)
        except AlreadyExistsError:
            return False
        return True

    def read(self, key: str) -> Incoming:
        """The bytes of an object, as they come.

        Raises:
            NotFound: the store says that there is none.
        """
        with self._answered("GetObject"):
            return Incoming(self, obstore.get(self._store, key))

    def changed_at(self, key: str) -> int | None:
        """When an object was stored, in ns; None where there is none."""
        try:
            with self._answered("GetObject", _HEAD_MISSING):
                return _nanoseconds(obstore.head(self._store, key)["last_modified"])
        except NotFound:
            return None

    def delete(self, *keys: str) -> None:
        """Remove objects; those that are not there are no fault."""
        with self._answered("DeleteObject"):
            obstore.delete(self._store, list(keys))

    def listed(self, folder: str) -> Iterator[tuple[str, int]]:
        """Objects below `folder` in the order of their keys, and when each was stored, in ns."""
        found = iter(obstore.list(self._store, folder))
        while True:
            with self._answered("ListBucket"):
                chunk = next(found, None)
            if chunk is None:
                return
            for one in chunk:
                yield one["path"], _nanoseconds(one["last_modified"])

    @property
    def answers(self) -> bool:
        """Whether it answered just now. One looks at a time; the others take what was found."""
        fresh = time.monotonic() - self._looked_at < _STATE_SECONDS
        if not fresh and self._looking.acquire(blocking=False):
            try:
                self._answers = self._look()
                self._looked_at = time.monotonic()
            finally:
                self._looking.release()
        return self._answers

    def demand_usable(self) -> None:
        """Make sure, at the start, that the bucket is there and that the key may do everything.

        Raises:
            InvalidInput: it is not there, the key is wrong or lacks a right, or the store
                overwrites where it was told not to.
            Unavailable: it does not answer.
        """
        probe = f"{TEMPORARY}probe-{secrets.token_hex(8)}"
        try:
            with self._answered("ListBucket"):  # is anybody there at all?
                obstore.list_with_delimiter(self._quick, TEMPORARY)
            first, second = self.create(probe, b"1"), self.create(probe, b"2")
            copied = self.name(probe, probe + "-copy")
            kept = bytes(self.read(probe).read(2))
            self.delete(probe, probe + "-copy")
        except NotFound:
            raise self._no_bucket() from None
        except BucketRefused as refused:
            raise self._unusable(refused) from None
        if (first, second, copied, kept) != (True, False, True, b"1"):
            raise InvalidInput(
                f"{self} overwrites an object that was to be created only",
                field="S3_ENDPOINT",
                remedy="use a store that honours If-None-Match, as Amazon S3 and MinIO do",
            )

    def _look(self) -> bool:
        try:
            next(iter(obstore.list(self._quick, TEMPORARY, chunk_size=1)), None)
        except (BaseError, FileNotFoundError) as error:
            log.warning("the bucket does not answer", why=_refusal(str(error)) or "no answer")
            return False
        return True

    @contextlib.contextmanager
    def _answered(self, right: str, missing: tuple[str, ...] = _MISSING) -> Iterator[None]:
        """Around one call: what the store says, in our words; `missing` are its own for an
        object that is not there."""
        try:
            yield
        except AlreadyExistsError:
            raise
        except (FileNotFoundError, BaseError) as error:
            refusal = _refusal(str(error))
            if refusal in missing:
                raise NotFound(f"no such object in {self}") from None
            log.error("a call to the bucket failed", right=right, why=refusal or "no answer")
            self._looked_at = -_STATE_SECONDS  # what was found before is news no more
            raise self._failed(refusal, right) from None

    def _failed(self, refusal: str | None, right: str) -> Unavailable:
        if refusal is None:
            return Unavailable(
                f"{self} does not answer",
                remedy="try again shortly; /health says when it answers",
            )
        return BucketRefused(
            f"{self} refuses to be used: {refusal} ({right})",
            refusal,
            f"the operator looks at the bucket, and whether its key has s3:{right}",
        )

    def _no_bucket(self) -> InvalidInput:
        return InvalidInput(
            f"there is no bucket {self._place.bucket}",
            field="S3_BUCKET",
            remedy="make it, or correct S3_BUCKET, S3_ENDPOINT or S3_REGION",
        )

    def _unusable(self, refused: BucketRefused) -> InvalidInput:
        if refused.reason == "NoSuchBucket":
            return self._no_bucket()
        if refused.reason in _WRONG_KEY:
            return InvalidInput(
                f"{self} does not know this key: {refused.reason}",
                field=_WRONG_KEY[refused.reason],
                remedy="correct S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY; they belong together",
            )
        return InvalidInput(
            f"{self} refuses what is needed: {refused.message}",
            field="S3_ACCESS_KEY_ID",
            remedy="give the key s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject, "
            "s3:DeleteObject and s3:AbortMultipartUpload on its objects",
        )


class Incoming:
    """An object's bytes as they come; `size` is what the store says that there are."""

    def __init__(self, bucket: Bucket, result: obstore.GetResult):
        self.size = result.meta["size"]
        self._bucket = bucket
        self._pieces = iter(result.stream(_READ_BYTES))
        self._rest = memoryview(b"")
        self._came = 0

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at all at the end.

        Raises:
            Unavailable: the store ended before it had given what it had promised.
        """
        if not self._rest:
            with self._bucket._answered("GetObject"):
                self._rest = memoryview(bytes(next(self._pieces, b"")))
            self._came += len(self._rest)
            if not self._rest and self._came < self.size:
                raise Unavailable(f"{self._bucket} ended within an object; try again")
        given, self._rest = self._rest[:size], self._rest[size:]
        return bytes(given)


def _store(place: Place, silence: timedelta, retries: int) -> S3Store:
    config: S3Config = {"region": place.region, "copy_if_not_exists": "multipart"}
    if place.endpoint is not None:
        config["endpoint"] = place.endpoint
    if place.key_id is not None and place.secret is not None:
        config["access_key_id"] = place.key_id
        config["secret_access_key"] = place.secret
    return S3Store(
        place.bucket,
        prefix=place.prefix or None,
        config=config,
        client_options={
            "allow_http": (place.endpoint or "").startswith("http://"),
            "connect_timeout": min(_CONNECT, silence),
            "read_timeout": silence,
            "timeout": _WHOLE_REQUEST,
        },
        retry_config={"max_retries": retries, "retry_timeout": _RETRYING},
    )


def _refusal(text: str) -> str | None:
    """The store's own word for why it refuses; None where it gave no answer, or will later.

    Nothing else of what obstore says is passed on: it names addresses.
    """
    status, code = _STATUS.search(text), _CODE.search(text)
    if status is None or status[1].startswith(_LATER):
        return None
    return code[1] if code is not None else status[1].strip()


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
