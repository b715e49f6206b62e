"""Private keys in files that only their owner reads; public keys by their digest."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trimtab.kernel.errors import InvalidInput

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


def public_pem(public: PublicKey) -> bytes:
    """The key as PEM of its SubjectPublicKeyInfo."""
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def key_id(public: PublicKey) -> str:
    """SHA-256 of `public_pem(public)`, 64 hex digits.

    The OpenSSF Model Signing format names keys in the same way, so one list of revoked
    ids serves both kinds of key.
    """
    return hashlib.sha256(public_pem(public)).hexdigest()


def load_public_key(pem: bytes) -> PublicKey:
    """The Ed25519 or elliptic-curve key in a PEM text.

    Raises:
        InvalidInput: no public key, or one of another algorithm.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise InvalidInput("this is not a public key in PEM", field="public_key") from error
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise InvalidInput("only Ed25519 and elliptic-curve keys are used here", field="public_key")
    return key


def load_or_create_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in `path` (PKCS #8 PEM, mode 0600), made at the first call.

    Safe to call from several processes at once: one key wins and all return it.

    Raises:
        InvalidInput: the file is no regular file of ours, others may read it, or it
            holds no Ed25519 key.
        OSError: the file or its folder cannot be read or written.
    """
    key = _load(path) if _exists(path) else _create(path, Ed25519PrivateKey.generate())
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{path} does not hold an Ed25519 key", field="key_path")
    return key


def load_or_create_signing_key(path: Path) -> EllipticCurvePrivateKey:
    """The P-256 key in `path` for signing artifacts; otherwise like `load_or_create_key`.

    Raises:
        InvalidInput: as `load_or_create_key`, for a key on the curve P-256.
        OSError: the file or its folder cannot be read or written.
    """
    key = _load(path) if _exists(path) else _create(path, generate_private_key(SECP256R1()))
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidInput(f"{path} does not hold a P-256 key", field="key_path")
    return key


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def read_private(path: Path) -> bytes:
    """The bytes of a key file that nobody but its owner may read.

    Raises:
        InvalidInput: a link, no regular file of ours, or others may read it.
        OSError: the file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise InvalidInput(f"{path} is a symbolic link", field="key_path") from error
        raise
    with open(descriptor, "rb") as file:
        _require_private(os.fstat(descriptor), path)
        return file.read()


def write_private(path: Path, pem: bytes) -> bool:
    """Write a key file with mode 0600, durable and whole; False if there is one already.

    Raises:
        OSError: the file or its folder cannot be written.
    """
    # A link appears whole or not at all, and never over a key that is there already.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _sync_folder(path.parent)
    return True


def _load(path: Path) -> PrivateKey:
    pem = read_private(path)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path} holds no unencrypted private key", field="key_path") from error
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise InvalidInput(f"{path} holds a key of another algorithm", field="key_path")
    return key


def _require_private(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(f"{path} is not a regular file", field="key_path")
    if found.st_mode & 0o077:
        raise InvalidInput(
            f"{path} may be read or written by others than its owner",
            field="key_path",
            remedy=f"chmod 600 {path}; if others may have read it, replace the key.",
        )
    if found.st_uid not in (0, os.geteuid()):
        raise InvalidInput(f"{path} belongs to another user", field="key_path")


def _create(path: Path, key: PrivateKey) -> PrivateKey:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key if write_private(path, pem) else _load(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
