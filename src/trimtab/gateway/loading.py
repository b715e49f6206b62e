"""From a routed version to a session: fetched or cached, verified, and only then loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trimtab.artifacts.binding import FILE_NAME
from trimtab.artifacts.digest import parse_digest
from trimtab.artifacts.envelope import open_sealed
from trimtab.artifacts.keys import key_id, load_public_key
from trimtab.artifacts.verifying import MODEL_FILE, Expected, Trust, load_artifact
from trimtab.artifacts.wire import guard_model
from trimtab.gateway.sessions import LoadedVersion, SessionSettings
from trimtab.gateway.settings import Settings
from trimtab.gateway.state import CachedArtifact, StateFolder
from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.kernel.events import canonical
from trimtab.sdk.routing import PAYLOAD_TYPE, RoutingTable, VersionEntry, parse


class Fetch(Protocol):
    """Where artifacts come from when they are not at hand."""

    def artifact(self, entry: VersionEntry) -> CachedArtifact:
        """The bytes, unverified.

        Raises:
            Unavailable: they cannot be had now.
            IntegrityFailed: larger than allowed, or not in the form agreed.
        """
        ...


@dataclass(frozen=True)
class TrustedKeys:
    """Whose seals count: Ed25519 for tables, elliptic curves for artifacts."""

    routing: Mapping[str, Ed25519PublicKey]
    artifacts: Trust


def read_trusted_keys(settings: Settings) -> TrustedKeys:
    """The public keys that the settings name.

    Raises:
        InvalidInput: a file holds no key of the kind that is wanted.
        OSError: a file cannot be read.
    """
    routing = [load_public_key(path.read_bytes()) for path in settings.routing_keys]
    artifacts = [load_public_key(path.read_bytes()) for path in settings.artifact_keys]
    tables = {key_id(k): k for k in routing if isinstance(k, Ed25519PublicKey)}
    models = {key_id(k): k for k in artifacts if isinstance(k, EllipticCurvePublicKey)}
    if len(tables) != len(routing):
        raise InvalidInput("a key is not Ed25519, or stands twice", field="routing_keys")
    if len(models) != len(artifacts):
        raise InvalidInput("a key is no elliptic-curve key, or twice", field="artifact_keys")
    return TrustedKeys(tables, Trust(models))


def open_table(envelope: bytes, keys: TrustedKeys, settings: Settings) -> RoutingTable:
    """The routing table in `envelope`, sealed by a trusted key.

    Raises:
        IntegrityFailed: no trusted seal, or no table inside it.
        InvalidInput: the table breaks a rule of its format.
    """
    payload = open_sealed(envelope, PAYLOAD_TYPE, keys.routing, max_bytes=settings.max_table_bytes)
    return parse(payload)


class Loader:
    """Loads verified versions; keeps on disk what it has verified."""

    def __init__(self, settings: Settings, keys: TrustedKeys, state: StateFolder, fetch: Fetch):
        self._settings = settings
        self._keys = keys
        self._state = state
        self._fetch = fetch
        self._sessions = SessionSettings(settings.threads, state.empty)

    def load(self, entry: VersionEntry) -> LoadedVersion:
        """The session of `entry`; a cached artifact that no longer verifies is fetched again.

        Raises:
            Unavailable: the artifact cannot be had now.
            IntegrityFailed: digest, signature, binding or model is not as it must be.
            PolicyRefused: external data, foreign operators, or a model beyond the budget.
        """
        cached = self._state.read_artifact(entry)
        if cached is not None:
            try:
                return self._verified(entry, cached)
            except IntegrityFailed:
                cached = None  # the disk changed it; the control plane may still have it whole
        fetched = self._fetch.artifact(entry)
        loaded = self._verified(entry, fetched)
        self._state.write_artifact(entry, fetched)
        return loaded

    def _verified(self, entry: VersionEntry, artifact: CachedArtifact) -> LoadedVersion:
        settings = self._settings
        _, model = load_artifact(
            {MODEL_FILE: artifact.model, FILE_NAME: artifact.binding},
            artifact.bundle,
            trust=self._keys.artifacts,
            expected=Expected(entry.model, entry.version, entry.tenant, parse_digest(entry.digest)),
            max_metadata_bytes=settings.max_metadata_bytes,
            max_model_bytes=settings.max_model_bytes,
        )
        guard_model(model, max_depth=settings.max_model_depth, max_fields=settings.max_model_fields)
        return LoadedVersion(entry, model, self._sessions)


def read_signature(answer: bytes) -> tuple[bytes, bytes]:
    """Bundle and binding from the control plane's answer, each as text or as an object.

    Raises:
        IntegrityFailed: not such an answer.
    """
    try:
        raw = json.loads(answer)
        bundle, binding = raw["bundle"], raw["binding"]
        return _bytes(bundle), _bytes(binding)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise IntegrityFailed("the answer holds no bundle and binding") from error


def _bytes(part: object) -> bytes:
    return part.encode() if isinstance(part, str) else canonical(part)
