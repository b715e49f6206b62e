"""Signed heads: a checkpoint (c2sp.org/tlog-checkpoint) in a signed note (c2sp.org/signed-note)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.sdk.merkle_proofs import HASH_BYTES

ED25519 = b"\x01"  # the signature type that signed-note assigns to it
KEY_BYTES = 32
# Not a number to tune: the specification asks for at least 16, its reference takes 100.
MOST_SIGNATURES = 100

_KEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")
_SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


def from_base64(text: str) -> bytes:
    """The bytes that `text` encodes, if it is their one standard encoding with padding.

    Raises:
        ValueError: any other text. Two texts for one value would be two answers.
    """
    value = b64decode(text, validate=True)
    if b64encode(value).decode() != text:
        raise ValueError("not the standard encoding of these bytes")
    return value


def _encodable(text: str) -> bool:
    """Whether `text` is Unicode; JSON can spell half a surrogate pair, which is not."""
    return not any("\ud800" <= ch <= "\udfff" for ch in text)


@dataclass(frozen=True)
class VerifierKey:
    """An Ed25519 public key and the name that it signs under."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str, *, field: str = "verifier_key") -> VerifierKey:
        """Read `<name>+<key id in hex>+<base64(0x01 || public key)>`.

        Raises:
            InvalidInput: another form, another kind of key, or an id that does not fit.
        """
        match = _KEY.fullmatch(text)
        if match is None or not _encodable(text):
            raise InvalidInput("not a verifier key: <name>+<key id>+<key>", field=field)
        try:
            encoded = from_base64(match[3])
        except ValueError as error:
            raise InvalidInput("the key is not base64", field=field) from error
        if encoded[:1] != ED25519 or len(encoded) != 1 + KEY_BYTES:
            raise InvalidInput("not an Ed25519 key", field=field)
        key = cls(match[1], encoded[1:])
        if key.key_id.hex() != match[2]:
            raise InvalidInput("the key id does not belong to this name and key", field=field)
        return key

    @property
    def key_id(self) -> bytes:
        """4 bytes that a signature line names the key by; a label, not a proof."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(ED25519 + self.public).decode()}"


@dataclass(frozen=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True)
class Note:
    """Text signed by one or more keys. Nothing in it holds before `signers` says so."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, note: str, *, field: str = "head") -> Note:
        """Split a note at its last empty line.

        Raises:
            InvalidInput: not in the form of a signed note.
        """
        if not _encodable(note) or any(ch < " " and ch != "\n" for ch in note):
            raise InvalidInput("a signed note is UTF-8 without control characters", field=field)
        text, separator, block = note.rpartition("\n\n")
        if not separator or not block.endswith("\n"):
            raise InvalidInput("not a signed note", field=field)
        lines = block[:-1].split("\n")
        if len(lines) > MOST_SIGNATURES:
            raise InvalidInput("more signatures than anybody would verify", field=field)
        return cls(text + "\n", tuple(_signature(line, field) for line in lines))

    def signers(self, keys: Iterable[VerifierKey]) -> frozenset[bytes]:
        """The public keys, among `keys`, that signed the text.

        A set of keys, not of lines or names: who signs twice, or under two names, still
        counts once. Lines by other keys are ignored.

        Raises:
            IntegrityFailed: a line names one of `keys`, and its signature does not hold.
        """
        known = {(key.name, key.key_id): key.public for key in keys}
        found = set()
        for signature in self.signatures:
            public = known.get((signature.name, signature.key_id))
            if public is None:
                continue
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(
                    signature.value, self.text.encode()
                )
            except InvalidSignature as error:
                raise IntegrityFailed(
                    f"the signature by {signature.name} does not hold", field="head"
                ) from error
            found.add(public)
        return frozenset(found)


def _signature(line: str, field: str) -> Signature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if match is None:
        raise InvalidInput("not a signature line", field=field)
    try:
        value = from_base64(match[2])
    except ValueError as error:
        raise InvalidInput("a signature is not base64", field=field) from error
    if len(value) <= 4:
        raise InvalidInput("a signature is too short", field=field)
    return Signature(match[1], value[:4], value[4:])


@dataclass(frozen=True)
class Checkpoint:
    """The head of a ledger: whose, how many entries, their root; and the note that says so."""

    origin: str
    size: int
    root: bytes
    note: Note

    @classmethod
    def parse(cls, note: str, *, field: str = "head") -> Checkpoint:
        """Read the text of a signed note. Signatures are not verified here: see `Note`.

        Raises:
            InvalidInput: not a checkpoint in a signed note, or one with extension lines.
        """
        opened = Note.parse(note, field=field)
        lines = opened.text[:-1].split("\n")
        if len(lines) != 3 or not lines[0]:
            raise InvalidInput("a head has three lines: origin, size, root", field=field)
        origin, size, root = lines
        if _SIZE.fullmatch(size) is None:
            raise InvalidInput("the size of a head is a decimal number", field=field)
        try:
            digest = from_base64(root)
        except ValueError as error:
            raise InvalidInput("the root of a head is base64", field=field) from error
        if len(digest) != HASH_BYTES:
            raise InvalidInput("the root of a head has 32 bytes", field=field)
        return cls(origin, int(size), digest, opened)
