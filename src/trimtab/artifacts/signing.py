"""Signing an artifact in the OpenSSF Model Signing format.

Only this module loads `model_signing`, and only when something is signed. Everything
signed here is verified with `verifying` before it is returned.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from trimtab.artifacts import binding as bindings
from trimtab.artifacts.binding import Binding
from trimtab.artifacts.keys import key_id, load_or_create_signing_key, public_pem
from trimtab.artifacts.verifying import (
    MODEL_FILE,
    Expected,
    Trust,
    folder_files,
    verify_artifact,
)
from trimtab.kernel.errors import IntegrityFailed


class ArtifactSigner:
    """Signs `{model.onnx, binding.json}` with a local P-256 key, made at first use.

    Args:
        key_path: PKCS #8 PEM, mode 0600.
        max_metadata_bytes: Bound on bundle and binding, as verifiers will apply it.

    Raises:
        InvalidInput: the key file is unfit, see `keys.load_or_create_signing_key`.
        OSError: the key file cannot be read or written.
    """

    def __init__(self, key_path: Path, *, max_metadata_bytes: int):
        self._key_path = key_path
        self._max_metadata_bytes = max_metadata_bytes
        self.public_key: EllipticCurvePublicKey = load_or_create_signing_key(key_path).public_key()
        self.key_id = key_id(self.public_key)
        self.public_pem = public_pem(self.public_key)

    def sign(self, model: Path | bytes, binding: Binding, *, scratch: Path | None = None) -> bytes:
        """The signature bundle for `model` under `binding`.

        Args:
            model: The model's bytes, or the path that holds them, under any name.
            binding: What the signature is about; stored beside the bundle.
            scratch: Where to lay the two files side by side; the system's place for
                temporary files by default. Takes a copy of the model for the duration.

        Raises:
            IntegrityFailed: the model's digest is not the binding's.
            OSError: no room, or the model cannot be read.
        """
        with tempfile.TemporaryDirectory(dir=scratch, prefix="signing-") as place:
            folder = Path(place) / "artifact"
            folder.mkdir()
            # A copy: no other process holds it, and the blob store's file keeps one name.
            if isinstance(model, bytes):
                (folder / MODEL_FILE).write_bytes(model)
            else:
                shutil.copyfile(model, folder / MODEL_FILE)
            (folder / bindings.FILE_NAME).write_bytes(binding.to_bytes())
            return self.sign_folder(folder)

    def sign_folder(self, folder: Path) -> bytes:
        """The signature bundle for a folder that holds both files already.

        Raises:
            IntegrityFailed: other files, or a binding that is about another model.
            OSError: the folder cannot be read.
        """
        files = folder_files(folder)
        if set(files) != {MODEL_FILE, bindings.FILE_NAME}:
            raise IntegrityFailed(f"a signed folder holds {MODEL_FILE} and {bindings.FILE_NAME}")
        binding = bindings.parse_binding(
            files[bindings.FILE_NAME].read_bytes(), max_bytes=self._max_metadata_bytes
        )
        bundle = self._bundle(folder)
        verify_artifact(
            files,
            bundle,
            trust=Trust({self.key_id: self.public_key}),
            expected=Expected(binding.model, binding.version, binding.tenant, binding.artifact),
            max_metadata_bytes=self._max_metadata_bytes,
        )
        return bundle

    def _bundle(self, folder: Path) -> bytes:
        from model_signing import hashing, signing

        # Nothing is left out: the library's default would ignore git's files.
        whole = hashing.Config()  # type: ignore[no-untyped-call]  # the library gives no types
        whole.set_ignored_paths(paths=[], ignore_git_paths=False)
        config = signing.Config()  # type: ignore[no-untyped-call]  # likewise
        config.set_hashing_config(whole)
        config.use_elliptic_key_signer(private_key=self._key_path)
        # Beside the folder, which is the caller's choice; what lies inside would be signed.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="signature-") as place:
            path = Path(place) / "model.sig"
            config.sign(folder, path)
            return path.read_bytes()
