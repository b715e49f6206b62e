"""Where blobs are kept: in files below the data folder, or in the bucket that is named."""

from __future__ import annotations

from datetime import datetime

from trimtab.kernel.errors import InvalidInput, Unavailable
from trimtab.platform.blobs import BlobStore
from trimtab.platform.blobs_port import Blobs
from trimtab.platform.logs import logger
from trimtab.platform.settings_model import Settings

log = logger(__name__)

FILES, COPIES = "blobs", "copies"
"""The folders below the data folder: of the local store, and of copies of a bucket."""

_MIB = 1 << 20


def open_blobs(settings: Settings, now: datetime) -> Blobs:
    """The store that `settings` choose, ready for use; `now` is real time.

    A bucket that does not answer now stops nobody: what was verified here is still served.
    But blobs that a local store has left have to be brought into it first.

    Raises:
        InvalidInput: the bucket or its key cannot be used, with the way out.
        Unavailable: a folder cannot be used, or the bucket is needed and does not answer.
    """
    files = settings.home / FILES
    if settings.s3_bucket is None:
        return BlobStore(files)
    try:
        from trimtab.platform.blobs_bucket import Bucket, Place
        from trimtab.platform.blobs_copies import Copies
        from trimtab.platform.blobs_objects import ObjectBlobs
    except ImportError as error:
        raise InvalidInput(
            "a bucket is named, and the package that speaks to it is not installed",
            field="S3_BUCKET",
            remedy="pip install 'trimtab[objects]', or remove S3_BUCKET",
        ) from error
    bucket = Bucket(
        Place(
            settings.s3_bucket,
            settings.s3_endpoint,
            settings.s3_region,
            settings.s3_prefix,
            *key_of_bucket(settings),
        )
    )
    copies = Copies(settings.home / COPIES, max_bytes=settings.s3_copies_mib * _MIB)
    blobs = ObjectBlobs(bucket, copies)
    try:
        bucket.demand_usable()
        swept = blobs.sweep(now)
        taken = blobs.take_over(BlobStore(files)) if files.is_dir() else 0
    except Unavailable as error:
        if files.is_dir():
            raise
        log.error("the bucket does not answer; what was verified here is served", why=error.message)
    else:
        log.info("the bucket can be used", swept=swept, taken_over=taken)
    return blobs


def key_of_bucket(settings: Settings) -> tuple[str | None, str | None]:
    """The key of the bucket, whole or not at all.

    Raises:
        InvalidInput: half of one, or none for a store that is not Amazon's.
    """
    given = {
        "S3_ACCESS_KEY_ID": settings.s3_access_key_id,
        "S3_SECRET_ACCESS_KEY": settings.s3_secret_access_key,
    }
    absent = [name for name, value in given.items() if value is None]
    if len(absent) == 1 or (absent and settings.s3_endpoint is not None):
        raise InvalidInput(
            f"{absent[0]} is missing",
            field=absent[0],
            remedy="set both halves of the key; only Amazon's own store, without S3_ENDPOINT, "
            "can be used by the role of the machine",
        )
    key, secret = (None if value is None else value.get_secret_value() for value in given.values())
    return key, secret
