"""Files that a command writes: never over somebody's data."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from trimtab.kernel.errors import InvalidInput

_BEGINS = {
    "report": (b"<!doctype html",),
    "numbers": (b"{",),
    "profile": (b"x\x9c", b"{"),
    "inventory": (b'"record"', b"[", b"PAR1"),
    "card": (b"<!doctype html", b"%PDF", b"{"),
}
"""How a file begins that an earlier run has written, by what it is."""


def check_output(path: Path, inputs: Sequence[str | None], what: str) -> None:
    """Whether a file may be written, before the work is done.

    Args:
        path: Where; `-` is the terminal.
        inputs: What the command reads.
        what: `report`, `numbers`, `profile`, `inventory` or `card`.

    Raises:
        InvalidInput: it is an input, some other file, or in a folder that is not there.
    """
    if str(path) == "-":
        return
    if path.is_dir() or not path.parent.is_dir():
        wrong = "is a folder" if path.is_dir() else f"cannot be written: no folder {path.parent}"
        raise InvalidInput(f"{path} {wrong}", remedy="give the name of a file")
    if not path.is_file():
        return
    if any(one is not None and Path(one).exists() and path.samefile(one) for one in inputs):
        raise InvalidInput(
            f"{path} is what is read: it would be lost", remedy="give another name for the output"
        )
    with path.open("rb") as file:
        head = file.read(64)
    if head and not head.startswith(_BEGINS[what]):
        raise InvalidInput(
            f"{path} is there and no {what} of an earlier run: it is not overwritten",
            remedy="give another name, or remove it first",
        )


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; `-` is the terminal.

    Raises:
        InvalidInput: it cannot be written.
    """
    if str(path) == "-" and isinstance(content, str):
        sys.stdout.write(content)
        return
    whole = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():  # a pipe, a device
            path.write_bytes(whole)
            return
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_bytes(whole)
        draft.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
