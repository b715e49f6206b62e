"""Which globals a pickle may name: read from `pickle_globals.json`, which has a version.

What is on the list of the allowed builds values. What is known to start programs, read or
write files, open connections or carry code is dangerous; everything else is unknown.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from trimtab.artifacts.findings import Severity
from trimtab.artifacts.pickle_machine import Global

_ROOTS = frozenset({"builtins", "__builtin__"})


@dataclass(frozen=True)
class Rules:
    """Allowed globals as (module, name); dangerous modules with all below them, and names."""

    version: str
    allowed: frozenset[tuple[str, str]]
    dangerous_modules: frozenset[str]
    dangerous: frozenset[tuple[str, str]]

    def severity(self, found: Global, also: Collection[str] = ()) -> Severity:
        """How bad it is that a pickle names `found`; `also` are joined names to allow besides.

        Only an exact pair of module and name is allowed, since a dotted name walks from an
        innocent module to anything that it has imported.
        """
        if found.module is None or found.name is None or not found.resolved:
            return Severity.SUSPICIOUS
        pair = (found.module, found.name)
        if pair in self.allowed or str(found) in also:
            return Severity.INFO
        if pair in self.dangerous or self._reaches_danger(*pair):
            return Severity.MALICIOUS
        return Severity.SUSPICIOUS

    def mixed(self, found: Global) -> bool:
        """Whether module and name are both of the allow-list, though not with each other."""
        modules, names = self._halves
        return found.module in modules and found.name in names

    @functools.cached_property
    def _halves(self) -> tuple[frozenset[str], frozenset[str]]:
        modules, names = zip(*self.allowed, strict=True)
        return frozenset(modules), frozenset(names)

    def _reaches_danger(self, module: str, name: str) -> bool:
        parts = module.split(".")
        heads = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
        if heads & self.dangerous_modules:
            return True
        # `sklearn.utils` and `os.system`: the name itself leads through a module.
        steps = name.split(".")
        hidden = any(step.startswith("__") and step.endswith("__") for step in steps)
        through = any(step in self.dangerous_modules for step in steps[:-1])
        builtin = any((root, steps[-1]) in self.dangerous for root in _ROOTS)
        return hidden or through or (len(steps) > 1 and builtin)


@functools.cache
def rules() -> Rules:
    """The rules of this release."""
    text = Path(__file__).with_name("pickle_globals.json").read_text("utf-8")
    data = json.loads(text)
    return Rules(
        version=data["version"],
        allowed=frozenset(
            (module, name)
            for library in data["allowed"].values()
            for module, names in library.items()
            for name in names
        ),
        dangerous_modules=frozenset(data["dangerous"]["modules"]),
        dangerous=frozenset(
            (module, name) for module, names in data["dangerous"]["names"].items() for name in names
        ),
    )
