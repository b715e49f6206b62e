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
from trimtab.api import codes, description, server
from trimtab.api.table import WHY_OPEN, Entry, table_of
from trimtab.identity.demands import Reach
from trimtab.kernel.errors import TrimtabError
from trimtab.kernel.events import Event, Note
from trimtab.platform.metrics import Metrics
from trimtab.policies.loader import preset_names
from trimtab.sdk.shapes import base
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


WRITTEN = {
    base.SLUG: "a-z, 0-9 and -",
    base.SEMVER: "as 1.2.3",
    base.DIGEST: "sha256: and 64 hex digits",
    base.EMAIL: "an e-mail address",
    base.LINE: "one line",
    base.LINES: "nothing that cannot be seen",
    base.NO_NUL: "no NUL",
    base.WHY: "nothing that cannot be seen",
    base.ID: "an id",
    base.VISIBLE: "printable ASCII without spaces",
    base.PERMISSION: "a permission, as models:read",
    base.REFERENCE: "env:NAME or file:NAME",
    base.WEB_ADDRESS: "an address, http or https",
    base.NETWORK: "a network, as 10.2.0.0/16",
}
"""How a text is written, for a pattern that nobody reads."""

Json = dict[str, Any]


def every_event() -> list[type[Event]]:
    """Every kind of event in the source, by kind."""
    _import_all("kernel.events import")
    return sorted(set(_below(Event)) - {Note}, key=lambda event: event.kind)


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
        f"the shapes, [Bodies](#bodies) those of what is sent. {GENERATED}",
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
    return "\n".join([*lines, "", *bodies()])


def described() -> Json:
    """The description of the interface, as a control plane with our policies gives it."""
    app = FastAPI()
    for router in server.ROUTERS:
        app.include_router(router)
    description.install(app, server.ROUTERS, preset_names())
    return app.openapi()


def bodies() -> list[str]:
    """What is sent to the addresses that change something: those that take the same together."""
    whole = described()
    known = whole["components"]["schemas"]
    places: dict[str, list[str]] = {}
    streams: list[str] = []
    for entry in every_route():
        operation = whole["paths"].get(entry.path, {}).get(entry.method.lower(), {})
        for media, body in operation.get("requestBody", {}).get("content", {}).items():
            where = f"`{entry.name}`" + ("" if media == "application/json" else f" as `{media}`")
            names = _named(body["schema"])
            for name in names:
                places.setdefault(name, []).append(where)
            if not names:
                streams.append(f"* {where}: {body['schema'].get('description', 'any object.')}")
    lines = [
        "## Bodies",
        "",
        "What is sent, as JSON where nothing else is said. A member that is not here is refused.",
        "An address that changes something and is not here takes no body.",
        "",
        *streams,
    ]
    waiting = list(places)
    for name in waiting:  # and what is in them, behind them
        lines += ["", f"### {_title(name)}", "", f"{_said(places[name])}.", ""]
        lines += ["| field | type | | limits | meaning |", "| --- | --- | --- | --- | --- |"]
        for field, schema in known[name]["properties"].items():
            lines.append(_field(field, schema, field in known[name].get("required", ())))
            for inner in _within(schema):
                if inner not in places:
                    waiting.append(inner)
                places.setdefault(inner, []).append(f"in `{field}` of {_link(name)}")
    return [*lines, ""]


def _said(places: list[str]) -> str:
    text = ", ".join(places)
    return text[:1].upper() + text[1:]


def _named(schema: Json) -> list[str]:
    """The shapes that a schema is, or may be."""
    choices = schema.get("anyOf", [schema])
    return [choice["$ref"].rpartition("/")[2] for choice in choices if "$ref" in choice]


def _within(schema: Json) -> list[str]:
    """The shapes that a field holds; one that is sent as text names them in its description."""
    told = re.findall(r"see (\w+)$", schema.get("description", ""))
    return [*_named(schema), *_named(schema.get("items", {})), *told]


def _title(name: str) -> str:
    """What a shape is called here; that of a form is made of the name of its route."""
    return name.removesuffix("Shape").replace("Body_upload_", "Upload_").partition("_")[0]


def _link(name: str) -> str:
    return f"[{_title(name)}](#{_title(name).lower()})"


def _field(name: str, schema: Json, required: bool) -> str:
    choices = [c for c in schema.get("anyOf", [schema]) if c.get("type") != "null"]
    null = " or null" if len(choices) < len(schema.get("anyOf", [schema])) else ""
    kind = " or ".join(_kind(choice) for choice in choices) + null
    limits = "; ".join(filter(None, ("; ".join(_limits(choice)) for choice in choices)))
    default = schema.get("default")
    has = "" if default in (None, {}, "") else f", else `{str(default).lower()}`"
    must = "required" if required else f"may be left out{has}"
    return f"| `{name}` | {kind} | {must} | {limits} | {schema.get('description', '')} |"


def _kind(schema: Json) -> str:
    if "$ref" in schema:
        return _link(_named(schema)[0])
    if schema.get("format") == "date-time":
        return "moment"
    if schema.get("contentMediaType") == "application/octet-stream":
        return "file"
    if schema["type"] == "array":
        items = schema["items"]
        return "list of " + " or ".join(_kind(choice) for choice in items.get("anyOf", [items]))
    kind = str(schema["type"])
    plain = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return plain.get(kind, kind)


def _limits(schema: Json) -> list[str]:
    found = []
    for unit, least, most in (
        ("characters", "minLength", "maxLength"),
        ("entries", "minItems", "maxItems"),
        ("members", "minProperties", "maxProperties"),
        ("", "minimum", "maximum"),
    ):
        ends = [schema.get(least), schema.get(most)]
        if ends[1] is not None:
            low = 0 if ends[0] is None else ends[0]
            span = f"{low:g} to {ends[1]:g}" if low != ends[1] else f"{low:g}"
            found.append(f"{span} {unit}".strip())
        elif ends[0] is not None:
            found.append(f"at least {ends[0]:g} {unit}".strip())
    if choices := [choice for choice in schema.get("enum", ()) if choice != ""]:
        found.append("one of " + ", ".join(f"`{choice}`" for choice in choices))
    if "pattern" in schema:
        found.append(WRITTEN[schema["pattern"]])
    if (items := schema.get("items")) is not None:
        kinds = items.get("anyOf", [items])
        found += [f"each: {limit}" for kind in kinds for limit in _limits(kind)]
    return found


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
