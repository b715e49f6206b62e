"""Write the reference pages that are read off the source: events, errors, routes, metrics.

    .venv/bin/python scripts/write_reference.py

A law of the tests compares the pages with what this would write.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

import trimtab.app  # noqa: F401 - every part of the control plane is known once it is joined
from trimtab.api import codes, server
from trimtab.api.table import WHY_OPEN, Entry, table_of
from trimtab.identity.demands import Reach
from trimtab.kernel.errors import TrimtabError
from trimtab.kernel.events import Event
from trimtab.platform.metrics import Metrics
from trimtab.web import site

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "trimtab"
FOLDER = ROOT / "docs" / "reference"
GENERATED = "This page is generated from the source."
MEANING = {
    Reach.NOBODYS: "what everybody with the permission is shown",
    Reach.SEEN: "its own and the fleet's; what is another tenant's is not there",
    Reach.OWN: "its own alone; what is the fleet's or another tenant's is not there",
    Reach.CHANGED: "its own; the fleet's is refused, what is another tenant's is not there",
    Reach.ADDED: "for itself only; whoever else is named is refused",
    Reach.FLEET: "refused, whatever its roles",
}
"""What a tenant's credential meets at a route, by whose things the route touches."""


def every_event() -> list[type[Event]]:
    """Every kind of event in the source, by kind."""
    _import_all("kernel.events import")
    return sorted(_below(Event), key=lambda event: event.kind)


def every_error() -> list[type[TrimtabError]]:
    """Every class of error in the source, by code."""
    _import_all("kernel.errors import", "kernel import errors")
    return sorted(_below(TrimtabError), key=lambda error: (error.code, error.__name__))


def every_route() -> list[Entry]:
    """Every route of the interface and the pages, with what it demands."""
    app = FastAPI(openapi_url=None)
    for router in (*server.ROUTERS, *site.ROUTERS):
        app.include_router(router)
    return table_of(app.routes)


def events_page() -> str:
    """All kinds of events, by the thing they are about."""
    lines = [
        "# Events",
        "",
        "Every entry of the audit ledger is one of these. A kind never changes its name or the",
        "meaning of a field once released; fields may be added. `subject` is the id of the thing",
        f"in the heading, `tenant` whose history it belongs to. {GENERATED}",
    ]
    heading = ""
    for event in every_event():
        thing = event.kind.partition(".")[0]
        if thing != heading:
            heading = thing
            lines += [
                "",
                f"## {thing}",
                "",
                "| kind | what happened | fields |",
                "| --- | --- | --- |",
            ]
        fields = ", ".join(
            f"`{f.name}` {_type(f.type)}"
            for f in dataclasses.fields(event)
            if f.name not in ("subject", "tenant")
        )
        lines.append(f"| `{event.kind}` | {_sentence(event)} | {fields} |")
    return "\n".join([*lines, ""])


def errors_page() -> str:
    """All codes that a problem document may carry."""
    every_error()  # so that all are known
    lines = [
        "# Errors",
        "",
        f"{codes.INTRODUCTION} {GENERATED}",
        "",
        "| code | status | meaning | remedy |",
        "| --- | --- | --- | --- |",
        *(f"| `{c.code}` | {c.status} | {c.meaning} | {c.remedy} |" for c in codes.codes()),
    ]
    return "\n".join([*lines, ""])


def api_page() -> str:
    """All addresses, each with the permission that it demands and whose things it touches."""
    lines = [
        "# Addresses",
        "",
        "Every address demands one permission, or is open to everybody for a reason. *Touches*",
        "says whose things it is about, and so what a tenant's credential meets there:",
        "",
        "| touches | for a tenant's credential |",
        "| --- | --- |",
        *(f"| {reach.value} | {MEANING[reach]} |" for reach in Reach),
        "",
        "The fleet's own people and programs reach everything. [Roles, conditions and limits]"
        "(authorisation.md)",
        "say who has which permission. `/docs` and `/openapi.json` of a running control plane have",
        f"the shapes. {GENERATED}",
    ]
    for title, pages in (("Interface", False), ("Pages", True)):
        lines += [
            "",
            f"## {title}",
            "",
            "| address | permission | touches | what it does |",
            "| --- | --- | --- | --- |",
        ]
        lines += [_line(entry) for entry in every_route() if entry.page == pages]
    return "\n".join([*lines, ""])


def _line(entry: Entry) -> str:
    said = _first_sentence(inspect.getdoc(entry.route.endpoint) or entry.route.summary or "")
    permission = f"open: {WHY_OPEN.get(entry.name)}" if entry.open else f"`{entry.permission}`"
    return f"| `{entry.name}` | {permission} | {entry.reach.value} | {said} |"


def metrics_page() -> str:
    """All metrics of the control plane."""
    lines = [
        "# Metrics",
        "",
        f"`/metrics`, in Prometheus' text format. {GENERATED}",
        "",
        "| metric | kind | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    registry: CollectorRegistry = Metrics().registry
    for metric in sorted(_collectors(registry), key=lambda m: m._name):
        labels = ", ".join(metric._labelnames)
        lines.append(f"| `{metric._name}` | {metric._type} | {labels} | {metric._documentation} |")
    return "\n".join([*lines, ""])


def generated() -> dict[str, str]:
    """Every page: file name and content."""
    return {
        "events.md": events_page(),
        "errors.md": errors_page(),
        "api.md": api_page(),
        "metrics.md": metrics_page(),
    }


def _collectors(registry: CollectorRegistry) -> set[Any]:
    return set(registry._names_to_collectors.values())


def _below(kind: type[Any]) -> list[type[Any]]:
    found: list[type[Any]] = []
    for child in kind.__subclasses__():
        if child.__module__.startswith("trimtab."):
            found += [child, *_below(child)]
    return list(dict.fromkeys(found))


def _import_all(*phrases: str) -> None:
    """Import every module whose text holds one of `phrases`."""
    for path in sorted(SOURCE.rglob("*.py")):
        if path.stem != "__main__" and any(p in path.read_text("utf-8") for p in phrases):
            parts = path.relative_to(SOURCE.parent).with_suffix("").parts
            importlib.import_module(".".join(parts).removesuffix(".__init__"))


def _sentence(kind: type[Any]) -> str:
    return _first_sentence(inspect.getdoc(kind) or "")


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.])\s", paragraph)[0].replace("|", "\\|")


def _type(annotation: Any) -> str:
    return str(annotation).replace("|", "\\|")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in generated().items():
        (FOLDER / name).write_text(content, "utf-8")
