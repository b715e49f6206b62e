"""Whatever is thrown at an address is answered, and a refusal says where and what to do.

Bounded and seeded: the same requests each time, so that what fails can be thrown again.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from trimtab.identity.roles import ROLES
from trimtab.sdk import shapes

SEED = 20150301
AT_EACH_ADDRESS = 8

TEXTS = [
    "",
    " ",
    "x",
    "\x00",
    "\u202e",
    "a\nb",
    "é" * 300,
    "-1",
    "9" * 25,
    "NaN",
    "1e999",
    "null",
    "[]",
    "../../etc/passwd",
    "'; DROP TABLE models;--",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2015-03-01",
    "sha256:" + "0" * 64,
]
VALUES: list[Any] = [
    *TEXTS,
    None,
    True,
    -1,
    0.5,
    1 << 70,
    float("nan"),
    float("inf"),
    "\ud800",
    [],
    {},
    [[[[{}]]]],
    {"a": "\x00"},
    [None] * 50,
]
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe",
    b'{"a": 1, "a": 2}',
    b'{"reason": NaN}',
    b'{"reason": ' + b"9" * 5000 + b"}",
    b"[" * 5000,
    b'{"a":' * 60 + b"1" + b"}" * 60,
    b"--b\r\nx\r\n--b--",
]
GOOD: dict[str, dict[str, Any]] = {
    "NewModel": {
        "name": "thrown",
        "owner": "somebody",
        "risk_facts": {"pii": True, "annual_financial_impact_usd": 1.0},
        "features": [{"name": "x", "kind": "numeric"}],
        "label": "y",
        "reason": "thrown at it",
    },
    "NewAccount": {"name": "thrown", "roles": ["feed"], "tenant": "aa"},
    "NewPerson": {"email": "t@x", "name": "t", "roles": ["auditor"], "password": "x" * 20},
    "NewRoles": {"roles": ["auditor", {"role": "on_call", "tiers": [3]}], "reason": "thrown"},
    "NewTenant": {"id": "thrown", "name": "thrown"},
    "NewVote": {"approve": True, "digest": "sha256:" + "0" * 64, "reason": "thrown at it"},
    "NewRollout": {"model": "thrown", "version": "1.0.0", "reason": "thrown at it"},
    "NewRemediation": {"incident_id": "x", "action": "notify_team", "reason": "thrown at it"},
    "Credentials": {"email": "admin@localhost", "password": "wrong"},
    "Because": {"reason": "thrown at it"},
    "TokenKeyRotation": {"reason": "thrown at it"},  # at once, it would log the house out
}
"""Bodies in which one thing at a time is made wrong."""

TYPES = [
    "application/json",
    "application/json",
    "application/json",
    "application/vnd.apache.arrow.stream",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "text/plain",
    "",
]
UNNAMED = {401, 403, 429}
"""Refusals of the caller; there is no input at fault."""


@dataclass
class Address:
    """A route as the description of the interface has it."""

    method: str
    path: str
    parameters: list[dict[str, Any]]
    members: list[str]
    good: dict[str, Any]
    chance: random.Random

    def request(self, client: httpx.Client) -> httpx.Request:
        """One request of those that nobody meant."""
        path, query, headers = self.path, list[tuple[str, str]](), dict[str, str]()
        for parameter in self.parameters:
            name, text = parameter["name"], self.chance.choice(TEXTS)
            match parameter["in"]:
                case "path":
                    path = path.replace(f"{{{name}}}", quote(text or "x", safe=""))
                case "query" if self.chance.random() < 0.6:
                    query.append((name, text))
                case "header" if self.chance.random() < 0.8:
                    headers[name] = text.encode("ascii", "ignore").decode().replace("\x00", "")
        if self.chance.random() < 0.2:
            query.append((self.chance.choice(["tenant", "", "as_of", "\x00"]), "x"))
        if self.members or self.chance.random() < 0.2:
            content = self._body()
            headers["Content-Type"] = self.chance.choice(TYPES)
        else:
            content = b""
        headers = {k: " ".join(v.split()) for k, v in headers.items()}
        return client.build_request(
            self.method, path, params=urlencode(query), content=content, headers=headers
        )

    def _body(self) -> bytes:
        if self.chance.random() < 0.3:
            return self.chance.choice(BODIES)
        if self.good:
            found = copy.deepcopy(self.good)
            self._spoil(found)
        else:
            found = {name: self.chance.choice(VALUES) for name in self.members}
        return json.dumps(found).encode()

    def _spoil(self, found: Any) -> None:
        place = self.chance.choice([*found] if isinstance(found, dict) else range(len(found)))
        if isinstance(found[place], dict | list) and self.chance.random() < 0.7:
            self._spoil(found[place])
        else:
            found[place] = self.chance.choice(VALUES)


def addresses(described: dict[str, Any], chance: random.Random) -> Iterator[Address]:
    """Every route of the interface, with what it says it takes."""
    for path, verbs in sorted(described["paths"].items()):
        for method, operation in verbs.items():
            content = operation.get("requestBody", {}).get("content", {})
            members, good = list[str](), dict[str, Any]()
            for kind in content.values():
                name = kind["schema"].get("$ref", "").rpartition("/")[2]
                shape = described["components"]["schemas"].get(name, {})
                members = [*shape.get("properties", {"epoch": {}})]
                good = GOOD.get(name, {})
            parameters = operation.get("parameters", [])
            yield Address(method.upper(), path, parameters, members, good, chance)


def complaint(answer: httpx.Response) -> str | None:
    """What is wrong with an answer, or None."""
    if answer.status_code < 400:
        return None
    if answer.status_code >= 500:
        return "it failed"
    if answer.headers["content-type"] != "application/problem+json":
        return "no problem document"
    body = answer.json()
    lacking = [name for name in ("type", "title", "code", "remedy") if not body.get(name)]
    if not body.get("field") and answer.status_code not in UNNAMED:
        lacking.append("field")
    return f"it lacks {', '.join(lacking)}" if lacking else None


@pytest.fixture(scope="module")
def everything(house: Any) -> Iterator[httpx.Client]:
    """Somebody who may do everything that an account may, so that nothing is refused early."""
    account = shapes.NewAccount(name="thrower", roles=sorted(ROLES))
    key = house.admin.identity.add_account(account).key
    with httpx.Client(base_url=house.url, headers={"X-Api-Key": key}, timeout=30) as client:
        yield client


def test_no_request_that_nobody_meant_brings_a_fault_out(everything: httpx.Client) -> None:
    chance = random.Random(SEED)
    described = everything.get("/openapi.json").json()
    found = list(addresses(described, chance))
    assert len(found) > 35
    wrong, refused, thrown = [], 0, 0
    for address in found:
        for _ in range(AT_EACH_ADDRESS):
            request = address.request(everything)
            answer = everything.send(request)
            thrown += 1
            refused += answer.status_code >= 400
            if why := complaint(answer):
                asked = f"{request.method} {request.url} {request.content[:200]!r}"
                wrong.append(f"{why}: {answer.status_code} {asked} {answer.text[:300]}")
    assert not wrong, "\n".join(wrong)
    assert thrown >= 300
    assert refused > 0.8 * thrown, (refused, thrown)
