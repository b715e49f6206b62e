"""What a stored version's signature is about, and whose signature counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trimtab.artifacts import binding as bindings
from trimtab.artifacts.verifying import MODEL_FILE, Expected, Trust
from trimtab.registry.model import Version
from trimtab.workflows.parts import Parts

METADATA_BYTES = 1 << 20
"""Bound on a signature bundle or a binding; ours are a few kilobytes."""


def files_of(model: Path, version: Version) -> dict[str, Any]:
    """The files that a version's signature is about, as stored; `model` holds its bytes."""
    return {MODEL_FILE: model, **binding_of(version)}


def binding_of(version: Version) -> dict[str, Any]:
    """The file that says what a version's bytes are for, as stored."""
    return {bindings.FILE_NAME: version.binding.encode()}


def trust_of(parts: Parts) -> Trust:
    """Whose signatures on artifacts count."""
    return Trust({parts.signer.key_id: parts.signer.public_key})


def expected_of(version: Version) -> Expected:
    """What a version's signature has to be about."""
    return Expected(version.model, version.version, version.tenant, version.digest)
