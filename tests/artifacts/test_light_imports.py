"""What a serving process or a verifier loads must stay small."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "onnx", "onnxruntime", "model_signing", "google.protobuf", "pyarrow", "yaml")
MODULES = (
    "architecture",
    "archives",
    "binding",
    "contents",
    "digest",
    "documents",
    "envelope",
    "environment",
    "execution",
    "findings",
    "formats",
    "graph",
    "inspection",
    "keys",
    "opening",
    "pickle_machine",
    "pickle_rules",
    "pickle_survey",
    "pickles",
    "plainyaml",
    "redaction",
    "scoring",
    "signing",
    "streams",
    "strictjson",
    "survey",
    "surveying",
    "verifying",
    "weights",
    "wire",
)


@pytest.mark.parametrize("name", ["", *(f".{module}" for module in MODULES)])
def test_importing_a_module_loads_nothing_heavy(name: str) -> None:
    code = (
        f"import sys, trimtab.artifacts{name}\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "rooms = [m for m in sys.modules if m.startswith('trimtab.')"
        " and m.split('.')[1] not in ('artifacts', 'kernel')]\n"
        "sys.exit(f'loaded {heavy + rooms}' if heavy or rooms else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_module_is_listed() -> None:
    import pkgutil

    import trimtab.artifacts

    assert {m.name for m in pkgutil.iter_modules(trimtab.artifacts.__path__)} == set(MODULES)
