"""What a file is, by its content: suffixes are somebody's claim."""

from __future__ import annotations

import pickletools
import re
import warnings
from enum import StrEnum

from trimtab.artifacts.wire import MODEL_FIELDS, fields
from trimtab.kernel.errors import IntegrityFailed

HEAD_BYTES = 4096
TAIL_BYTES = 65_557
"""Long enough for the end record of a zip file with the longest comment."""


class Format(StrEnum):
    """Formats that are told apart; only ONNX is ever executed."""

    ONNX = "onnx"
    PICKLE = "pickle"
    ZIP = "zip"
    ZIP_PYTORCH = "zip-pytorch"
    KERAS_ZIP = "keras-zip"
    HDF5 = "hdf5"
    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    NUMPY = "numpy"
    NUMPY_OBJECT = "numpy-object"
    JSON = "json"
    YAML = "yaml"
    TAR = "tar"
    COMPRESSED = "compressed"
    SKOPS = "skops-zip"
    SAVED_MODEL = "saved-model"
    LIGHTGBM = "lightgbm-text"
    UBJSON = "ubjson"
    PNG = "png"
    JPEG = "jpeg"
    TEXT = "text"
    HTML = "html"
    CODE = "code"
    EMPTY = "empty"
    UNKNOWN = "unknown"


_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_COMPRESSED_STARTS = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"7z\xbc\xaf\x27\x1c",
    b"x\x01",
    b"x\x5e",
    b"x\x9c",
    b"x\xda",
)
# The only ways in which a pickle comes by a callable.
_CODE_OPCODES = {"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}
_GLOBAL_LINES = re.compile(rb"[\w.]+\r?\n[\w.<>]+\r?\n")
_YAML_LINE = re.compile(rb"(?:^|\n)(?:---|%YAML|[ \t]*(?:- )?[\w.\-\"']+:(?:[ \t\r\n]|$))")


def sniff(head: bytes, tail: bytes, size: int) -> Format:
    """The format of a file, told from its first and last bytes.

    Args:
        head: The first `HEAD_BYTES` of the file, or all of it.
        tail: The last `TAIL_BYTES` of the file, or all of it.
        size: Bytes of the whole file.

    Returns:
        One format; where a file could be several, the one that is more dangerous to the
        program that would open it. `polyglot` tells when there is a second.
    """
    if size == 0:
        return Format.EMPTY
    if head.startswith(_ZIP_STARTS):
        return _zip_kind(head + tail)
    fixed = _by_magic(head)
    if fixed is not None:
        return fixed
    if looks_like_pickle(head, size):
        return Format.PICKLE
    if _looks_like_safetensors(head, size):
        return Format.SAFETENSORS
    if looks_like_onnx(head, size):
        return Format.ONNX
    if head.startswith(_COMPRESSED_STARTS):
        return Format.COMPRESSED
    return _text_kind(head)


def polyglot(found: Format, tail: bytes) -> Format | None:
    """The second format of a file that has two: an archive behind something else.

    Readers of zip files start at the end of a file, so a zip file may follow anything.
    """
    zips = (Format.ZIP, Format.ZIP_PYTORCH, Format.KERAS_ZIP)
    if found in zips or found is Format.EMPTY:
        return None
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if _is_end_record(tail, at):
            return Format.ZIP
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return None


def looks_like_pickle(head: bytes, size: int) -> bool:
    """Whether `pickle.load` would begin to work on these bytes, whole or broken."""
    if len(head) >= 2 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return True
    if head[:1] in (b"c", b"i") and not _GLOBAL_LINES.match(head[1:]):
        return False
    try:
        with warnings.catch_warnings(action="ignore"):  # odd escapes in a string
            return _begins_as_pickle(head, size)
    except (ValueError, IndexError, OverflowError):
        return False


def looks_like_onnx(head: bytes, size: int) -> bool:
    """Whether the bytes begin as a `ModelProto`, in whatever order of fields."""
    numbers = set()
    try:
        for found in fields(head, 0, size):
            if MODEL_FIELDS.get(found.number) != found.wire_type:
                return False
            numbers.add(found.number)
            if found.end >= len(head):
                break
    except (IntegrityFailed, IndexError):
        # Cut off or broken: an ONNX file all the same if it had begun as one.
        return 1 in numbers and bool(numbers & {2, 7, 8})
    return bool(numbers & {7, 8}) or (1 in numbers and len(numbers) > 1)


def _begins_as_pickle(head: bytes, size: int) -> bool:
    for opcode, argument, at in pickletools.genops(head):
        if opcode.name in _CODE_OPCODES and _can_run(opcode.name, argument, at or 0):
            return True
        if opcode.name == "STOP":
            return bool(at) and (at or 0) + 1 == size
    return False


def _can_run(opcode: str, argument: object, at: int) -> bool:
    """Whether this opcode could bring in code: one that takes from the stack cannot be first."""
    if opcode not in ("GLOBAL", "INST"):
        return at > 0
    return isinstance(argument, str) and re.fullmatch(r"[\w.]+ [\w.<>]+", argument) is not None


def _by_magic(head: bytes) -> Format | None:
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return Format.HDF5
    if head.startswith(b"GGUF"):
        return Format.GGUF
    if head.startswith(b"\x93NUMPY"):
        # The header is a Python literal whose `descr` names the types; O is "any object".
        descr = head[6:1024].split(b"}")[0]
        return Format.NUMPY_OBJECT if re.search(rb"[|'\"<>=]O[0-9'\"]", descr) else Format.NUMPY
    if head[257:262] == b"ustar":
        return Format.TAR
    return None


def _zip_kind(names: bytes) -> Format:
    if b"/data.pkl" in names or b"/constants.pkl" in names:
        return Format.ZIP_PYTORCH
    if b"model.weights.h5" in names or (b"config.json" in names and b"metadata.json" in names):
        return Format.KERAS_ZIP
    return Format.ZIP


def _looks_like_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 9 and 2 <= length <= size - 8 and head[8:10] in (b'{"', b"{}", b"{ ")


def _is_end_record(tail: bytes, at: int) -> bool:
    record = tail[at : at + 22]
    if len(record) < 22:
        return False
    directory_bytes = int.from_bytes(record[12:16], "little")
    begin = at - directory_bytes
    if begin < 0:
        return True  # the directory lies before the tail, or is a 64-bit one
    return directory_bytes == 0 or tail[begin : begin + 4] in (b"PK\x01\x02", b"PK\x06\x06")


def _text_kind(head: bytes) -> Format:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"[") and (len(text) == 1 or text[1:2] in b' \t\r\n"{}[]-0123456789tfn'):
        return Format.JSON
    printable = not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head)
    return Format.YAML if printable and _YAML_LINE.search(text) else Format.UNKNOWN
