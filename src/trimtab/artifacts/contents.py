"""What a file of a registry holds, of whatever kind: judged by its content, never loaded.

An upload has to be an ONNX model (`inspection`). A registry holds much else: here plain data
can be clean as well, and a pickle that names nothing but what the allow-list has.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trimtab.artifacts.archives import zip_entries
from trimtab.artifacts.documents import (
    TEXT_SUFFIXES,
    is_text,
    suffix,
    survey_jpeg,
    survey_json,
    survey_png,
    survey_text,
)
from trimtab.artifacts.environment import READERS, Evidence
from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.formats import (
    HEAD_BYTES,
    TAIL_BYTES,
    Format,
    looks_like_pickle,
    polyglot,
    sniff,
)
from trimtab.artifacts.graph import inspect_onnx
from trimtab.artifacts.pickle_machine import Global
from trimtab.artifacts.pickle_rules import rules
from trimtab.artifacts.pickle_survey import survey_pickle
from trimtab.artifacts.plainyaml import NotPlain
from trimtab.artifacts.redaction import shown
from trimtab.artifacts.streams import unpack
from trimtab.artifacts.weights import (
    is_saved_model,
    survey_gguf,
    survey_numpy,
    survey_safetensors,
    survey_saved_model,
    survey_ubjson,
)
from trimtab.kernel.events import plain

_ZIPS = (Format.ZIP, Format.ZIP_PYTORCH, Format.KERAS_ZIP)
_TORCH_WEIGHTS = re.compile(r"[^/]+/(?:data|constants|tensors)/\d+")
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill")
_SKOPS_TYPES = ("builtins.type", "builtins.NoneType")
_HDF5_CODE = (b'"Lambda"', b'"class_name": "Lambda"', b"TorchModuleWrapper", b"__lambda__")
_TAR_BROKEN = (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, IndexError)


class Contents:
    """Looks into one file and what is packed in it, within one budget for all of it."""

    def __init__(self, budget: Budget, findings: Findings) -> None:
        self._budget = budget
        self._findings = findings
        self._left_bytes = budget.max_unpacked_bytes
        self._left_entries = budget.max_zip_entries

    def look(self, data: bytes, path: str, where: str = "file", depth: int = 0) -> Format:
        """Note what speaks against `data`; the format it has by its content.

        Whatever has no finding that says otherwise was read to its end.

        Args:
            path: Its name in the registry or archive: what it would be opened as.
            where: What findings call it.
            depth: Archives that it lies in.
        """
        found = self._told(data, path)
        try:
            found = self._by_format(found, data, path, where, depth)
        except (MemoryError, RecursionError) as error:
            self._add("budget", Severity.UNREADABLE, where, type(error).__name__)
        if found is not Format.SKOPS and polyglot(found, data[-TAIL_BYTES:]) is not None:
            self._add("polyglot", Severity.MALICIOUS, where, f"{found} with an archive behind it")
        return found

    def _told(self, data: bytes, path: str) -> Format:
        found = sniff(data[:HEAD_BYTES], data[-TAIL_BYTES:], len(data))
        if found in _ZIPS:
            return found
        called_so = found is Format.UNKNOWN and suffix(path) in _PICKLE_SUFFIXES
        if called_so or looks_like_pickle(data, len(data)):
            return Format.PICKLE
        if found is Format.ONNX and is_saved_model(data):
            return Format.SAVED_MODEL
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return Format.PNG
        if data.startswith(b"\xff\xd8\xff"):
            return Format.JPEG
        by_chance = found in (Format.ONNX, Format.COMPRESSED) and suffix(path) in TEXT_SUFFIXES
        texts = (Format.UNKNOWN, Format.JSON, Format.YAML)
        if (by_chance or found in texts) and is_text(data):
            return found if found is Format.JSON else Format.TEXT
        if found in texts:
            found = Format.UNKNOWN
        if re.match(rb"\{[iUIlL$#]", data):
            return Format.UBJSON
        return found

    def _by_format(self, found: Format, data: bytes, path: str, where: str, depth: int) -> Format:
        budget, findings = self._budget, self._findings
        readers: Mapping[Format, Callable[[], object]] = {
            Format.ONNX: lambda: self._onnx(data, where),
            Format.PICKLE: lambda: survey_pickle(data, where, budget, findings),
            Format.SAFETENSORS: lambda: survey_safetensors(data, where, findings),
            Format.NUMPY: lambda: survey_numpy(data, where, findings),
            Format.GGUF: lambda: survey_gguf(data, where, budget, findings),
            Format.SAVED_MODEL: lambda: survey_saved_model(data, where, findings),
            Format.UBJSON: lambda: survey_ubjson(data, where, budget, findings),
            Format.PNG: lambda: survey_png(data, where, findings),
            Format.JPEG: lambda: survey_jpeg(data, where, findings),
            Format.TAR: lambda: self._tar(data, where, depth),
            Format.COMPRESSED: lambda: self._compressed(data, path, where, depth),
        }
        if found in readers:
            readers[found]()
        elif found in (Format.TEXT, Format.JSON):
            return survey_text(data, path, where, found, budget, findings)
        elif found in _ZIPS:
            return self._zip(found, data, where, depth)
        elif found is Format.NUMPY_OBJECT:
            self._add("numpy_object", Severity.MALICIOUS, where, "an array of pickled objects")
        elif found is Format.HDF5:
            self._hdf5(data, where)
        else:
            detail = "nothing in it" if found is Format.EMPTY else "a format that is not read here"
            self._add("not_read", Severity.UNREADABLE, where, detail)
        return found

    def _add(self, rule: str, severity: Severity, where: str, detail: str) -> None:
        self._findings.add(rule, severity, where, detail)

    def _onnx(self, data: bytes, where: str) -> None:
        if inspect_onnx(data, self._budget, self._findings) is None:
            self._add("not_read", Severity.UNREADABLE, where, "not read to its end")

    def _hdf5(self, data: bytes, where: str) -> None:
        if any(mark in data for mark in _HDF5_CODE):
            self._add("keras_code", Severity.MALICIOUS, where, "a layer that carries code")
        self._add("not_read", Severity.UNREADABLE, where, "HDF5 is not read here")

    def _inside(self, content: bytes, name: str, where: str, depth: int) -> None:
        """Look at one part of an archive; it counts against the budget of the whole."""
        self._left_bytes -= len(content)
        self._left_entries -= 1
        if self._left_bytes < 0 or self._left_entries < 0:
            self._add("budget", Severity.MALICIOUS, where, "unpacks to more than allowed")
        elif depth >= self._budget.max_archive_depth:
            self._add("nested_archive", Severity.UNREADABLE, where, "nested deeper than is read")
        elif content:
            self.look(content, name, where, depth + 1)

    def _compressed(self, data: bytes, path: str, where: str, depth: int) -> None:
        try:
            content, behind = unpack(data, max_bytes=max(self._left_bytes, 0))
        except NotPlain as error:
            self._add(error.rule, error.severity, where, error.what)
            return
        if behind:
            self._add("trailing", Severity.SUSPICIOUS, where, f"{behind} bytes behind it")
        inner = path.removesuffix(suffix(path)) if suffix(path) in (".gz", ".bz2", ".xz") else path
        self._inside(content, inner, where, depth)

    def _zip(self, found: Format, data: bytes, where: str, depth: int) -> Format:
        entries = zip_entries(
            data, self._budget, self._findings, max_bytes=max(self._left_bytes, 0)
        )
        for name, place, content in entries:
            place = place if where == "file" else f"{where}, {place}"
            if self._left_bytes < 0 or self._left_entries < 0:
                break
            if found is Format.ZIP_PYTORCH and _TORCH_WEIGHTS.fullmatch(name):
                self._left_bytes -= len(content)  # numbers, without a header of their own
            elif found is Format.ZIP_PYTORCH and name.endswith("/data.pkl"):
                survey_pickle(content, place, self._budget, self._findings, in_torch=True)
            elif name == "schema.json" and b'"__loader__"' in content:
                found = Format.SKOPS
                self._skops(content, place)
            else:
                self._inside(content, name, place, depth)
        return found

    def _skops(self, schema: bytes, where: str) -> None:
        """Note the types that a skops file names and the allow-list has not."""
        value = survey_json(schema, where, self._budget, self._findings)
        names = set(_skops_names(value))
        for found in sorted(names, key=str):
            severity = rules().severity(found, also=_SKOPS_TYPES)
            if severity is not Severity.INFO:
                self._add("skops_type", severity, where, f"names {shown(str(found))}")

    def _tar(self, data: bytes, where: str, depth: int) -> None:
        """Look at each member in memory; nothing is written, so no link leads anywhere."""
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
                for member in archive:
                    self._member(archive, member, where, depth)
                    if self._left_bytes < 0 or self._left_entries < 0:
                        return
                if data[archive.offset :].strip(b"\0"):
                    self._add("trailing", Severity.MALICIOUS, where, "more behind its end")
        except _TAR_BROKEN as error:
            detail = f"an archive that breaks off: {type(error).__name__}"
            self._add("malformed", Severity.UNREADABLE, where, detail)

    def _member(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, where: str, depth: int
    ) -> None:
        name = member.name
        entry = f"entry {shown(name)}"
        place = entry if where == "file" else f"{where}, {entry}"
        if name.startswith(("/", "~")) or "\\" in name or ".." in name.split("/"):
            self._add("tar_path", Severity.MALICIOUS, place, "would be written elsewhere")
        if member.issym() or member.islnk():
            self._add("tar_link", Severity.MALICIOUS, place, "leads to another file")
        elif not (member.isfile() or member.isdir()):
            self._add("tar_device", Severity.MALICIOUS, place, "is no file and no folder")
        elif member.isfile():
            file = archive.extractfile(member)
            if file is not None:
                self._inside(file.read(max(self._left_bytes, 0) + 1), name, place, depth)


def _skops_names(value: Any) -> Iterator[Global]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            for module, name in (
                ("__module__", "__class__"),
                ("module_path", "function"),
                ("__module__", "func"),
            ):
                if isinstance(found.get(name), str):
                    home = found.get(module)
                    yield Global(home if isinstance(home, str) else None, found[name])
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def evidence_of(
    data: bytes, path: str, found: Format, budget: Budget, findings: Findings
) -> Evidence | None:
    """What an environment file or an `MLmodel` says, by its name; None for other files.

    A file of such a name that is no such thing has a finding, and no evidence.
    """
    reader = READERS.get(path.rpartition("/")[2].casefold())
    if reader is None or found not in (Format.TEXT, Format.YAML, Format.JSON):
        return None
    try:
        evidence = reader(data, budget, findings)
    except NotPlain as error:
        findings.add(error.rule, error.severity, "file", error.what)
        return None
    if len(str(plain(evidence))) > budget.max_evidence_bytes:
        findings.add("budget", Severity.UNREADABLE, "file", "says more than there is room for")
        return None
    return evidence
