"""The key pairs that sign tokens: the newest signs, those before it verify until the last of
their tokens has ended.

They are files in the folder of keys, which all processes of an installation share. Each process
looks at the folder at every use, so what one of them adds or removes the others know at once,
or, where a network shares the folder, when it tells them: `LEAD` leaves time for that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from trimtab.artifacts.keys import read_private, write_private
from trimtab.kernel.clock import Clock
from trimtab.kernel.errors import InvalidInput, Unavailable
from trimtab.platform.logs import logger

log = logger(__name__)

LEAD = timedelta(seconds=60)
"""A new key is published for so long before it signs: everybody has seen it by then."""

READ_AGAIN_SECONDS = 30.0
"""The folder is read again after this, even if it does not seem to have changed."""

_BITS = 2048
_FIRST = "tokens.pem"
_NAMED = re.compile(r"tokens-(\d{8}T\d{6}Z)-([A-Za-z0-9_-]{43})\.pem")
_STAMP = "%Y%m%dT%H%M%SZ"
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TokenKey:
    """A key pair, its thumbprint, and when it begins to sign."""

    kid: str
    private: rsa.RSAPrivateKey
    begins: datetime

    @classmethod
    def of(cls, private: rsa.RSAPrivateKey, begins: datetime = _ALWAYS) -> TokenKey:
        """The record of a key pair."""
        return cls(thumbprint(private.public_key()), private, begins)

    @property
    def public(self) -> rsa.RSAPublicKey:
        """What verifies its signatures."""
        return self.private.public_key()


@dataclass(frozen=True)
class Ring:
    """Key pairs, in the order in which they begin; each ends some time after the next began.

    Args:
        keys: At least one.
        overlap: How long a key verifies after another one has begun to sign: no token of it
            lasts longer.
    """

    keys: tuple[TokenKey, ...]
    overlap: timedelta

    def signing(self, now: datetime) -> TokenKey:
        """The key that signs at `now`.

        Raises:
            Unavailable: there is no key at all.
        """
        if not self.keys:
            raise Unavailable(
                "no key that signs tokens can be read",
                remedy="look at the folder of keys; the log names the file at fault",
            )
        begun = [key for key in self.keys if key.begins <= now]
        return begun[-1] if begun else self.keys[0]

    def known(self, now: datetime) -> dict[str, TokenKey]:
        """The keys that verify at `now`, by thumbprint; those that are yet to sign, too."""
        ends = [later.begins + self.overlap for later in self.keys[1:]]
        alive = [k for k, end in zip(self.keys, ends, strict=False) if now < end]
        return {key.kid: key for key in (*alive, *self.keys[-1:])}


class KeyFolder:
    """The key pairs in a folder; all methods may be called from any thread.

    Args:
        folder: Where they lie. One is made where there is none.
        clock: Real time.
        overlap: How long a key verifies after another one has begun to sign.

    Raises:
        InvalidInput: a file there is no private RSA key of ours alone.
        OSError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path, clock: Clock, *, overlap: timedelta):
        self._folder = folder
        self._clock = clock
        self._overlap = overlap
        self._lock = threading.Lock()
        self._read: dict[tuple[str, int, int], TokenKey] = {}
        if not _files(folder):
            _make_rsa(folder / _FIRST)
        # Each is read once here: to read one is to check its primes.
        self._load(self._stamp(), at_start=True)

    def ring(self) -> Ring:
        """The key pairs as they now lie in the folder."""
        with self._lock:
            stamp = self._stamp()
            if stamp != self._seen or time.monotonic() >= self._again:
                self._load(stamp)
            return self._ring

    def prepare(self, *, at_once: bool) -> TokenKey:
        """Make a key pair and lay it down under a name that nobody reads yet."""
        now = self._clock.now()
        begins = (now if at_once else now + LEAD).replace(microsecond=0)
        fresh = TokenKey.of(rsa.generate_private_key(65537, _BITS), begins)
        write_private(self._pending(fresh), _pem(fresh.private))
        return fresh

    def adopt(self, fresh: TokenKey, *, at_once: bool) -> None:
        """Let a prepared key pair count, and remove those that are over: `at_once`, all others."""
        former, known = _files(self._folder), self.ring().known(self._clock.now())
        self._pending(fresh).rename(self._folder / _name(fresh))
        for path in former:
            if at_once or _kid(path) not in known:
                path.unlink(missing_ok=True)

    def discard(self, fresh: TokenKey) -> None:
        """Forget a key pair that was prepared and does not count."""
        self._pending(fresh).unlink(missing_ok=True)

    def _pending(self, key: TokenKey) -> Path:
        return self._folder / (_name(key) + ".new")

    def _stamp(self) -> int:
        return self._folder.stat().st_mtime_ns

    def _load(self, stamp: int, *, at_start: bool = False) -> None:
        """Read the folder. `stamp` was taken before, so that a change meanwhile is seen later;
        whatever is wrong at a start is said at the start."""
        found: dict[tuple[str, int, int], TokenKey] = {}
        for path in _files(self._folder):
            try:
                state = path.stat()
                identity = (path.name, state.st_ino, state.st_mtime_ns)
                found[identity] = self._read.get(identity) or _key(path)
            except (InvalidInput, OSError) as error:
                if at_start:
                    raise
                if not isinstance(error, FileNotFoundError):  # removed since it was listed
                    log.error("a key that signs tokens is left out", path=str(path), why=str(error))
        self._read = found
        keys = sorted(found.values(), key=lambda key: (key.begins, key.kid))
        self._ring = Ring(tuple(keys), self._overlap)
        self._seen, self._again = stamp, time.monotonic() + READ_AGAIN_SECONDS


