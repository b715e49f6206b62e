"""What the environment files of a model say: interpreter, packages, where they come from.

Pure functions over bytes, for a process that has nothing to lose. Texts are made fit to be
shown; addresses are shown without credentials.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.pickle_machine import Global
from trimtab.artifacts.pickle_rules import rules
from trimtab.artifacts.plainyaml import NotPlain, read_yaml
from trimtab.artifacts.redaction import personal_data_in, secrets_in, shown

Evidence = dict[str, Any]

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,120}[A-Za-z0-9])?)\s*"
    r"(?P<extras>\[[A-Za-z0-9._,\s-]{0,200}\])?\s*"
    r"(?P<specifier>\(?(?:===|==|~=|!=|<=|>=|<|>)[^;@#]{1,200})?"
    r"(?P<marker>;.{0,300})?"
)
_DIRECT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,120})(?:\[[^\]]{0,200}\])?\s*@\s*(.+)")
_CONDA = re.compile(
    r"(?:(?P<channel>[\w./:-]{1,200})::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]{0,120})"
    r"(?P<specifier>\s*(?:[=<>!~ ].{0,200})?)"
)
_EXACT = re.compile(r"={2,3}\s*[A-Za-z0-9!+._-]+")
_EXACT_CONDA = re.compile(r"={1,2}\s*\d+(?:\.\d+){2,}[A-Za-z0-9._+]*(?:=[\w.]+)?|=[\w.+]+=[\w.+]+")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?:#|$)")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links")
_HARMLESS_OPTIONS = (
    "--pre",
    "--prefer-binary",
    "--require-hashes",
    "--no-binary",
    "--only-binary",
    "--use-feature",
    "--no-index",
)
_INCLUDES = ("-r", "--requirement", "-c", "--constraint")
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^/\s@]*@")
_SHOWN = 400


def address(text: str) -> str:
    """An address without user, password, query and fragment, fit to be shown."""
    bare = _CREDENTIALS.sub(r"\g<scheme>", text)
    return shown(re.split(r"[?#]", bare, maxsplit=1)[0], 200)


def presentable(value: Any, limit: int = _SHOWN) -> Any:
    """`value`, of plain data, with every text in it fit to be shown."""
    if isinstance(value, str):
        return shown(value, limit)
    if isinstance(value, dict):
        return {shown(str(key)): presentable(inner, limit) for key, inner in value.items()}
    if isinstance(value, list):
        return [presentable(inner, limit) for inner in value]
    return value


def requirements(data: bytes, budget: Budget, findings: Findings) -> Evidence:
    """What a `requirements.txt` asks for.

    Returns:
        `kind`, `dependencies` (name, specifier, pinned, manager), `index_urls`, `includes`.

    Raises:
        NotPlain: longer than the budget allows a document of this kind.
    """
    found = _evidence("requirements")
    if len(data) > budget.max_yaml_bytes:
        raise NotPlain("budget", Severity.UNREADABLE, f"more than {budget.max_yaml_bytes} bytes")
    text = data.decode("utf-8", "replace").replace("\\\r\n", " ").replace("\\\n", " ")
    for line in text.splitlines():
        _requirement(line, found, findings)
    return found


def conda(data: bytes, budget: Budget, findings: Findings) -> Evidence:
    """What a `conda.yaml` asks for: also `python` and `channels`.

    Raises:
        NotPlain: not YAML of plain data, or not of this shape.
    """
    value = _mapping(data, budget)
    found = _evidence("conda") | {"python": None, "channels": []}
    found["channels"] = [address(str(name)) for name in _list(value, "channels")]
    for entry in _list(value, "dependencies"):
        if isinstance(entry, str):
            _conda_dependency(entry, found, findings)
        elif isinstance(entry, dict) and set(entry) == {"pip"}:
            for line in _list(entry, "pip"):
                _requirement(str(line), found, findings)
        else:
            _unread(str(entry), findings)
    return found


def python_env(data: bytes, budget: Budget, findings: Findings) -> Evidence:
    """What a `python_env.yaml` asks for: also `python` and `build_dependencies`.

    Raises:
        NotPlain: not YAML of plain data, or not of this shape.
    """
    value = _mapping(data, budget)
    found = _evidence("python_env")
    python = value.get("python")
    found["python"] = None if python is None else shown(str(python))
    for line in _list(value, "dependencies"):
        _requirement(str(line), found, findings)
    build = _evidence("build")
    for line in _list(value, "build_dependencies"):
        _requirement(str(line), build, findings)
    return found | {"build_dependencies": build["dependencies"]}


def mlmodel(data: bytes, budget: Budget, findings: Findings) -> Evidence:
    """What an `MLmodel` declares: `flavors`, `signature`, ids, times, versions.

    A loader outside MLflow, code files and types that are to be trusted are findings: each
    says that loading this model runs what its author wrote.

    Raises:
        NotPlain: not YAML of plain data, or not of this shape.
    """
    value = _mapping(data, budget, as_text=False)
    flavors = value.get("flavors")
    if not isinstance(flavors, dict):
        raise NotPlain("malformed", Severity.UNREADABLE, "an MLmodel without flavors")
    for name, flavor in flavors.items():
        if isinstance(flavor, dict):
            _flavor(name, flavor, findings)
    return {"kind": "mlmodel", **presentable(value, 4000)}


READERS: Mapping[str, Callable[[bytes, Budget, Findings], Evidence]] = {
    "conda.yaml": conda,
    "conda.yml": conda,
    "environment.yml": conda,
    "environment.yaml": conda,
    "python_env.yaml": python_env,
    "mlmodel": mlmodel,
    "requirements.txt": requirements,
}
"""The reader of an environment file, by its name in lower case."""


def _evidence(kind: str) -> Evidence:
    return {"kind": kind, "dependencies": [], "index_urls": [], "includes": []}


def _mapping(data: bytes, budget: Budget, *, as_text: bool = True) -> dict[str, Any]:
    value = read_yaml(
        data,
        max_bytes=budget.max_yaml_bytes,
        max_values=budget.max_yaml_values,
        as_text=as_text,
    )
    if not isinstance(value, dict):
        raise NotPlain("malformed", Severity.UNREADABLE, "not a mapping")
    return value


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise NotPlain("malformed", Severity.UNREADABLE, f"{name} is no list")
    return found


def _flavor(name: str, flavor: dict[str, Any], findings: Findings) -> None:
    loader = flavor.get("loader_module")
    if loader is not None and str(loader).split(".")[0] != "mlflow":
        detail = f"is loaded by {shown(str(loader))}"
        findings.add("model_code", Severity.SUSPICIOUS, "file", detail)
    for name_of in _list(flavor, "skops_trusted_types"):
        module, _, attribute = str(name_of).rpartition(".")
        severity = rules().severity(Global(module, attribute))
        if severity is not Severity.INFO:
            findings.add("model_code", severity, "file", f"trusts {shown(str(name_of))}")
    for key in ("code", "model_code_path"):
        if flavor.get(key):
            detail = f"flavor {shown(str(name))} has {key}: {shown(str(flavor[key]))}"
            findings.add("model_code", Severity.SUSPICIOUS, "file", detail)


def _requirement(line: str, found: Evidence, findings: Findings) -> None:
    text = re.split(r"(?:^|\s)#", line.strip(), maxsplit=1)[0].strip()
    if not text:
        return
    text = re.split(r"\s--(?:hash|config-settings|global-option)\b", text, maxsplit=1)[0].strip()
    if text.startswith("-"):
        _option(text, found, findings)
    elif (parts := _REQUIREMENT.fullmatch(text)) is not None:
        specifier = (parts["specifier"] or "").strip("() ").strip()
        _add(found, parts["name"], specifier, _EXACT.fullmatch(specifier) is not None, "pip")
    elif (direct := _DIRECT.fullmatch(text)) is not None:
        where = address(direct[2])
        _add(found, direct["name"], f"@ {where}", _COMMIT.search(text) is not None, "pip")
    else:
        _unread(text, findings)


def _option(text: str, found: Evidence, findings: Findings) -> None:
    name, _, rest = text.replace("=", " ", 1).partition(" ")
    rest = rest.strip().strip("\"'")
    if name in _INDEX_OPTIONS:
        found["index_urls"].append(address(rest))
        if secrets_in(rest):
            findings.add("secret", Severity.SUSPICIOUS, "file", "an index with credentials")
        if rest.startswith("http://"):
            findings.add("index", Severity.SUSPICIOUS, "file", "an index that is not encrypted")
    elif name == "--trusted-host":
        findings.add("index", Severity.SUSPICIOUS, "file", "a host that is trusted unverified")
    elif name in _INCLUDES:
        found["includes"].append(shown(rest))
    elif name not in _HARMLESS_OPTIONS:
        _unread(text, findings)


def _conda_dependency(text: str, found: Evidence, findings: Findings) -> None:
    parts = _CONDA.fullmatch(text.strip())
    if parts is None:
        _unread(text, findings)
        return
    specifier = parts["specifier"].strip()
    if parts["name"] == "python":
        found["python"] = shown(specifier.lstrip("=") if specifier[:1] == "=" else specifier)
    _add(
        found,
        parts["name"],
        specifier,
        _EXACT_CONDA.fullmatch(specifier) is not None or _EXACT.fullmatch(specifier) is not None,
        "conda",
    )


def _add(found: Evidence, name: str, specifier: str, pinned: bool, manager: str) -> None:
    entry = {
        "name": shown(name),
        "specifier": shown(specifier, 200),
        "pinned": pinned,
        "manager": manager,
    }
    found["dependencies"].append(entry)


def _unread(text: str, findings: Findings) -> None:
    bare = _CREDENTIALS.sub(r"\g<scheme>", text)
    findings.add("requirement", Severity.SUSPICIOUS, "file", f"not understood: {shown(bare)}")


_DECIMALS = re.compile(r"[+-]?\b\d{0,20}\.\d+(?:[eE][+-]?\d+)?|\b\d{17,18}\b")


def private_in(text: str, where: str, findings: Findings) -> None:
    """Note by kind, and never repeat, credentials and personal data in `text`.

    Fractions, and the ids of 17 or 18 digits that registries give, are no numbers of cards.
    """
    for kind in secrets_in(text):
        findings.add("secret", Severity.SUSPICIOUS, where, f"holds what looks like a {kind}")
    for kind in personal_data_in(_DECIMALS.sub("0", text)):
        findings.add("personal_data", Severity.SUSPICIOUS, where, f"holds what looks like {kind}")
