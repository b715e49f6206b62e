"""Requests that a service signs: by nobody else, of nothing else, now, and once."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from tests.api.plane import BECAUSE, MODELS, Plane, plane_in
from tests.tables import tables_of_records

from trimtab.audit.work import Records
from trimtab.identity import credential_store, store
from trimtab.identity.brakes import Brakes
from trimtab.identity.signed import SKEW, Nonces
from trimtab.kernel.clock import SteppedClock, SystemClock
from trimtab.kernel.errors import NotAuthenticated, NotFound, NotPermitted, Unavailable
from trimtab.sdk import request_signing, shapes
from trimtab.sdk.client import Client
from trimtab.sdk.request_signing import Signature, Signer, canonical, sign, signing_key

TENANTS = "/api/v1/tenants"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane_in(tmp_path_factory.mktemp("plane") / "home") as found:
        yield found


@pytest.fixture
def plane(opened: Plane) -> Plane:
    """The house, after its limits of guessing have forgotten what the last test did."""
    object.__setattr__(opened.parts, "brakes", Brakes())
    return opened


@pytest.fixture(scope="module")
def issued(opened: Plane) -> dict[str, Any]:
    """The key of a program that may manage people and look at models."""
    return opened.account("signing", "admin")


def signed(
    issued: dict[str, Any], method: str, target: str, body: bytes = b"", /, **changes: Any
) -> dict[str, str]:
    """The headers of a request, signed as the reference describes it and with no code of ours;
    `changes` are made to the fields before they are signed."""
    key_id, secret = issued["key"].split(".")
    own = changes.pop("headers", {})
    fields = {
        "key": key_id,
        "timestamp": str(int(time.time())),
        "nonce": f"n{time.monotonic_ns():021}",
        "digest": hashlib.sha256(body).hexdigest(),
    } | changes
    lines = [
        "Trimtab-HMAC-SHA256", fields["key"], fields["timestamp"], fields["nonce"], method,
        target, fields["digest"],
        *(f"{n}:{own.get(n, '')}" for n in ("content-type", "idempotency-key", "x-tenant-id")),
    ]  # fmt: skip
    key = HKDF(hashes.SHA256(), 32, salt=None, info=b"trimtab request signing v1").derive(
        secret.encode()
    )
    signature = hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    said = ", ".join(f"{name}={value}" for name, value in fields.items())
    return {"Authorization": f"Trimtab-HMAC-SHA256 {said}, signature={signature}", **own}


def get(plane: Plane, target: str, headers: dict[str, str]) -> httpx.Response:
    return plane.http("192.0.2.50", **headers).get(target)


def test_a_request_signed_by_the_description_is_taken(plane: Plane, issued: dict[str, Any]) -> None:
    assert get(plane, MODELS, signed(issued, "GET", MODELS)).status_code == 200
    target = f"{MODELS}?limit=1&as_of=2031-01-01T00%3A00%3A00Z"
    answer = get(plane, target, signed(issued, "GET", target))
    assert answer.status_code in (200, 422), answer.text
    assert issued["key"].split(".")[1] not in str(signed(issued, "GET", MODELS))


def test_the_example_of_the_reference() -> None:
    """The text and the signature that docs/reference/authentication.md gives."""
    said = Signature(
        "ak_0000000000000000", 1924992000, "MDEyMzQ1Njc4OWFiY2RlZg",
        hashlib.sha256(b'{"reason":"drill"}').hexdigest(),
    )  # fmt: skip
    text = canonical(
        said, "POST", "/api/v1/people/usr_1/disable", {"content-type": "application/json"}
    )
    signature = sign(signing_key("A" * 43), text)
    page = (request_signing.__doc__ or "") + open_page()
    assert text.decode() in page
    assert signature in page


def open_page() -> str:
    page = Path(__file__).parents[2] / "docs" / "reference" / "authentication.md"
    return page.read_text("utf-8")


def test_a_form_with_files_is_signed(plane: Plane, issued: dict[str, Any], refuses: Any) -> None:
    target = f"{MODELS}/none/versions"
    files = {name: (name, b"x" * 5000) for name in ("artifact", "reference", "holdout")}
    request = httpx.Request("POST", plane.origin + target, files=files, data={"metadata": "{}"})
    body = request.read()
    kind = {"content-type": request.headers["Content-Type"]}
    client = plane.http("192.0.2.54")
    good = signed(issued, "POST", target, body, headers=kind)
    assert client.post(target, content=body, headers=good).status_code in (403, 404, 422)
    wrong = signed(issued, "POST", target, body, headers=kind)
    changed = body.replace(b"xxx", b"xyx", 1)
    refuses(client.post(target, content=changed, headers=wrong), 401, "not_authenticated")


def test_the_client_signs_all_kinds_of_requests(plane: Plane, issued: dict[str, Any]) -> None:
    with Client(plane.origin, key=issued["key"], signed=True) as client:
        assert list(client.models.list()) == []
        client.identity.add_tenant(shapes.NewTenant(id="signed", name="Signed & sealed"))
        assert "X-Api-Key" not in client._wire._http.headers
        with pytest.raises(NotFound):
            client.models.get("no such/model?")
        with pytest.raises(NotPermitted, match="labels:write"):
            client.send_labels("nothing", "batch 1", b"\x00\xff" * 1000)
    with (
        Client(plane.origin, key=issued["key"], tenant="signed", signed=True) as narrowed,
        pytest.raises(Exception, match="tenant"),
    ):
        narrowed.identity.add_tenant(shapes.NewTenant(id="other", name="Other"))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", MODELS + "?limit=1"),
        ("GET", MODELS + "/"),
        ("GET", "/api/v1/rollouts"),
        ("HEAD", MODELS),
        ("POST", MODELS),
        ("get", MODELS),
    ],
)
def test_a_signature_is_of_one_address(
    plane: Plane, issued: dict[str, Any], refuses: Any, method: str, target: str
) -> None:
    refuses(get(plane, MODELS, signed(issued, method, target)), 401, "not_authenticated")


def test_a_body_that_was_changed_does_nothing(
    plane: Plane, issued: dict[str, Any], refuses: Any
) -> None:
    body = b'{"id": "good", "name": "Good"}'
    kind = {"content-type": "application/json"}
    client = plane.http("192.0.2.51")
    for sent in (body.replace(b"good", b"evil"), body + b" ", body[:-1], b""):
        headers = signed(issued, "POST", TENANTS, body, headers=kind)
        answer = client.post(TENANTS, content=sent, headers=headers)
        refuses(answer, 401, "not_authenticated")
    with plane.parts.records.look() as reading:
        assert not store.tenant_exists(reading, "evil")
        assert not store.tenant_exists(reading, "good")
    headers = signed(issued, "POST", TENANTS, body, headers=kind)
    assert client.post(TENANTS, content=body, headers=headers).status_code == 201


def test_a_body_in_parts_is_held_to_its_digest(
    plane: Plane, issued: dict[str, Any], refuses: Any
) -> None:
    parts = [b'{"id": "parts", ', b'"name": "In ', b'parts"}']
    kind = {"content-type": "application/json"}
    good = signed(issued, "POST", TENANTS, b"".join(parts), headers=kind)
    client = plane.http("192.0.2.52")
    wrong = signed(issued, "POST", TENANTS, b"".join(parts[:2]), headers=kind)
    refuses(client.post(TENANTS, content=iter(parts), headers=wrong), 401, "not_authenticated")
    assert client.post(TENANTS, content=iter(parts), headers=good).status_code == 201


@pytest.mark.parametrize("name", ["X-Tenant-Id", "Content-Type", "Idempotency-Key"])
def test_a_header_that_decides_is_signed(
    plane: Plane, issued: dict[str, Any], refuses: Any, name: str
) -> None:
    """Taken away, added or changed by somebody on the way: a narrowed request stays narrow."""
    narrowed = signed(issued, "GET", MODELS, headers={name.lower(): "good"})
    taken = {k: v for k, v in narrowed.items() if k == "Authorization"}
    refuses(get(plane, MODELS, taken), 401, "not_authenticated")
    changed = {**narrowed, name.lower(): "evil"}
    refuses(get(plane, MODELS, changed), 401, "not_authenticated")
    bare = {**signed(issued, "GET", MODELS), name: "good"}
    refuses(get(plane, MODELS, bare), 401, "not_authenticated")


@pytest.mark.parametrize("seconds", [-301, 301, -100_000, 10**9])
def test_it_is_now_give_or_take_five_minutes(
    plane: Plane, issued: dict[str, Any], refuses: Any, seconds: int
) -> None:
    edge = str(int(time.time()) + (290 if seconds > 0 else -290))
    assert get(plane, MODELS, signed(issued, "GET", MODELS, timestamp=edge)).status_code == 200
    while True:
        moment = int(time.time()) + seconds
        answer = get(plane, MODELS, signed(issued, "GET", MODELS, timestamp=str(moment)))
        if seconds < 0 or time.time() < moment - 300:
            break  # else it may have come when it was good: this machine is slow, so once more
    assert "clock" in refuses(answer, 401, "not_authenticated")["remedy"]


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": "soon"},
        {"timestamp": "-5"},
        {"timestamp": "1e9"},
        {"timestamp": "0" + str(10**9)},
        {"timestamp": "9" * 30},
        {"nonce": "short"},
        {"nonce": "x" * 65},
        {"nonce": "a b" * 10},
        {"digest": "0" * 63},
        {"digest": "G" * 64},
        {"key": "ak_unknown"},
        {"key": "ak_0000000000000000"},
    ],
    ids=str,
)
def test_fields_in_another_form(
    plane: Plane, issued: dict[str, Any], refuses: Any, changes: dict[str, Any]
) -> None:
    answer = get(plane, MODELS, signed(issued, "GET", MODELS, **changes))
    refuses(answer, 401, "not_authenticated")


def test_a_signature_of_another_key(plane: Plane, issued: dict[str, Any], refuses: Any) -> None:
    other = plane.account(f"a{time.monotonic_ns()}")
    mixed = {"key": issued["key_id"] + "." + other["key"].split(".")[1]}
    refuses(get(plane, MODELS, signed(mixed, "GET", MODELS)), 401, "not_authenticated")
    flipped = signed(issued, "GET", MODELS)
    last = "0" if flipped["Authorization"][-1] != "0" else "1"
    flipped["Authorization"] = flipped["Authorization"][:-1] + last
    refuses(get(plane, MODELS, flipped), 401, "not_authenticated")


def test_a_request_is_taken_once(plane: Plane, issued: dict[str, Any], refuses: Any) -> None:
    headers = signed(issued, "GET", MODELS)
    assert get(plane, MODELS, headers).status_code == 200
    body = refuses(get(plane, MODELS, headers), 401, "not_authenticated")
    assert "before" in body["detail"]


def test_a_request_that_is_refused_later_is_taken_all_the_same(
    plane: Plane, issued: dict[str, Any], refuses: Any
) -> None:
    target = f"{MODELS}/there-is-none"
    headers = signed(issued, "GET", target)
    refuses(get(plane, target, headers), 404, "not_found")
    refuses(get(plane, target, headers), 401, "not_authenticated")


def test_another_nonce_needs_another_signature(
    plane: Plane, issued: dict[str, Any], refuses: Any
) -> None:
    headers = signed(issued, "GET", MODELS, nonce="a" * 22)
    headers["Authorization"] = headers["Authorization"].replace("a" * 22, "b" * 22)
    refuses(get(plane, MODELS, headers), 401, "not_authenticated")


def test_of_many_at_once_one_is_taken(plane: Plane, issued: dict[str, Any]) -> None:
    headers, said = signed(issued, "GET", MODELS), []
    together = threading.Barrier(6)

    def send() -> None:
        client = plane.http("192.0.2.53", **headers)
        together.wait()
        said.append(client.get(MODELS).status_code)

    senders = [threading.Thread(target=send) for _ in range(6)]
    for one in senders:
        one.start()
    for one in senders:
        one.join()
    assert sorted(said) == [200] + [401] * 5


def test_another_process_does_not_take_it_again(either_database: Any, clock: Any) -> None:
    """Two processes share the database, which lets a nonce in once; on both databases."""
    at = SystemClock().now()
    records = Records(either_database, clock)
    one, other = Nonces(records), Nonces(Records(either_database, clock))
    said = Signature("ak_0000000000000000", 1, "n" * 22, "0" * 64)
    one.claim(said, at=at)
    with pytest.raises(NotAuthenticated):
        other.claim(said, at=at)
    other.claim(replace(said, nonce="m" * 22), at=at)
    other.claim(replace(said, key="ak_0000000000000001"), at=at)
    one.claim(replace(said, nonce="o" * 22), at=at + 2 * SKEW)
    with records.look() as reading:
        kept = reading.rows(sa.select(credential_store.NONCES))
    assert len(kept) == 4, "as long as a timestamp could be taken"
    one.claim(replace(said, nonce="p" * 22), at=at + 2 * SKEW + SKEW)
    with records.look() as reading:
        kept = reading.rows(sa.select(credential_store.NONCES))
    assert sorted(row["nonce"][0] for row in kept) == ["o", "p"]


def test_a_revoked_key_signs_nothing(plane: Plane, refuses: Any) -> None:
    own = plane.account(f"a{time.monotonic_ns()}")
    assert get(plane, MODELS, signed(own, "GET", MODELS)).status_code == 200
    assert plane.admin.delete(f"/api/v1/keys/{own['key_id']}").status_code == 204
    refuses(get(plane, MODELS, signed(own, "GET", MODELS)), 401, "not_authenticated")


def test_scopes_bound_what_is_signed(plane: Plane, refuses: Any) -> None:
    own = plane.account(f"a{time.monotonic_ns()}")
    body = {**BECAUSE, "scopes": ["models:infer"]}
    narrow = plane.admin.post(f"/api/v1/service-accounts/{own['account']}/keys", json=body).json()
    refuses(get(plane, MODELS, signed(narrow, "GET", MODELS)), 403, "not_permitted")


def test_a_stolen_database_signs_nothing(plane: Plane, issued: dict[str, Any]) -> None:
    """No value of any row is the key of the HMAC, or what it is derived from; and what is kept
    cannot be unwrapped with another key, or under another name."""
    secret = issued["key"].split(".")[1]
    with plane.parts.records.look() as reading:
        rows = [
            value
            for table in tables_of_records()
            for row in reading.connection.execute(sa.select(table))
            for value in row
        ]
        key = store.key(reading, issued["key_id"])
    assert key is not None
    assert key.wrapped is not None
    real = signing_key(secret)
    dump = repr(rows)
    for telling in (secret, real.hex(), repr(real)[2:-1], b64encode(real).decode()):
        assert telling not in dump
    assert plane.parts.wrapping.unwrap(key.wrapped, key.id) == real
    with pytest.raises(Unavailable):
        plane.parts.wrapping.unwrap(key.wrapped, "ak_another")
    derived = [signing_key(v) for v in rows if isinstance(v, str)]
    assert real not in derived


def test_two_credentials_are_none_signed_or_not(
    plane: Plane, issued: dict[str, Any], refuses: Any
) -> None:
    headers = {**signed(issued, "GET", MODELS), "X-Api-Key": issued["key"]}
    refuses(get(plane, MODELS, headers), 401, "not_authenticated")


def test_the_signer_needs_the_whole_key() -> None:
    request = httpx.Request("GET", "http://127.0.0.1/x")
    clock = SteppedClock(datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC))
    sent = next(Signer("ak_0000000000000000." + "A" * 43, clock).auth_flow(request))
    said = request_signing.parse(sent.headers["Authorization"])
    assert said is not None
    assert (said.key, said.timestamp) == ("ak_0000000000000000", 5)