def thumbprint(public: rsa.RSAPublicKey) -> str:
    """The name of a key by what it is (RFC 7638)."""
    numbers = public.public_numbers()
    members = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(text.encode()).digest())


def jwk(key: TokenKey) -> dict[str, str]:
    """The public half of a key (RFC 7517)."""
    numbers = key.public.public_numbers()
    own = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.kid}
    return {**own, "n": _number(numbers.n), "e": _number(numbers.e)}


def load_or_create_rsa(path: Path) -> rsa.RSAPrivateKey:
    """The key pair at `path`, made at first use with mode 0600.

    Safe to call from several processes at once: one key wins and all return it.

    Raises:
        InvalidInput: the file is no regular file of ours, others may read it, or it holds
            no RSA key.
        OSError: the file or its folder cannot be read or written.
    """
    if not (path.exists() or path.is_symlink()):
        _make_rsa(path)
    return _load_rsa(path)


def _make_rsa(path: Path) -> None:
    """Lay a new key pair at `path`, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, _pem(rsa.generate_private_key(65537, _BITS)))


def _load_rsa(path: Path) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(read_private(path), password=None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path} holds no unencrypted private key", field="key_path") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _BITS:
        raise InvalidInput(f"{path} does not hold an RSA key of {_BITS} bits", field="key_path")
    return key


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.name == _FIRST or _NAMED.fullmatch(p.name)]


def _kid(path: Path) -> str:
    named = _NAMED.fullmatch(path.name)
    return _key(path).kid if named is None else named[2]


def _key(path: Path) -> TokenKey:
    named = _NAMED.fullmatch(path.name)
    private = _load_rsa(path)
    if named is None:
        return TokenKey.of(private)
    key = TokenKey.of(private, datetime.strptime(named[1], _STAMP).replace(tzinfo=UTC))
    if key.kid != named[2]:
        raise InvalidInput(f"{path} holds another key than its name says", field="key_path")
    return key


def _name(key: TokenKey) -> str:
    return f"tokens-{key.begins.strftime(_STAMP)}-{key.kid}.pem"


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
