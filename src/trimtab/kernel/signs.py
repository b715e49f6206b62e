"""Texts of strangers as signs that can all be seen."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # parts of words and of emoji


def seen(sign: str) -> str:
    """One character of a text on one line: what cannot be seen is shown by a sign, and what
    turns the direction of writing by its code."""
    if sign in "\n\r\u2028\u2029":
        return "↵"
    if sign == "\t":
        return "⇥"
    kind = unicodedata.category(sign)
    if kind in {"Cc", "Cs"}:
        return "\ufffd"
    if kind == "Zs":
        return " "
    return coded(sign) if kind == "Cf" and sign not in _JOINERS else sign


def coded(sign: str) -> str:
    """A character by its code, as `⟨202E⟩`."""
    return f"⟨{ord(sign):04X}⟩"
