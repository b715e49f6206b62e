"""What the database must not hold in the clear is wrapped with a key that lies beside it."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trimtab.artifacts.keys import read_private, write_private
from trimtab.kernel.errors import InvalidInput, Unavailable

_BYTES = 32
_NONCE_BYTES = 12


class Wrapping:
    """Wraps and unwraps short secrets with AES-256-GCM, each for one name only.

    Args:
        path: Where the key lies, mode 0600; made at first use.

    Raises:
        InvalidInput: the file is no regular file of ours, others may read it, or it holds
            no such key.
        OSError: the file or its folder cannot be read or written.
    """

    def __init__(self, path: Path):
        if not (path.exists() or path.is_symlink()):
            write_private(path, base64.b64encode(secrets.token_bytes(_BYTES)) + b"\n")
        try:
            key = base64.b64decode(read_private(path).strip(), validate=True)
        except ValueError:
            key = b""
        if len(key) != _BYTES:
            raise InvalidInput(f"{path} does not hold a key of 32 bytes", field="key_path")
        self._cipher = AESGCM(key)

    def wrap(self, secret: bytes, name: str) -> str:
        """`secret`, as it may stand in the database under `name` and under no other."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, secret, name.encode())
        return base64.b64encode(sealed).decode()

    def unwrap(self, text: str, name: str) -> bytes:
        """The secret that was wrapped for `name`.

        Raises:
            Unavailable: it was wrapped with another key, for another name, or was changed.
        """
        sealed = base64.b64decode(text)
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, name.encode())
        except InvalidTag:
            raise Unavailable(
                "what verifies signatures of this key cannot be unwrapped",
                remedy="bring back keys/wrapping.key, or issue another key",
            ) from None
