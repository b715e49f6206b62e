"""What a signature is about: one model, one version, one tenant, one artifact."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.artifacts import strictjson
from trimtab.artifacts.digest import parse_digest
from trimtab.kernel.errors import IntegrityFailed, InvalidInput
from trimtab.kernel.events import canonical
from trimtab.kernel.ids import Digest

FILE_NAME = "binding.json"
_FORMAT = "trimtab.binding/1"


@dataclass(frozen=True)
class Binding:
    """Signed together with the model, so that neither can be moved to another name.

    `tenant` None is the fleet. `artifact` is the digest of `model.onnx`;
    `reference_data` that of the data drift will be measured against, when there is some.
    """

    model: str
    version: str
    tenant: str | None
    artifact: Digest
    reference_data: Digest | None = None

    def to_bytes(self) -> bytes:
        """The one text of `binding.json` for these values: canonical JSON."""
        return canonical(
            {
                "format": _FORMAT,
                "model": self.model,
                "version": self.version,
                "tenant": self.tenant,
                "artifact": self.artifact,
                "reference_data": self.reference_data,
            }
        )


def parse_binding(data: bytes, *, max_bytes: int) -> Binding:
    """The binding that `to_bytes` wrote.

    Raises:
        IntegrityFailed: any other text, also one that says the same in other bytes.
    """
    what = "the binding"
    parts = strictjson.members(
        strictjson.parse(data, max_bytes=max_bytes, what=what),
        {"format", "model", "version", "tenant", "artifact", "reference_data"},
        what=what,
    )
    optional = ("tenant", "reference_data")
    if not all(isinstance(v, str) or (v is None and k in optional) for k, v in parts.items()):
        raise IntegrityFailed("the binding holds a value that is not text")
    if parts["format"] != _FORMAT:
        raise IntegrityFailed("the binding is of an unknown format")
    reference = parts["reference_data"]
    try:
        binding = Binding(
            model=parts["model"],
            version=parts["version"],
            tenant=parts["tenant"],
            artifact=parse_digest(parts["artifact"]),
            reference_data=None if reference is None else parse_digest(reference),
        )
        same = binding.to_bytes() == data
    except (InvalidInput, UnicodeEncodeError) as error:
        raise IntegrityFailed("the binding holds no valid digest or text") from error
    if not same:
        raise IntegrityFailed("the binding is not in its canonical form")
    return binding
