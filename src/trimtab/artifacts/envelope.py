"""Sealed envelopes (DSSE v1) with Ed25519: heads, permits, routing tables.

Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md. The type of
the payload is inside the signed bytes, so a permit can never be read as a routing table.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trimtab.artifacts import strictjson
from trimtab.artifacts.keys import key_id, load_or_create_key, public_pem
from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.kernel.events import canonical

__all__ = [
    "key_id",
    "load_or_create_key",
    "open_sealed",
    "pre_authentication_encoding",
    "public_pem",
    "seal",
]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a DSSE signature covers: version, type and payload, each with its length."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> bytes:
    """A DSSE envelope in JSON around `payload`, signed with `key`.

    Args:
        payload: Any bytes; kept as they are.
        payload_type: Names encoding and meaning, such as
            `application/vnd.trimtab.permit.v1+json`.
    """
    signature = key.sign(pre_authentication_encoding(payload_type, payload))
    return canonical(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [
                {"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}
            ],
        }
    )


def open_sealed(
    envelope: bytes,
    payload_type: str,
    trusted: Mapping[str, Ed25519PublicKey],
    *,
    max_bytes: int,
) -> bytes:
    """The payload of `envelope`, if a trusted key sealed it as `payload_type`.

    Args:
        envelope: What `seal` returned; read by nobody else before.
        payload_type: The only type that is accepted.
        trusted: Keys by their `key_id`.
        max_bytes: Longer envelopes are refused unread.

    Returns:
        The payload, byte for byte as it was sealed. Parse these bytes and no others.

    Raises:
        IntegrityFailed: too long, malformed, of another type, signed by none of the
            trusted keys, or with a signature of a trusted key that does not verify.
        InvalidInput: `trusted` holds a key under an id that is not its own.
    """
    for name, public in trusted.items():
        if name != key_id(public):
            raise InvalidInput("a key is trusted under its own id only", field="trusted")
    parts = strictjson.members(
        strictjson.parse(envelope, max_bytes=max_bytes, what="the envelope"),
        {"payload", "payloadType", "signatures"},
        what="the envelope",
    )
    if parts["payloadType"] != payload_type:
        raise IntegrityFailed(f"the envelope does not hold {payload_type}")
    payload = strictjson.decode_base64(parts["payload"], what="the payload")
    _require_signature(parts["signatures"], payload_type, payload, trusted)
    return payload


def _require_signature(
    signatures: Any, payload_type: str, payload: bytes, trusted: Mapping[str, Ed25519PublicKey]
) -> None:
    if not isinstance(signatures, list) or not signatures:
        raise IntegrityFailed("the envelope carries no signature")
    signed_bytes = pre_authentication_encoding(payload_type, payload)
    verified = False
    for entry in signatures:
        entry = strictjson.members(entry, {"keyid", "sig"}, what="a signature")
        signature = strictjson.decode_base64(entry["sig"], what="a signature")
        public = trusted.get(entry["keyid"]) if isinstance(entry["keyid"], str) else None
        if public is None:
            continue  # another party's signature says nothing to us
        try:
            public.verify(signature, signed_bytes)
        except InvalidSignature as error:
            raise IntegrityFailed(f"the signature of key {entry['keyid']} is not valid") from error
        verified = True
    if not verified:
        raise IntegrityFailed(
            "no trusted key signed the envelope",
            remedy="Compare the signer's key id with the list of trusted keys.",
        )
