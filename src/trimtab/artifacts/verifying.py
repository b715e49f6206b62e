"""Verifying a signed artifact, with `cryptography` alone.

Reads the OpenSSF Model Signing format (a Sigstore bundle around a DSSE envelope around an
in-toto statement that lists every file with its digest), signed with an elliptic-curve
key, and takes the strictest reading of it: nothing is ignored, nothing is extra, and the
signed binding must be the one that the caller asked for.

Source: https://github.com/sigstore/model-transparency; DSSE and in-toto Statement v1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey

from trimtab.artifacts import binding as bindings
from trimtab.artifacts import strictjson
from trimtab.artifacts.binding import Binding
from trimtab.artifacts.digest import parse_digest, sha256_of
from trimtab.artifacts.envelope import pre_authentication_encoding
from trimtab.artifacts.keys import key_id
from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.kernel.ids import Digest

MODEL_FILE = "model.onnx"
_BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_SERIALIZATION = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}

Files = Mapping[str, Path | bytes]
"""File names as signed, each with the bytes or with the path that holds them."""


@dataclass(frozen=True)
class Trust:
    """Whose signatures count: keys by their `key_id`, revoked ids, how many distinct keys."""

    keys: Mapping[str, EllipticCurvePublicKey]
    revoked: Collection[str] = ()
    min_signers: int = 1

    def __post_init__(self) -> None:
        if self.min_signers < 1:
            raise InvalidInput("at least one signer must be demanded", field="min_signers")
        for name, public in self.keys.items():
            if name != key_id(public) or public.curve.name not in _HASHES:
                raise InvalidInput(
                    "a key is trusted under its own id, on P-256, P-384 or P-521", field="keys"
                )


@dataclass(frozen=True)
class Expected:
    """What the caller is about to use; a signature about anything else is refused.

    `tenant` None means the fleet's version, not any tenant's. `artifact` None accepts
    the digest that was signed for this version.
    """

    model: str
    version: str
    tenant: str | None
    artifact: Digest | None = None


@dataclass(frozen=True)
class VerifiedArtifact:
    """What has been verified, as it belongs into a record."""

    binding: Binding
    files: Mapping[str, Digest]
    key_ids: tuple[str, ...]
    signature: Digest

    @property
    def artifact(self) -> Digest:
        """The digest of the model's bytes."""
        return self.binding.artifact


def folder_files(folder: Path) -> dict[str, Path]:
    """The files of a flat folder, by their exact names.

    Raises:
        IntegrityFailed: the folder holds a folder, a link or anything but regular files.
        OSError: the folder cannot be read.
    """
    files = {}
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() or not entry.is_file():
            raise IntegrityFailed(f"the artifact's folder holds {entry.name!r}, which is no file")
        files[entry.name] = entry
    return files


def verify_artifact(
    files: Files,
    bundle: bytes,
    *,
    trust: Trust,
    expected: Expected,
    max_metadata_bytes: int,
    hashed: Mapping[str, Digest] | None = None,
) -> VerifiedArtifact:
    """Verify that `bundle` signs exactly `files`, for what is expected, by a trusted key.

    Hand over bytes when they will be used afterwards (or call `load_artifact`): a path
    may hold something else by then.

    Args:
        files: All files of the artifact, `model.onnx` and `binding.json` among them.
        bundle: The signature file, which is not one of the files.
        trust: Whose signatures count.
        expected: Model, version and tenant that the artifact is about to be used for.
        max_metadata_bytes: A larger bundle or binding is refused unread.
        hashed: Digests of further files, which the caller has hashed itself and holds open,
            so that a large one is read once.

    Raises:
        IntegrityFailed: anything is not as it was signed; `field` names the part:
            `signature`, `manifest`, `files` or `binding`.
        OSError: a file cannot be read.
    """
    payload, signers = _open_bundle(bundle, trust, max_metadata_bytes)
    signed = _manifest(payload, max_metadata_bytes)
    # Read once: the bytes that are hashed are the bytes that are parsed.
    binding_bytes = _small(files.get(bindings.FILE_NAME, b""), max_metadata_bytes)
    held = {**files, bindings.FILE_NAME: binding_bytes} if bindings.FILE_NAME in files else files
    found = {**(hashed or {}), **{name: sha256_of(content) for name, content in held.items()}}
    _require_same(signed, found)
    binding = bindings.parse_binding(binding_bytes, max_bytes=max_metadata_bytes)
    _require_expected(binding, found[MODEL_FILE], expected)
    return VerifiedArtifact(binding, signed, signers, sha256_of(bundle))


def load_artifact(
    files: Files,
    bundle: bytes,
    *,
    trust: Trust,
    expected: Expected,
    max_metadata_bytes: int,
    max_model_bytes: int,
) -> tuple[VerifiedArtifact, bytes]:
    """Verify as `verify_artifact` does, and return the very bytes that were verified.

    Raises:
        IntegrityFailed: also for a file larger than `max_model_bytes`.
        OSError: a file cannot be read.
    """
    held = {name: _small(content, max_model_bytes) for name, content in files.items()}
    verified = verify_artifact(
        held, bundle, trust=trust, expected=expected, max_metadata_bytes=max_metadata_bytes
    )
    return verified, held[MODEL_FILE]


def _small(content: Path | bytes, max_bytes: int) -> bytes:
    if isinstance(content, Path):
        with content.open("rb") as file:
            content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise IntegrityFailed(f"a file has more than {max_bytes} bytes", field="files")
    return content


