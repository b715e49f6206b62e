"""Our verifier against the library that defines the format, which is the oracle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trimtab.artifacts.binding import Binding
from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.keys import key_id, load_or_create_signing_key
from trimtab.artifacts.signing import ArtifactSigner
from trimtab.artifacts.verifying import (
    Expected,
    Trust,
    VerifiedArtifact,
    folder_files,
    load_artifact,
    verify_artifact,
)
from trimtab.kernel.errors import IntegrityFailed, InvalidInput

LIMIT = 100_000
MODEL = b"the bytes of a model"
BINDING = Binding("fraud", "2.4.1", "acme", sha256_of(MODEL), sha256_of(b"reference"))
EXPECTED = Expected("fraud", "2.4.1", "acme")
FILES: dict[str, Path | bytes] = {"model.onnx": MODEL, "binding.json": BINDING.to_bytes()}


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> ArtifactSigner:
    return ArtifactSigner(tmp_path_factory.mktemp("keys") / "sign.pem", max_metadata_bytes=LIMIT)


@pytest.fixture(scope="module")
def bundle(signer: ArtifactSigner) -> bytes:
    return signer.sign(MODEL, BINDING)


def trust_in(signer: ArtifactSigner) -> Trust:
    return Trust({signer.key_id: signer.public_key})


def verified(
    signer: ArtifactSigner,
    bundle: bytes,
    files: dict[str, Path | bytes] | None = None,
    expected: Expected = EXPECTED,
) -> VerifiedArtifact:
    return verify_artifact(
        FILES if files is None else files,
        bundle,
        trust=trust_in(signer),
        expected=expected,
        max_metadata_bytes=LIMIT,
    )


def laid_out(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(MODEL)
    (folder / "binding.json").write_bytes(BINDING.to_bytes())
    return folder


def library_accepts(folder: Path, bundle: bytes, public_pem: bytes) -> bool:
    from model_signing import verifying

    place = folder.parent
    (place / "sig").write_bytes(bundle)
    (place / "pub").write_bytes(public_pem)
    config = verifying.Config()  # type: ignore[no-untyped-call]  # the library gives no types
    config.use_elliptic_key_verifier(public_key=place / "pub")
    try:
        config.verify(folder, place / "sig")
    except Exception:  # noqa: BLE001 - the oracle's errors have no common base
        return False
    return True


def test_a_signed_artifact_verifies_here_and_in_the_library(
    signer: ArtifactSigner, bundle: bytes, tmp_path: Path
) -> None:
    folder = laid_out(tmp_path / "artifact")
    found = verified(signer, bundle, dict(folder_files(folder)))
    assert found.binding == BINDING
    assert found.artifact == sha256_of(MODEL)
    assert found.key_ids == (signer.key_id,)
    assert set(found.files) == {"model.onnx", "binding.json"}
    assert found.signature == sha256_of(bundle)
    assert library_accepts(folder, bundle, signer.public_pem)


def test_what_the_library_signed_verifies_here(tmp_path: Path) -> None:
    from model_signing import signing

    key = load_or_create_signing_key(tmp_path / "key.pem")
    config = signing.Config()  # type: ignore[no-untyped-call]  # the library gives no types
    from model_signing import hashing

    plain = hashing.Config()  # type: ignore[no-untyped-call]  # the library gives no types
    config.set_hashing_config(plain.set_ignored_paths(paths=[], ignore_git_paths=False))
    config.use_elliptic_key_signer(private_key=tmp_path / "key.pem")
    folder = laid_out(tmp_path / "artifact")
    config.sign(folder, tmp_path / "model.sig")
    trust = Trust({key_id(key.public_key()): key.public_key()})
    found = verify_artifact(
        folder_files(folder),
        (tmp_path / "model.sig").read_bytes(),
        trust=trust,
        expected=EXPECTED,
        max_metadata_bytes=LIMIT,
    )
    assert found.binding == BINDING


def a_changed_byte(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(MODEL[:-1] + b"L")


def a_changed_binding(folder: Path) -> None:
    (folder / "binding.json").write_bytes(replace(BINDING, tenant="other").to_bytes())


def an_extra_file(folder: Path) -> None:
    (folder / "plugin.so").write_bytes(b"x")


def a_missing_file(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def a_changed_case(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "Model.onnx")


def a_link(folder: Path) -> None:
    (folder / "model.onnx").rename(folder.parent / "elsewhere")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    "harm",
    [a_changed_byte, a_changed_binding, an_extra_file, a_missing_file, a_changed_case, a_link],
)
def test_what_the_library_refuses_is_refused_here(
    signer: ArtifactSigner, bundle: bytes, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    folder = laid_out(tmp_path / "artifact")
    harm(folder)
    assert not library_accepts(folder, bundle, signer.public_pem)
    with pytest.raises(IntegrityFailed):
        verified(signer, bundle, dict(folder_files(folder)))


@pytest.mark.parametrize("name", [".gitignore", ".gitattributes", "sub"])
def test_what_the_library_overlooks_is_refused_here(
    signer: ArtifactSigner, bundle: bytes, tmp_path: Path, name: str
) -> None:
    folder = laid_out(tmp_path / "artifact")
    if name == "sub":
        (folder / "sub").mkdir()
    else:
        (folder / name).write_text("x")
    with pytest.raises(IntegrityFailed):
        verified(signer, bundle, dict(folder_files(folder)))


def test_a_wrong_key_is_refused_by_both(
    signer: ArtifactSigner, bundle: bytes, tmp_path: Path
) -> None:
    other = ArtifactSigner(tmp_path / "other.pem", max_metadata_bytes=LIMIT)
    folder = laid_out(tmp_path / "artifact")
    assert not library_accepts(folder, bundle, other.public_pem)
    with pytest.raises(IntegrityFailed, match="nobody trusts"):
        verified(other, bundle)
    parts = json.loads(bundle)
    parts["verificationMaterial"]["publicKey"]["hint"] = other.key_id
    with pytest.raises(IntegrityFailed, match="not valid"):
        verified(other, json.dumps(parts).encode())


def test_a_signature_cannot_be_moved(signer: ArtifactSigner, bundle: bytes) -> None:
    for other in (
        Expected("credit", "2.4.1", "acme"),
        Expected("fraud", "2.4.0", "acme"),
        Expected("fraud", "2.4.1", "rival"),
        Expected("fraud", "2.4.1", None),
        Expected("fraud", "2.4.1", "acme", sha256_of(b"another")),
    ):
        with pytest.raises(IntegrityFailed, match="signed for another") as refused:
            verified(signer, bundle, expected=other)
        assert refused.value.field == "binding"
    assert verified(signer, bundle, expected=replace(EXPECTED, artifact=sha256_of(MODEL)))


def test_a_fleet_version_is_no_tenants_version(signer: ArtifactSigner) -> None:
    binding = replace(BINDING, tenant=None)
    files: dict[str, Path | bytes] = {"model.onnx": MODEL, "binding.json": binding.to_bytes()}
    fleet = signer.sign(MODEL, binding)
    assert verified(signer, fleet, files, replace(EXPECTED, tenant=None)).binding.tenant is None
    with pytest.raises(IntegrityFailed, match="another tenant"):
        verified(signer, fleet, files)


def test_a_revoked_key_is_refused_by_name(signer: ArtifactSigner, bundle: bytes) -> None:
    trust = Trust({signer.key_id: signer.public_key}, revoked=[signer.key_id])
    with pytest.raises(IntegrityFailed, match=signer.key_id):
        verify_artifact(FILES, bundle, trust=trust, expected=EXPECTED, max_metadata_bytes=LIMIT)


def test_one_key_counts_once(signer: ArtifactSigner, bundle: bytes) -> None:
    parts = json.loads(bundle)
    parts["dsseEnvelope"]["signatures"] *= 2
    twice = json.dumps(parts).encode()
    assert verified(signer, twice).key_ids == (signer.key_id,)
    two = Trust({signer.key_id: signer.public_key}, min_signers=2)
    with pytest.raises(IntegrityFailed, match="1 of 2"):
        verify_artifact(FILES, twice, trust=two, expected=EXPECTED, max_metadata_bytes=LIMIT)


def test_loading_gives_the_bytes_that_were_verified(
    signer: ArtifactSigner, bundle: bytes, tmp_path: Path
) -> None:
    folder = laid_out(tmp_path / "artifact")

    def load(limit: int) -> tuple[VerifiedArtifact, bytes]:
        return load_artifact(
            folder_files(folder),
            bundle,
            trust=trust_in(signer),
            expected=EXPECTED,
            max_metadata_bytes=LIMIT,
            max_model_bytes=limit,
        )

    assert load(1000)[1] == MODEL
    with pytest.raises(IntegrityFailed, match="more than"):
        load(len(MODEL) - 1)
    a_changed_byte(folder)
    with pytest.raises(IntegrityFailed, match="changed"):
        load(1000)


def test_files_may_lie_anywhere_under_any_name(
    signer: ArtifactSigner, bundle: bytes, tmp_path: Path
) -> None:
    blob = tmp_path / sha256_of(MODEL)[7:]
    blob.write_bytes(MODEL)
    assert signer.sign(blob, BINDING)
    assert blob.stat().st_nlink == 1
    files: dict[str, Path | bytes] = {"model.onnx": blob, "binding.json": BINDING.to_bytes()}
    assert verified(signer, bundle, files).artifact == sha256_of(MODEL)


def test_names_from_strangers_are_escaped_in_messages(
    signer: ArtifactSigner, bundle: bytes
) -> None:
    with pytest.raises(IntegrityFailed) as refused:
        verified(signer, bundle, {**FILES, "\x1b[31m\nextra": b""})
    assert refused.value.message.isprintable()


def test_nothing_is_signed_for_another_model(signer: ArtifactSigner, tmp_path: Path) -> None:
    with pytest.raises(IntegrityFailed, match="another artifact"):
        signer.sign(b"another", BINDING)
    folder = laid_out(tmp_path / "artifact")
    an_extra_file(folder)
    with pytest.raises(IntegrityFailed):
        signer.sign_folder(folder)


def test_a_large_bundle_or_binding_is_refused_unread(signer: ArtifactSigner, bundle: bytes) -> None:
    for limit in (len(bundle) - 1, len(BINDING.to_bytes()) - 1):
        with pytest.raises(IntegrityFailed):
            verify_artifact(
                FILES,
                bundle,
                trust=trust_in(signer),
                expected=EXPECTED,
                max_metadata_bytes=limit,
            )


def test_a_signing_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    ArtifactSigner(tmp_path / "key.pem", max_metadata_bytes=LIMIT)
    os.chmod(tmp_path / "key.pem", 0o644)
    with pytest.raises(InvalidInput):
        ArtifactSigner(tmp_path / "key.pem", max_metadata_bytes=LIMIT)
