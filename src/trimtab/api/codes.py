"""What each code of a problem document means: one source for the page here and the one in
the documentation.

The `type` of a problem is an address that a person can open, so it has to lead somewhere,
also where there is no network and nobody has the documentation at hand.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import Depends
from fastapi.responses import HTMLResponse

from trimtab.api import problems, strict
from trimtab.api.access import open_to_all
from trimtab.kernel.errors import TrimtabError

router = strict.router(tag="operations")

INTRODUCTION = """\
A refusal is a problem document (RFC 9457): `code` is one of these and never changes,
`title` says what it means, `detail` what happened, `field` names the input at fault where
there is one, `remedy` says what to do; where the error itself knows nothing better, it is
the one below. `request_id` is that of the header X-Request-Id, by which the log tells more.
The Python client raises the class of the same name."""

_WITHOUT_CLASS = {
    "method_not_allowed": ("405", "The address is there, but not for this method."),
    "too_large": ("413", "The body is larger than is accepted."),
    "too_many_requests": ("429", "The tenant or its credential is above a limit, which is named."),
    "too_slow": ("408", "The body did not arrive at a reasonable pace."),
    "http": ("any", "A refusal of the web server itself."),
    "internal": ("500", "A fault of ours; nothing of it is told, all of it is logged."),
}


@dataclass(frozen=True)
class Code:
    """A code, the status that it comes with, what it means, and the way out."""

    code: str
    status: str
    meaning: str
    remedy: str


def codes() -> list[Code]:
    """Every code that a problem document may carry, in order."""
    found = dict(_WITHOUT_CLASS)
    for error in _below(TrimtabError):
        if "code" in vars(error):
            found[error.code] = (str(status_of(error)), _sentence(error))
    return [
        Code(code, status, meaning, problems.WAY_OUT.get(code, ""))
        for code, (status, meaning) in sorted(found.items())
    ]


def status_of(error: type[TrimtabError]) -> int:
    """The status that a class of error is answered with."""
    return next((s for kind, s in problems.STATUS.items() if issubclass(error, kind)), 500)


@router.get(
    "/docs/errors",
    summary="What each code means",
    include_in_schema=False,
    dependencies=[Depends(open_to_all)],
)
def errors_page() -> HTMLResponse:
    """Every code of a problem document, each where its `type` says."""
    rows = "".join(
        f'<tr id="{code.code}"><th scope="row"><code>{code.code}</code></th><td>{code.status}</td>'
        f"<td>{html.escape(code.meaning)}</td><td>{html.escape(code.remedy)}</td></tr>\n"
        for code in codes()
    )
    introduction = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(INTRODUCTION))
    return HTMLResponse(
        _PAGE.format(introduction=introduction, rows=rows),
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )


def _below(kind: type[TrimtabError]) -> Iterator[type[TrimtabError]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("trimtab."):
            yield child
            yield from _below(child)


def _sentence(kind: type[TrimtabError]) -> str:
    paragraph = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.])\s", paragraph)[0]


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Errors · Trimtab</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 64rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0 }}
tr {{ border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }}
code {{ overflow-wrap: anywhere }}
@media (max-width: 640px) {{
  /* no room for four columns: each code becomes a paragraph */
  thead {{ display: none }}
  table, tbody, tr, th, td {{ display: block }}
  tr {{ padding: .6rem 0 }}
  th, td {{ padding: .1rem 0 }}
}}
tr:target {{ background: color-mix(in srgb, currentColor 12%, transparent) }}
</style>
</head>
<body>
<main>
<h1>Errors</h1>
<p>{introduction}</p>
<table>
<thead><tr><th scope="col">code</th><th scope="col">status</th><th scope="col">meaning</th>
<th scope="col">remedy</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</main>
</body>
</html>
"""
