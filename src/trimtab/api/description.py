"""The description of the interface (OpenAPI), made whole: it is the contract.

FastAPI describes what a route takes and what it answers when all is well. What every route
has besides is added here, read off the route itself: the credentials that it takes, the
header that narrows to a tenant, each refusal that it can answer with, and which answers lead
on to which addresses.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from trimtab.api import problems
from trimtab.api.access import Demand
from trimtab.identity.roles import ROLES
from trimtab.kernel.events import kinds
from trimtab.sdk import shapes

Json = dict[str, Any]

REFUSALS = {
    400: "The body is not whole.",
    401: "No credential, or one that is of no use.",
    403: "The credential may not do this.",
    404: "There is no such thing for this tenant.",
    408: "The body came too slowly.",
    409: "It was moved meanwhile, exists with other content, or may not be moved so.",
    413: "The body is too large.",
    415: "The body is of a kind that is not taken here.",
    416: "The file does not have these bytes.",
    422: "The request is not as it must be.",
    429: "Requests come faster than is allowed; try again after `Retry-After`.",
    503: "A part that is needed does not answer; try again after `Retry-After`.",
}
"""What each status of a refusal says, whatever the address."""

PROBLEM = {"$ref": "#/components/schemas/ProblemShape"}
REQUEST_ID = {
    "description": "The id of this request, by which the log tells more.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
CREDENTIALS = {
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "token": {"type": "http", "scheme": "bearer"},
}
TENANT = {
    "name": "X-Tenant-Id",
    "in": "header",
    "required": False,
    "description": "Narrow the request to this tenant.",
    "schema": {"type": "string", "pattern": shapes.SLUG, "maxLength": 63},
}
LINKS: dict[str, dict[str, tuple[str, str, str]]] = {
    "register_api_v1_models_post": {
        "get": ("get_model_api_v1_models__model__get", "model", "name"),
        "versions": ("list_versions_api_v1_models__model__versions_get", "model", "name"),
        "deployments": ("list_deployments_api_v1_models__model__deployments_get", "model", "name"),
        "windows": (
            "list_windows_api_v1_monitoring_models__model__windows_get",
            "model",
            "name",
        ),
    },
    "add_account_api_v1_service_accounts_post": {
        "revoke": ("revoke_key_api_v1_keys__key__delete", "key", "key_id"),
    },
}
"""Of an operation: what to ask next, as operation, parameter, and the field it is read from."""


NO_NUL = "^[^\\u0000]*$"
PARAMETERS = {
    "model": shapes.SLUG,
    "tenant": shapes.SLUG,
    "version": f"{shapes.SEMVER}|^[1-9][0-9]{{0,8}}$",
    **dict.fromkeys(("approval", "incident", "key", "remediation", "rollout"), shapes.ID),
}
"""What the text of a parameter is made of. Of another kind there is nothing, so that it is
answered with 404."""


def install(app: FastAPI, routers: Iterable[APIRouter], policies: Iterable[str]) -> None:
    """Let `app` describe itself whole; made once, when it is first asked for."""
    plain, lock = app.openapi, threading.Lock()
    routes = [route for router in routers for route in router.routes]
    made: list[Json] = []

    def whole() -> Json:
        with lock:
            if not made:
                found = plain()
                complete(found, [route for route in routes if isinstance(route, APIRoute)])
                _name_what_there_is(found["components"]["schemas"], sorted(policies))
                made.append(found)
            return made[0]

    app.openapi = whole  # type: ignore[method-assign]  # FastAPI's own way to extend it


def complete(description: Json, routes: Iterable[APIRoute]) -> None:
    """Add to `description` what FastAPI does not know of `routes`."""
    parts = description.setdefault("components", {})
    parts["securitySchemes"] = CREDENTIALS
    known = parts.setdefault("schemas", {})
    known["ProblemShape"] = shapes.ProblemShape.model_json_schema()
    for shape in (shapes.NewVersion, shapes.NewHandOver):  # text in a form, to FastAPI
        known[shape.__name__] = shape.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    for route in routes:
        for method in route.methods or ():
            operation = description["paths"].get(route.path, {}).get(method.lower())
            if operation is not None:
                _complete(operation, route, method)


def _complete(operation: Json, route: APIRoute, method: str) -> None:
    if is_closed(route):
        operation["security"] = [{name: []} for name in CREDENTIALS]
        operation.setdefault("parameters", []).append(TENANT)
    else:
        operation["security"] = []
    for parameter in operation.get("parameters", ()):
        _describe(parameter)
    answers = operation["responses"]
    answers.pop("422", None)
    for status in refusals(route, method):
        answer = answers.setdefault(str(status), {"description": REFUSALS[status]})
        answer.setdefault("content", {})[problems.MEDIA_TYPE] = {"schema": PROBLEM}
    for answer in answers.values():
        answer.setdefault("headers", {})["X-Request-Id"] = REQUEST_ID
    for code, header in (
        ("401", "WWW-Authenticate"),
        ("429", "Retry-After"),
        ("503", "Retry-After"),
    ):
        if code in answers:
            answers[code]["headers"][header] = {"required": True, "schema": {"type": "string"}}
    _lead_on(operation)


def _name_what_there_is(known: Json, policies: list[str]) -> None:
    """What is a choice among names that only this control plane knows."""
    known["NewModel"]["properties"]["policy"]["enum"] = ["", *policies]
    for name, shape in known.items():
        if name.startswith("Body_"):  # forms are as strict as JSON
            shape["additionalProperties"] = False
    for name in ("NewPerson", "NewRoles", "NewAccount"):
        plain, _ = known[name]["properties"]["roles"]["items"]["anyOf"]
        plain["enum"] = sorted(ROLES)
    known["ConditionalRole"]["properties"]["role"]["enum"] = sorted(ROLES)


def _describe(parameter: Json) -> None:
    """Say of a parameter what its text is made of."""
    choices = parameter["schema"].get("anyOf", [parameter["schema"]])
    for schema in choices:
        if parameter["name"] == "kind":
            schema.get("items", {})["enum"] = sorted(kinds())
        elif schema.get("type") == "string" and not {"pattern", "enum", "format"} & schema.keys():
            schema["pattern"] = PARAMETERS.get(parameter["name"], NO_NUL)


def _lead_on(operation: Json) -> None:
    for name, (target, parameter, field) in LINKS.get(operation["operationId"], {}).items():
        link = {
            "operationId": target,
            "parameters": {parameter: f"$response.body#/{field}"},
        }
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                answer.setdefault("links", {})[name] = link


def refusals(route: APIRoute, method: str) -> Iterator[int]:
    """Every status of a refusal that `route` can answer `method` with."""
    if takes_body(route):
        yield from (400, 408, 413, 415)
    if is_closed(route):
        yield from (401, 403, 404)
    elif takes_body(route):
        yield 401  # what is in the body is itself a credential
    if method != "GET":
        yield 409
    if route.path.startswith("/api/"):
        yield 422  # parameters that it does not declare
        yield 429
    if route.path != "/metrics":
        yield 503
    yield from MORE.get((method, route.path), ())


MORE = {("GET", "/api/ml/model/download"): (409, 416)}
"""Refusals of some addresses alone: stored bytes that are not what was signed, a range."""


def is_closed(route: APIRoute) -> bool:
    """Whether `route` demands a credential."""
    waiting = list(route.dependant.dependencies)
    while waiting:
        part = waiting.pop()
        if isinstance(part.call, Demand):
            return True
        waiting += part.dependencies
    return False


def takes_body(route: APIRoute) -> bool:
    """Whether `route` reads a body."""
    return route.body_field is not None or "requestBody" in (route.openapi_extra or {})
