"""Looking into zip files without unpacking them to disk, and without believing them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError

from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.formats import HEAD_BYTES, Format, sniff
from trimtab.artifacts.pickles import inspect_pickle
from trimtab.artifacts.redaction import shown

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    struct.error,
)
_LAMBDA = (b'"Lambda"', b"'Lambda'", b'"TorchModuleWrapper"', b'"PyDataset"')


def inspect_zip(data: bytes, budget: Budget, findings: Findings) -> None:
    """Look at each entry of a zip file: what it is, and whether readers would agree on it.

    An archive is not a model that is executed here, so the best that can be said is
    that it is unreadable.
    """
    findings.add(
        "not_a_model",
        Severity.UNREADABLE,
        "file",
        "an archive; only a single ONNX file is executed",
    )
    for name, where, content in zip_entries(data, budget, findings):
        _inspect_content(name, where, content, budget, findings)


def zip_entries(
    data: bytes, budget: Budget, findings: Findings, *, max_bytes: int | None = None
) -> Iterator[tuple[str, str, bytes]]:
    """Name, place in words and content of each entry of a zip file, while the budget lasts.

    Args:
        max_bytes: What all entries together may unpack to; by default as the budget says.
    """
    left = budget.max_unpacked_bytes if max_bytes is None else max_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from _entries(archive, data, left, budget, findings)
    except _BROKEN as error:
        findings.add(
            "zip_broken", Severity.MALICIOUS, "file", f"readers disagree: {type(error).__name__}"
        )


def _entries(
    archive: zipfile.ZipFile, data: bytes, left: int, budget: Budget, findings: Findings
) -> Iterator[tuple[str, str, bytes]]:
    entries = archive.infolist()
    if len(entries) > budget.max_zip_entries:
        findings.add("budget", Severity.MALICIOUS, "file", f"{len(entries)} entries")
        return
    names = [entry.filename.casefold() for entry in entries]
    if len(set(names)) != len(names):
        findings.add("zip_twice", Severity.MALICIOUS, "file", "two entries have one name")
    for entry in entries:
        where = f"entry {shown(entry.filename)}"
        _check_name(entry, where, findings)
        if not _same_as_local(entry, data):
            findings.add(
                "zip_differs", Severity.MALICIOUS, where, "directory and entry say different things"
            )
        if entry.flag_bits & 0x1:
            findings.add("zip_encrypted", Severity.MALICIOUS, where, "cannot be looked into")
            continue
        with archive.open(entry) as file:
            content = file.read(left + 1)
        left -= len(content)
        if left < 0:
            findings.add("budget", Severity.MALICIOUS, where, "unpacks to more than allowed")
            return
        yield entry.filename, where, content


def _check_name(entry: zipfile.ZipInfo, where: str, findings: Findings) -> None:
    # `orig_filename` is the name before the library cut it at a NUL or turned backslashes.
    name = entry.orig_filename
    if (
        name != entry.filename
        or name.startswith(("/", "~"))
        or "\\" in name
        or ":" in name
        or ".." in name.split("/")
        or (entry.external_attr >> 16) & 0o170000 == 0o120000
    ):
        findings.add("zip_path", Severity.MALICIOUS, where, "would be written elsewhere")


def _same_as_local(entry: zipfile.ZipInfo, data: bytes) -> bool:
    """Whether the header before an entry's bytes says what the directory says."""
    header = data[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
    if len(header) < _LOCAL_HEADER.size:
        return False
    magic, _, flags, method, _, _, _, packed, unpacked, name_bytes, _ = _LOCAL_HEADER.unpack(header)
    begin = entry.header_offset + _LOCAL_HEADER.size
    encoding = "utf-8" if flags & 0x800 else "cp437"
    name = data[begin : begin + name_bytes].decode(encoding, "replace")
    # With flag bit 3 the sizes follow the entry; with 64-bit sizes they are elsewhere.
    later = bool(flags & 0x8) or 0xFFFFFFFF in (packed, unpacked)
    return (magic, flags, method, name) == (
        b"PK\x03\x04",
        entry.flag_bits,
        entry.compress_type,
        entry.orig_filename,
    ) and (later or (packed, unpacked) == (entry.compress_size, entry.file_size))


def _inspect_content(
    name: str, where: str, content: bytes, budget: Budget, findings: Findings
) -> None:
    found = sniff(content[:HEAD_BYTES], content[-HEAD_BYTES:], len(content))
    if found is Format.PICKLE:
        inspect_pickle(content, where, budget, findings)
    elif found is Format.NUMPY_OBJECT:
        findings.add("numpy_object", Severity.MALICIOUS, where, "an array of pickled objects")
    elif found in (Format.ZIP, Format.ZIP_PYTORCH, Format.KERAS_ZIP, Format.TAR, Format.COMPRESSED):
        findings.add("nested_archive", Severity.SUSPICIOUS, where, "an archive in an archive")
    if name.casefold().endswith(("config.json", ".h5")) and any(
        mark in content for mark in _LAMBDA
    ):
        findings.add("keras_code", Severity.MALICIOUS, where, "a layer that carries code")
