"""Unpacking compressed streams in memory, up to a bound and no further."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from trimtab.artifacts.findings import Severity
from trimtab.artifacts.plainyaml import NotPlain

_CHUNK_BYTES = 1 << 20
_XZ_MEMORY_BYTES = 256 << 20


def unpack(data: bytes, *, max_bytes: int) -> tuple[bytes, int]:
    """What gzip, zlib, bzip2 or xz data unpacks to, and how many bytes stand behind it.

    Streams one behind the other are one, as the usual readers take them.

    Raises:
        NotPlain: more than `max_bytes`, broken or cut off, or packed by another method.
    """
    makers: tuple[tuple[bytes, Callable[[], Any]], ...] = (
        (b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),
        (b"BZh", bz2.BZ2Decompressor),
        (b"\xfd7zXZ\x00", _xz),
        (b"x", zlib.decompressobj),
    )
    for magic, maker in makers:
        if data.startswith(magic):
            return _unpack(data, magic, maker, max_bytes)
    raise NotPlain("not_read", Severity.UNREADABLE, "packed by a method that is not read here")


def _xz() -> lzma.LZMADecompressor:
    # A header may ask for gigabytes before the first byte is out.
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


def _unpack(
    data: bytes, magic: bytes, maker: Callable[[], Any], max_bytes: int
) -> tuple[bytes, int]:
    parts: list[bytes] = []
    left, rest = max_bytes, data
    try:
        # A zlib stream is one; what stands behind it is read by nobody.
        while rest.startswith(magic) and not (parts and magic == b"x"):
            machine = maker()
            left, rest = _one_stream(machine, rest, parts, left)
    except (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError) as error:
        if isinstance(error, NotPlain):
            raise
        raise NotPlain(
            "malformed", Severity.UNREADABLE, f"cannot be unpacked: {type(error).__name__}"
        ) from error
    return b"".join(parts), len(rest.rstrip(b"\0"))


def _one_stream(machine: Any, rest: bytes, parts: list[bytes], left: int) -> tuple[int, bytes]:
    """Unpack one stream into `parts`; bytes still allowed, and what stands behind it."""
    at = 0
    pending = b""
    while not machine.eof:
        if not pending and getattr(machine, "needs_input", True):
            if at >= len(rest):
                raise EOFError
            pending, at = rest[at : at + _CHUNK_BYTES], at + _CHUNK_BYTES
        content = machine.decompress(pending, min(left + 1, _CHUNK_BYTES))
        pending = getattr(machine, "unconsumed_tail", b"")
        left -= len(content)
        if left < 0:
            raise NotPlain("budget", Severity.MALICIOUS, "unpacks to more than allowed")
        parts.append(content)
    return left, machine.unused_data + rest[at:]
