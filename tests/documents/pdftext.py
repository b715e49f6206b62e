"""The text of a PDF that our typesetter has made: enough of the format to read it back."""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(?m)^(\d+) 0 obj\s(.*?)\sendobj", re.S)
_FLAT = rb"\((?:\\.|[^\\()])*\)"
_PIECE = rb"<[0-9A-Fa-f\s]*>|\((?:\\.|[^\\()]|" + _FLAT + rb")*\)"
_TOKEN = re.compile(
    rb"/(\w+) [\d.]+ Tf|\[((?:[^\[\]()<>]|"
    + _PIECE
    + rb")*)\]\s*TJ|("
    + _PIECE
    + rb")\s*Tj|(\bET\b)",
    re.S,
)
_STRING = re.compile(_PIECE, re.S)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.S)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b""}


def text_of(pdf: bytes) -> str:
    """Every piece of text of every page, in the order in which it is drawn."""
    objects = {int(m[1]): m[2] for m in _OBJECT.finditer(pdf)}
    pages = [body for body in objects.values() if re.search(rb"/Type/Page\b(?!s)", body)]
    return "\n".join(_page(objects, page) for page in pages)


def _page(objects: dict[int, bytes], page: bytes) -> str:
    resources = objects[_reference(page, b"Resources")]
    fonts = {
        m[1]: _letters(objects, objects[int(m[2])])
        for m in re.finditer(rb"/(f\d+) (\d+) 0 R", resources)
    }
    font: dict[int, str] = {}
    said: list[str] = []
    for token in _TOKEN.finditer(_stream(objects[_reference(page, b"Contents")])):
        if token[1] is not None:
            font = fonts[token[1]]
        elif token[4] is not None:
            said.append(" ")
        else:
            for string in _STRING.finditer(token[2] if token[2] is not None else token[3]):
                raw = _bytes(string[0])
                codes = [raw[at] << 8 | raw[at + 1] for at in range(0, len(raw), 2)]
                said.append("".join(font.get(code, "\ufffd") for code in codes))
    return "".join(said)


def _reference(body: bytes, name: bytes) -> int:
    found = re.search(rb"/" + name + rb" (\d+) 0 R", body)
    assert found is not None, body
    return int(found[1])


def _stream(body: bytes) -> bytes:
    raw = body.partition(b"stream")[2].lstrip(b"\r\n").rpartition(b"endstream")[0]
    return zlib.decompressobj().decompress(raw)


def _bytes(string: bytes) -> bytes:
    if string.startswith(b"<"):
        return bytes.fromhex(string[1:-1].decode())

    def plain(escape: re.Match[bytes]) -> bytes:
        code = escape[1]
        return bytes([int(code, 8) & 255]) if code.isdigit() else _NAMED.get(code, code)

    return _ESCAPE.sub(plain, string[1:-1])


def _letters(objects: dict[int, bytes], font: bytes) -> dict[int, str]:
    table = _stream(objects[_reference(font, b"ToUnicode")])
    found: dict[int, str] = {}
    for part in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.S):
        for code, text in re.findall(rb"<(\w+)>\s*<(\w+)>", part):
            found[int(code, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    for part in re.findall(rb"beginbfrange(.*?)endbfrange", table, re.S):
        for first, last, text in re.findall(rb"<(\w+)>\s*<(\w+)>\s*<(\w+)>", part):
            for at in range(int(first, 16), int(last, 16) + 1):
                found[at] = chr(int(text, 16) + at - int(first, 16))
    return found
