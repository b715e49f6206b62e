"""From a Vega-Lite specification to a picture in the page: drawn here, coloured there.

The renderer knows no light and no dark. Specifications name colours by tokens, each a hex
number that nothing else uses; in the finished SVG every token becomes a variable of the
style sheet, so that one picture is right in both.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import vl_convert
from markupsafe import Markup, escape

_TOKENS = (
    *("ink", "soft", "line", "strong-line", "grid", "surface", "sea", "good", "wait", "bad"),
    *("band", "x-none", "x-shadow", "x-canary", "x-stable", "x-back", "wash-bad"),
)
_HEX = {name: f"#f1e2{number:02x}" for number, name in enumerate(_TOKENS, start=0x11)}
_NAMES = {hexadecimal: name for name, hexadecimal in _HEX.items()}
_COLOUR = re.compile(r'(fill|stroke)="(#f1e2[0-9a-f]{2})"')
_LINK = re.compile(r'xlink:href="https://vega\.github\.io/vega-datasets/+')
_FRAME = re.compile(r'^<svg [^>]*viewBox="([^"]*)"[^>]*>')
_CONTAINER = re.compile(r' role="graphics-[a-z]+" aria-roledescription="[a-z ]*container"')
_CACHED = 256

WIDE, NARROW = 520, 300
"""How wide a picture of half a page is drawn, in pixels."""

Spec = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One picture in two widths; the style sheet shows the one that fits."""

    wide: Markup
    narrow: Markup


def token(name: str) -> str:
    """The stand-in for a variable of the style sheet, without its dashes.

    Raises:
        KeyError: the style sheet has no such colour.
    """
    return _HEX[name]


def config() -> Spec:
    """How every picture of ours is set: quiet axes, no frames, our letters."""
    return {
        "background": None,
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            "domain": False,
            "ticks": False,
            "gridColor": token("grid"),
            "labelColor": token("soft"),
            "titleColor": token("soft"),
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": 500,
            "labelPadding": 6,
        },
        "title": {"color": token("ink"), "fontSize": 12, "fontWeight": 600, "anchor": "start"},
    }


def svg(spec: Mapping[str, Any], says: str) -> Markup:
    """`spec` drawn; `says` is what the picture shows, for whoever cannot see it."""
    whole = {**spec, "config": {**config(), **spec.get("config", {})}}
    text = json.dumps(whole, sort_keys=True, allow_nan=False, default=str)
    return _finished(_drawn(text), says)


@functools.lru_cache(_CACHED)
def _drawn(text: str) -> str:
    """The renderer's own SVG; nothing is fetched, whatever the specification says."""
    return str(vl_convert.vegalite_to_svg(text, allowed_base_urls=[]))


def _finished(drawn: str, says: str) -> Markup:
    coloured = _COLOUR.sub(lambda m: f'{m[1]}="var(--{_NAMES[m[2]]})"', drawn)
    # A container has no name, and what has a role in a picture must have one.
    linked = _LINK.sub('href="/', _CONTAINER.sub("", coloured))
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="\\1" aria-label="{escape(says)}" '
    role = "group" if 'href="/' in linked else "img"
    # Every text in it was escaped by the renderer; nothing of it is ours to trust further.
    return Markup(_FRAME.sub(lambda m: m.expand(frame) + f'role="{role}">', linked, count=1))