def _open_bundle(bundle: bytes, trust: Trust, max_bytes: int) -> tuple[bytes, tuple[str, ...]]:
    what = "the signature file"
    parts = strictjson.members(
        strictjson.parse(bundle, max_bytes=max_bytes, what=what),
        {"mediaType", "verificationMaterial", "dsseEnvelope"},
        what=what,
    )
    envelope = strictjson.members(
        parts["dsseEnvelope"], {"payload", "payloadType", "signatures"}, what="the envelope"
    )
    if parts["mediaType"] != _BUNDLE_TYPE or envelope["payloadType"] != _PAYLOAD_TYPE:
        raise IntegrityFailed("the signature is of an unknown type", field="signature")
    payload = strictjson.decode_base64(envelope["payload"], what="the payload")
    signers = _signers(envelope["signatures"], _hint(parts["verificationMaterial"]), payload, trust)
    if len(signers) < trust.min_signers:
        raise IntegrityFailed(
            f"{len(signers)} of {trust.min_signers} distinct trusted keys signed",
            field="signature",
        )
    return payload, signers


def _hint(material: Any) -> str:
    """The key id that the bundle names; a hint only, since nothing signs it."""
    public = material.get("publicKey") if isinstance(material, dict) else None
    hint = public.get("hint") if isinstance(public, dict) else None
    if not isinstance(hint, str):
        raise IntegrityFailed("the signature names no key", field="signature")
    return hint


def _signers(entries: Any, hint: str, payload: bytes, trust: Trust) -> tuple[str, ...]:
    """Ids of the distinct keys that signed; any signature that does not count is refused."""
    if not isinstance(entries, list):
        raise IntegrityFailed("the envelope has no list of signatures", field="signature")
    signed_bytes = pre_authentication_encoding(_PAYLOAD_TYPE, payload)
    signers: dict[str, None] = {}
    for entry in entries:
        entry = strictjson.members(entry, {"sig"}, ignored={"keyid"}, what="a signature")
        name = entry.get("keyid") or hint
        if name in trust.revoked:
            raise IntegrityFailed(
                f"key {name} is revoked",
                field="signature",
                remedy="Have the version signed again with a key that is in force.",
            )
        public = trust.keys.get(name) if isinstance(name, str) else None
        if public is None:
            raise IntegrityFailed("the signature is by a key nobody trusts", field="signature")
        signature = strictjson.decode_base64(entry["sig"], what="a signature")
        try:
            public.verify(signature, signed_bytes, ECDSA(_HASHES[public.curve.name]))
        except InvalidSignature as error:
            raise IntegrityFailed(
                f"the signature of key {name} is not valid", field="signature"
            ) from error
        signers[name] = None
    return tuple(signers)


def _manifest(payload: bytes, max_bytes: int) -> dict[str, Digest]:
    """Names and digests that the statement lists."""
    statement = strictjson.members(
        strictjson.parse(payload, max_bytes=max_bytes, what="the statement"),
        {"_type", "subject", "predicateType", "predicate"},
        what="the statement",
    )
    if (statement["_type"], statement["predicateType"]) != (_STATEMENT_TYPE, _PREDICATE_TYPE):
        raise IntegrityFailed("the statement is of an unknown type", field="manifest")
    predicate = strictjson.members(
        statement["predicate"], {"serialization", "resources"}, what="the predicate"
    )
    if predicate["serialization"] != _SERIALIZATION:
        raise IntegrityFailed("files were signed in a way that leaves some out", field="manifest")
    resources = predicate["resources"]
    if not isinstance(resources, list):
        raise IntegrityFailed("the statement lists no files", field="manifest")
    listed = [_resource(entry) for entry in resources]
    if len(dict(listed)) != len(listed):
        raise IntegrityFailed("the statement lists a file twice", field="manifest")
    _require_root(statement["subject"], [digest for _, digest in listed])
    return dict(listed)


def _resource(entry: Any) -> tuple[str, Digest]:
    members = strictjson.members(entry, {"name", "digest", "algorithm"}, what="a listed file")
    name, digest = members["name"], members["digest"]
    if not isinstance(name, str) or not isinstance(digest, str) or members["algorithm"] != "sha256":
        raise IntegrityFailed("a listed file has no name or digest", field="manifest")
    try:
        return name, parse_digest("sha256:" + digest)
    except InvalidInput as error:
        raise IntegrityFailed("a listed file has no digest", field="manifest") from error


def _require_root(subject: Any, digests: list[Digest]) -> None:
    """The statement's subject is the hash over the listed digests, in their order."""
    root = hashlib.sha256(b"".join(bytes.fromhex(d.removeprefix("sha256:")) for d in digests))
    match subject:
        case [{"name": str(), "digest": {"sha256": found}}] if found == root.hexdigest():
            return
        case _:
            raise IntegrityFailed("the subject is not the listed files", field="manifest")


def _require_same(signed: Mapping[str, Digest], found: Mapping[str, Digest]) -> None:
    for name in (bindings.FILE_NAME, MODEL_FILE):
        if name not in signed:
            raise IntegrityFailed(f"no signed {name}", field="manifest")
    for word, names in (
        ("missing", signed.keys() - found.keys()),
        ("not signed", found.keys() - signed.keys()),
        ("changed", {n for n in signed.keys() & found.keys() if signed[n] != found[n]}),
    ):
        if names:
            raise IntegrityFailed(f"{word}: {', '.join(map(ascii, sorted(names)))}", field="files")


def _require_expected(binding: Binding, model: Digest, expected: Expected) -> None:
    if binding.artifact != model:
        raise IntegrityFailed("the binding is about another artifact", field="binding")
    for name in ("model", "version", "tenant", "artifact"):
        wanted = getattr(expected, name)
        if wanted != getattr(binding, name) and not (name == "artifact" and wanted is None):
            raise IntegrityFailed(f"the artifact was signed for another {name}", field="binding")
