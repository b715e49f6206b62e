"""What the address of a page may carry: what the page declares, each once, and nothing else.

Whoever misspells a filter must not take the unfiltered page for the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from fastapi.routing import APIRoute

from trimtab.kernel.errors import InvalidInput

_LONGEST = 80


def declared(route: APIRoute, *more: str) -> tuple[str, ...]:
    """The parameters that the query of a page may have: those it declares, and `more`."""
    found, waiting = [*more], [route.dependant]
    while waiting:
        part = waiting.pop()
        found += [parameter.alias for parameter in part.query_params]
        waiting += part.dependencies
    return tuple(sorted(set(found)))


def demand_known(request: Request, known: tuple[str, ...], done: Mapping[str, str]) -> None:
    """Make sure that a query asks for nothing that the page does not know.

    Args:
        request: The request for a page.
        known: The parameters that it may have.
        done: What `done` may say.

    Raises:
        InvalidInput: a parameter is not known, stands there twice, or says what none may.
    """
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            said = ", ".join(n for n in known if n != "done") or "none"
            raise InvalidInput(
                f"this page has no parameter {ascii(name)[:_LONGEST]}",
                field=name[:_LONGEST] or "query",
                remedy=f"take it out of the address; the parameters of this page are: {said}",
            )
        if name in seen:
            raise InvalidInput(f"{name} stands there twice", field=name, remedy="give it once")
        if "\x00" in value:  # some databases keep no text with it
            raise InvalidInput(f"{name} holds the character NUL", field=name)
        if name == "done" and value not in done:
            raise InvalidInput(
                f"nothing that can be done here is called {ascii(value)[:_LONGEST]}",
                field=name,
                remedy="take it out of the address",
            )
        seen.add(name)
    for name, value in request.path_params.items():
        if "\x00" in str(value):
            raise InvalidInput(f"{name} holds the character NUL", field=name)
