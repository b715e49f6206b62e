"""Reading pickles without running them: opcodes only, and the globals they name.

Nothing here, nor anywhere else in Trimtab, unpickles.
"""

from __future__ import annotations

import pickletools
import warnings

from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.redaction import shown

_STRINGS = {
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "UNICODE",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}


def inspect_pickle(data: bytes, where: str, budget: Budget, findings: Findings) -> None:
    """Note that `data` is a pickle, which globals it names, and whether it is whole.

    A pickle is a program, so it is malicious whatever it names; the globals outside
    `budget.harmless_globals` are listed one by one.
    """
    findings.add("pickle", Severity.MALICIOUS, where, "a pickle runs code when it is loaded")
    names: set[str] = set()
    with warnings.catch_warnings(action="ignore"):  # odd escapes in a string
        broken = _walk(data, budget.max_pickle_opcodes, names)
    for name in sorted(names - budget.harmless_globals):
        findings.add("pickle_global", Severity.MALICIOUS, where, f"names {shown(name)}")
    if broken:
        findings.add("pickle_broken", Severity.MALICIOUS, where, broken)


def _walk(data: bytes, max_opcodes: int, names: set[str]) -> str:
    """Collect global names into `names`; why the walk ended early, or nothing."""
    reader = _Names()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count >= max_opcodes:
                return "more opcodes than the budget allows"
            name = reader.take(opcode.name, argument)
            if name is not None:
                names.add(name)
    except (ValueError, IndexError, OverflowError, RecursionError) as error:
        return f"breaks off: {type(error).__name__}"
    return ""


class _Names:
    """Follows strings through stack and memo, well enough to name what STACK_GLOBAL takes."""

    def __init__(self) -> None:
        self._strings: list[str | None] = [None, None]
        self._memo: dict[int, str | None] = {}

    def take(self, opcode: str, argument: object) -> str | None:
        """The global that this opcode names, if it names one."""
        if opcode in ("GLOBAL", "INST"):
            self._push(None)
            return str(argument).replace(" ", ".", 1)
        if opcode == "STACK_GLOBAL":
            module, attribute = self._strings[-2:]
            self._push(None)
            return f"{module or '?'}.{attribute or '?'}"
        if opcode in ("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"):
            self._push(None)
            return f"?.{opcode.lower()}"
        self._follow(opcode, argument)
        return None

    def _follow(self, opcode: str, argument: object) -> None:
        if opcode in _STRINGS:
            self._push(str(argument))
        elif opcode == "MEMOIZE":
            self._memo[len(self._memo)] = self._strings[-1]
        elif opcode in _PUTS:
            self._memo[int(str(argument))] = self._strings[-1]
        elif opcode in _GETS:
            self._push(self._memo.get(int(str(argument))))
        elif opcode not in ("PROTO", "FRAME", "MARK", "STOP"):
            self._push(None)

    def _push(self, value: str | None) -> None:
        self._strings = [self._strings[-1], value]
