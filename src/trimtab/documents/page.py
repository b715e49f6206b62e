"""A page that is one file: no address outside it, no script."""

from __future__ import annotations

from collections.abc import Iterable

from trimtab.documents import words

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_RING = '<circle cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" stroke-width="1.6"/>'
_SHAPES = {
    "disc": '<circle cx="6" cy="6" r="5" fill="currentColor"/>',
    "ring": _RING,
    "half": f'{_RING}<path d="M6 1.8a4.2 4.2 0 0 1 0 8.4z" fill="currentColor"/>',
    "cross": '<path d="M2 2l8 8M10 2l-8 8" stroke="currentColor" stroke-width="2.2" '
    'stroke-linecap="round"/>',
    "triangle": '<path d="M6 .8l5.4 10H.6z" fill="currentColor"/>',
    "diamond": '<path d="M6 .6l5.4 5.4L6 11.4.6 6z" fill="currentColor"/>',
    "dash": '<path d="M1.5 6h9" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"/>',
}
_BRAND = (
    '<svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true"><rect width="32" '
    'height="32" rx="7" fill="#0b5566"/><path d="M7 21c4.5-6 9-9 18-9" fill="none" stroke="#fff" '
    'stroke-width="3" stroke-linecap="round"/><path d="M19 21l6-3.2v6.4z" fill="#9fd8e2"/></svg>'
)


def page(
    title: str, kind: str, body: str, *, sheet: str, shapes: Iterable[str], foot: str = ""
) -> str:
    """The whole page.

    Args:
        title: What its window is called, escaped.
        kind: What it is, beside the name of the program.
        body: What stands in it, and `foot` below it.
        sheet: Its styles.
        shapes: The shapes that it draws by name.
    """
    symbols = "".join(
        f'<symbol id="shape-{name}" viewBox="0 0 12 12">{_SHAPES[name]}</symbol>' for name in shapes
    )
    return words.encodable(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{' '.join(sheet.split())}</style></head><body>"
        '<a class="skip" href="#main">To the content</a>'
        f'<svg class="shapes" aria-hidden="true">{symbols}</svg>'
        f'<header class="top"><div><span class="brand">{_BRAND}Trimtab</span>'
        f'<span class="soft">{kind}</span></div></header><main id="main">{body}</main>'
        f"{foot}</body></html>\n"
    )
