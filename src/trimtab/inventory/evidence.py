"""The files of a version as evidence: as they are listed, and as they were inspected."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from trimtab.artifacts.redaction import shown
from trimtab.inventory import uris
from trimtab.inventory.coerce import Limits, integer, listed, mapping, text
from trimtab.inventory.record import Finding, Known, Origin, Record
from trimtab.inventory.source import Listing
from trimtab.inventory.tagmap import TagMap

_WORST = ("malicious", "suspicious", "unreadable", "clean")
_FOUND = {f"artifact_{result}" for result in _WORST[:3]}
_PATH_CHARS = 1_000
_FINDINGS_AT_MOST = 50
TOOLS = frozenset(("pip", "setuptools", "wheel"))
"""What puts an environment up, and is not what a model is computed with."""


def evidence(
    listing: Listing, tag_map: TagMap, limits: Limits
) -> tuple[dict[str, Known], list[Finding]]:
    """The three fields of evidence that a listing gives: paths and sizes, nothing inspected."""
    files = [_file(file.path, file.size) for file in listing.files[: limits.files]]
    cut = len(listing.files) - len(files)
    truncated = text(listing.truncated, 200).value
    findings = []
    if any(kept["path"] != file.path for kept, file in zip(files, listing.files, strict=False)):
        truncated = truncated or "a path cannot be kept as it is, and so leads to no file"
    if cut:
        truncated = f"{cut} files were left out; {limits.files} are kept"
    if truncated:
        findings.append(Finding("listing_cut", f"not all files are listed: {truncated}"))
    root = text(listing.root, limits.text_chars).value or ""
    manifest: dict[str, Any] = {"root": uris.without_secrets(root), "files": files, "result": None}
    if truncated:
        manifest["truncated"] = truncated
    environment = [file for file in files if tag_map.is_environment(file["path"])]
    documents = [file for file in files if tag_map.is_evidence(file["path"])]
    return {
        "artifact_manifest": _known(manifest, "files") if files or truncated else Known(),
        "runtime_environment": (
            _known({"files": environment, "pinned": None}, "files") if environment else Known()
        ),
        "evidence_files": _known(documents, "files") if documents else Known(),
    }, findings


def with_inspection(
    record: Record, inspected: Sequence[Mapping[str, Any]], stays: Collection[str] = ()
) -> Record:
    """`record` with what an inspection said of its files.

    Args:
        record: As `normalise` has made it; what an earlier inspection said is replaced.
        inspected: For each file `path`, `size`, `sha256`, `format`, `result` (`clean`,
            `suspicious`, `malicious`, `unreadable`), `findings` and, of files of environments,
            `environment`. What has none of these paths adds nothing; what is malformed counts
            as unreadable.
        stays: Paths of files of which stands what an earlier inspection said.

    The manifest's `result` is the worst of all files, and `clean` only where every file of a
    complete listing is; that of a listing which was cut is `unreadable` or worse.
    `pinned` of the environment is true where dependencies are stated and each of them has an
    exact version, and every file of the environment was understood; False where one is known
    to have none.
    """
    by_path = {said["path"]: said for said in inspected if isinstance(said.get("path"), str)}
    fields = dict(record.fields)
    manifest = fields["artifact_manifest"].value
    if not manifest:
        return record
    files = [
        dict(file) if file["path"] in stays else _inspected(file, by_path.get(file["path"]))
        for file in manifest["files"]
    ]
    result = _overall(files, complete="truncated" not in manifest)
    fields["artifact_manifest"] = _with_value(
        fields["artifact_manifest"], {**manifest, "files": files, "result": result}
    )
    told = {file["path"]: file for file in files}
    environment = fields["runtime_environment"].value
    if environment:
        stated = [
            dict(file)
            if file["path"] in stays
            else {**told[file["path"]], **_stated(by_path.get(file["path"]))}
            for file in environment["files"]
        ]
        fields["runtime_environment"] = _with_value(
            fields["runtime_environment"], {"files": stated, "pinned": _pinned(stated)}
        )
    documents = fields["evidence_files"].value
    if documents:
        fields["evidence_files"] = _with_value(
            fields["evidence_files"], [told[file["path"]] for file in documents]
        )
    kept = tuple(finding for finding in record.findings if finding.code not in _FOUND)
    return dataclasses.replace(record, fields=fields, findings=(*kept, *_alarms(files)))


def listed_size(file: Mapping[str, Any]) -> int | None:
    """The size of a file of a manifest in bytes, as its registry lists it; None: it does not
    say. Who has read the file may know another one, which is its `size` then."""
    size: int | None = file.get("listed_size", file.get("size"))
    return size


def _known(value: Any, key: str) -> Known:
    return Known(value=value, origin=Origin.ARTIFACTS, key=key)


def _with_value(known: Known, value: Any) -> Known:
    return dataclasses.replace(known, value=value)


def _file(path: str, size: int | None) -> dict[str, Any]:
    size = integer(size)
    plain: dict[str, Any] = {"path": text(path, _PATH_CHARS).value or ""}
    return plain if size is None or size < 0 else {**plain, "size": size}


def _inspected(file: Mapping[str, Any], said: Mapping[str, Any] | None) -> dict[str, Any]:
    """A file of the manifest with what was said of it; nothing said: as it was listed."""
    plain = _file(file["path"], listed_size(file))
    if said is None:
        return plain
    size = integer(said.get("size"))
    if size is not None and size >= 0 and size != plain.get("size"):
        plain |= {"size": size, "listed_size": plain.get("size")}
    for key in ("sha256", "format"):
        read = text(said.get(key), 100).value
        if read:
            plain[key] = read
    result = said.get("result")
    plain["result"] = result if isinstance(result, str) and result in _WORST else "unreadable"
    findings = [_words(found) for found in listed(said.get("findings"))[:_FINDINGS_AT_MOST]]
    if findings:
        plain["findings"] = findings
    return plain


def _words(found: Any) -> str:
    if isinstance(found, Mapping):
        found = "; ".join(
            f"{key}: {value}" for key, value in found.items() if isinstance(value, str | int)
        )
    return shown(text(found, 500).value or "a finding that cannot be read", 500)


def _overall(files: Sequence[Mapping[str, Any]], *, complete: bool) -> str | None:
    """The worst result; None: nothing bad was seen, and not everything was looked at.
    What was not even listed cannot be looked at, and counts as unreadable."""
    results = [file.get("result") for file in files]
    for bad in _WORST[:3]:
        if bad in results:
            return bad
    if not complete:
        return "unreadable"
    return "clean" if complete and results and all(r == "clean" for r in results) else None


def _stated(said: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a file of an environment says, as far as it can be read."""
    found = mapping(mapping(said).get("environment"))
    if not found:
        return {}
    dependencies = [
        {
            "name": name,
            "specifier": text(mapping(item).get("specifier"), 200).value or "",
            "pinned": mapping(item).get("pinned") is True,
        }
        for item in listed(found.get("dependencies"))[:1_000]
        if (name := text(mapping(item).get("name"), 200).value)
    ]
    made: dict[str, Any] = {"dependencies": dependencies}
    python = text(found.get("python"), 100).value
    if python:
        made["python"] = python
    if len(dependencies) < len(listed(found.get("dependencies"))):
        made["incomplete"] = True
    return made


def _pinned(stated: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether all that is stated has an exact version; None: nobody knows, as where a file was
    not understood, which may ask for anything."""
    if any(file.get("incomplete") for file in stated):
        return False
    needed = [
        item["pinned"]
        for file in stated
        for item in file.get("dependencies", ())
        if item["name"].casefold() not in TOOLS
    ]
    if not all(needed):
        return False
    understood = all(
        "dependencies" in file and file.get("result") != "unreadable" for file in stated
    )
    return True if needed and understood else None


def _alarms(files: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """A finding for each kind of bad result, with how many files and the first of them."""
    made = []
    for result in _WORST[:3]:
        bad = [file["path"] for file in files if file.get("result") == result]
        if bad:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            made.append(Finding(f"artifact_{result}", f"{shown(bad[0])}{more}: {result}"))
    return made
