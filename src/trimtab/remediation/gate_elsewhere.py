"""The safety gate where another process has it: only what its permits are verified with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trimtab.artifacts.keys import key_id, load_public_key
from trimtab.kernel.errors import IntegrityFailed, Unavailable
from trimtab.remediation.guards import Answer


class GateElsewhere:
    """A gate that cannot be asked from here.

    Args:
        public_key: File that the process of the gate wrote its public key to.
    """

    def __init__(self, public_key: Path):
        self._file = public_key
        self._known: str | None = None

    def start(self) -> None:
        """Nothing: it need not be there before something is permitted."""

    def stop(self) -> None:
        """Nothing."""

    def public_keys(self) -> Mapping[str, Ed25519PublicKey]:
        """The key in the file, by its id.

        Raises:
            Unavailable: no process has been the gate yet.
            IntegrityFailed: it is another key than before, or one of another kind.
        """
        try:
            public = load_public_key(self._file.read_bytes())
        except OSError as error:
            raise Unavailable(
                f"there is no {self._file}: no process has been the safety gate yet",
                remedy="start one: `trimtab work --role gate`, with the same TRIMTAB_HOME",
            ) from error
        if not isinstance(public, Ed25519PublicKey):
            raise IntegrityFailed("the safety gate has a key of another kind")
        if self._known not in (None, key_id(public)):
            raise IntegrityFailed(
                "the safety gate has another key than before",
                remedy="somebody has replaced it; find out who, then restart",
            )
        self._known = key_id(public)
        return {self._known: public}

    def ask(self, remediation_id: str) -> Answer:
        """Refused: only a process with the role of the gate asks it.

        Raises:
            Unavailable: always.
        """
        raise Unavailable(
            f"remediation {remediation_id} cannot be decided in this process",
            remedy="a process with the role gate decides it",
        )
