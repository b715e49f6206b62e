"""Documents in a registry: text, tables, JSON, YAML, pages, pictures. Plain data, or not.

Suffixes say how a person or a program would open a file; the content has to be that.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from trimtab.artifacts import strictjson
from trimtab.artifacts.environment import private_in
from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.formats import Format
from trimtab.artifacts.plainyaml import NotPlain, read_yaml
from trimtab.artifacts.redaction import shown
from trimtab.kernel.errors import IntegrityFailed

_CODE = (
    ".py .pyw .ipynb .sh .bash .zsh .bat .cmd .ps1 .r .jl .js .mjs .ts .rb .pl .lua .java .scala"
    " .c .cpp .cu .go .rs .sql .jinja .jinja2 .j2 .pth"
)
_CODE_SUFFIXES = frozenset(_CODE.split())
_NAMES = (
    "mlmodel mlproject readme license notice authors changelog version byteorder dockerfile"
    " .format_version .storage_alignment serialization_id .gitattributes .gitignore"
)
_NAMES_OF_TEXT = frozenset(_NAMES.split())
_TEXTS = (
    ".txt .md .rst .csv .tsv .log .json .jsonl .yaml .yml .html .htm .svg .xml .toml .cfg .ini"
    " .conf .pbtxt .prototxt .vocab .merges .lock"
)
TEXT_SUFFIXES = frozenset(_TEXTS.split())
_PROSE = frozenset({".txt", ".md", ".rst", ".csv", ".tsv", ".log", ".jsonl", ".html", ".htm"})
_PAGES = frozenset({".html", ".htm", ".svg", ".xml", ".md"})
_ACTIVE = re.compile(
    r"<\s*(?:script|iframe|object|embed|base|foreignobject)\b|javascript:|\bon[a-z]{3,20}\s*=\s*[\"']",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_SCANNED_CHARACTERS = 4 << 20
_KERAS_CODE = frozenset(
    {"Lambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "PyDataset", "__lambda__", "function"}
)
_KERAS_HOMES = frozenset({"keras", "tf_keras", "keras_nlp", "keras_hub", "builtins"})


def suffix(path: str) -> str:
    """The suffix of the last part of a registry path, in lower case, with its dot."""
    name = path.rpartition("/")[2].casefold()
    return "." + name.rpartition(".")[2] if "." in name else ""


def is_text(data: bytes) -> bool:
    """Whether the bytes are text in UTF-8, perhaps with an odd escape in it."""
    try:
        return b"\0" not in data and len(_CONTROL.findall(data.decode("utf-8-sig"))) < 16
    except UnicodeDecodeError:
        return False


def survey_text(
    data: bytes, path: str, where: str, found: Format, budget: Budget, findings: Findings
) -> Format:
    """Note what speaks against a text; the format that it turned out to have."""
    if len(data) > budget.max_document_bytes:
        findings.add(
            "budget", Severity.UNREADABLE, where, f"more than {budget.max_document_bytes} bytes"
        )
        return found
    text, kind = data.decode("utf-8-sig"), suffix(path)
    if _CONTROL.search(text):
        findings.add("control_characters", Severity.SUSPICIOUS, where, "holds control characters")
    if kind in _CODE_SUFFIXES or text.startswith("#!"):
        findings.add("source_code", Severity.SUSPICIOUS, where, "a program in source")
        private_in(text[:_SCANNED_CHARACTERS], where, findings)
        return Format.CODE
    if text.startswith("tree\n") and "\nversion=v" in text[:200]:
        return _lightgbm(text, where, findings)
    private_in(text[:_SCANNED_CHARACTERS], where, findings)
    name = path.rpartition("/")[2].casefold()
    if found is not Format.JSON and kind not in TEXT_SUFFIXES and name not in _NAMES_OF_TEXT:
        # Loaders begin on bytes that our readers may not take for theirs.
        findings.add("not_read", Severity.UNREADABLE, where, "text, under a name of no text")
    if kind in (".yaml", ".yml") or path.rpartition("/")[2] in ("MLmodel", "MLproject"):
        _yaml(data, where, budget, findings)
        return Format.YAML
    if kind == ".json" or (found is Format.JSON and kind not in _PROSE):
        survey_json(data, where, budget, findings)
        return Format.JSON
    page = text.lstrip()[:200].casefold().startswith(("<!doctype", "<html", "<svg", "<?xml"))
    if (page or kind in _PAGES) and _ACTIVE.search(text):
        findings.add("active_content", Severity.SUSPICIOUS, where, "a page that carries a program")
    return Format.HTML if page else Format.TEXT


def survey_json(data: bytes, where: str, budget: Budget, findings: Findings) -> Any:
    """The value of a JSON text, or None with a finding; layers that carry code are noted."""
    try:
        value = strictjson.parse(data, max_bytes=budget.max_document_bytes, what="the document")
    except IntegrityFailed as error:
        findings.add("malformed", Severity.UNREADABLE, where, error.message)
        return None
    for entry in _objects(value):
        _keras_layer(entry, where, findings)
    return value


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _keras_layer(entry: dict[str, Any], where: str, findings: Findings) -> None:
    name, module = entry.get("class_name"), entry.get("module")
    if not isinstance(name, str):
        return
    if name in _KERAS_CODE:
        detail = f"{shown(name)}: a layer that carries code"
        findings.add("keras_code", Severity.MALICIOUS, where, detail)
    if isinstance(module, str) and module.partition(".")[0] not in _KERAS_HOMES:
        findings.add(
            "keras_code", Severity.MALICIOUS, where, f"imports {shown(f'{module}.{name}')}"
        )
    if entry.get("registered_name") not in (None, "", name, f"Custom>{name}") and module is None:
        detail = f"asks for {shown(str(entry['registered_name']))}"
        findings.add("keras_custom", Severity.SUSPICIOUS, where, detail)


def _lightgbm(text: str, where: str, findings: Findings) -> Format:
    if "\nend of trees\n" not in text:
        findings.add("malformed", Severity.UNREADABLE, where, "a model that breaks off")
    return Format.LIGHTGBM


def _yaml(data: bytes, where: str, budget: Budget, findings: Findings) -> None:
    try:
        read_yaml(data, max_bytes=budget.max_yaml_bytes, max_values=budget.max_yaml_values)
    except NotPlain as error:
        findings.add(error.rule, error.severity, where, error.what)


def survey_png(data: bytes, where: str, findings: Findings) -> None:
    """Note where a PNG picture is not one from its first chunk to its last byte."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data) or zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(
            data[end - 4 : end], "big"
        ):
            break
        if kind == b"IEND":
            _demand_end(data, end, where, findings)
            return
        at = end
    findings.add("malformed", Severity.UNREADABLE, where, "a picture that breaks off")


def survey_jpeg(data: bytes, where: str, findings: Findings) -> None:
    """Note where a JPEG picture does not end with its last byte."""
    end = data.rfind(b"\xff\xd9")
    if end < 0:
        findings.add("malformed", Severity.UNREADABLE, where, "a picture that breaks off")
    else:
        _demand_end(data, end + 2, where, findings)


def _demand_end(data: bytes, end: int, where: str, findings: Findings) -> None:
    if end < len(data):
        findings.add("trailing", Severity.SUSPICIOUS, where, f"{len(data) - end} bytes behind it")
