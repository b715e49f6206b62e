"""Tokens: RS256 by our key, for us, now; and nothing else, however it is dressed up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import strictjson
from trimtab.identity.keyring import Ring, TokenKey, load_or_create_rsa
from trimtab.identity.tokens import OVERLAP, Claims, Tokens
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import InvalidInput, NotAuthenticated
from trimtab.kernel.ids import TenantId

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key()
RING = Ring((TokenKey.of(KEY),), OVERLAP)
ANN = Claims("usr_1", TenantId("aa"), 3)
Tree = dict[str, Any]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(NOW)


@pytest.fixture
def tokens(clock: SteppedClock) -> Tokens:
    return Tokens("trimtab", lambda: RING, clock, max_lifetime=timedelta(hours=1))


def claims(**changes: Any) -> Tree:
    own = {
        "sub": "usr_1",
        "tenant": "aa",
        "gen": 3,
        "iss": "trimtab",
        "aud": "trimtab",
        "iat": SECONDS,
        "nbf": SECONDS,
        "exp": SECONDS + 600,
    } | changes
    return {name: value for name, value in own.items() if value != "absent"}


def kid(tokens: Tokens) -> str:
    header = jwt.get_unverified_header(tokens.issue(ANN, lifetime=timedelta(minutes=1)))
    return str(header["kid"])


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: Tree, payload: Tree, sign: Any) -> str:
    """A token put together without a library, which would refuse to."""
    text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(payload).encode())
    return text + "." + b64(sign(text.encode()))


def ours(tokens: Tokens, payload: Tree, **header: Any) -> str:
    """Rightly signed by our key, whatever it says."""
    head = {"alg": "RS256", "typ": "JWT", "kid": kid(tokens)} | header
    return by_hand(head, payload, lambda text: KEY.sign(text, PKCS1v15(), hashes.SHA256()))


def refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        tokens.read(token)


def test_what_we_issue_we_believe_until_it_expires(tokens: Tokens, clock: SteppedClock) -> None:
    token = tokens.issue(ANN, lifetime=timedelta(minutes=10))
    assert tokens.read(token) == ANN
    clock.step_to(NOW + timedelta(seconds=599))
    assert tokens.read(token) == ANN
    clock.step_to(NOW + timedelta(seconds=600))
    refused(tokens, token)


def test_the_helper_of_these_tests_signs_as_we_do(tokens: Tokens) -> None:
    assert tokens.read(ours(tokens, claims())) == ANN


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", ""])
@pytest.mark.parametrize("with_kid", [True, False])
def test_unsigned(tokens: Tokens, algorithm: str, with_kid: bool) -> None:
    header = {"alg": algorithm, "typ": "JWT"} | ({"kid": kid(tokens)} if with_kid else {})
    refused(tokens, by_hand(header, claims(), lambda _: b""))


@pytest.mark.parametrize("form", ["pem", "pkcs1", "der", "jwk"])
def test_the_public_key_as_a_shared_secret(tokens: Tokens, form: str) -> None:
    encoding, public = serialization.Encoding, serialization.PublicFormat
    secrets = {
        "pem": PUBLIC.public_bytes(encoding.PEM, public.SubjectPublicKeyInfo),
        "pkcs1": PUBLIC.public_bytes(encoding.PEM, public.PKCS1),
        "der": PUBLIC.public_bytes(encoding.DER, public.SubjectPublicKeyInfo),
        "jwk": jwt.algorithms.RSAAlgorithm.to_jwk(PUBLIC).encode(),
    }
    secret = secrets[form]
    header = {"alg": "HS256", "typ": "JWT", "kid": kid(tokens)}
    refused(tokens, by_hand(header, claims(), lambda t: hmac.digest(secret, t, hashlib.sha256)))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES256", "EdDSA", "HS512"])
def test_any_other_algorithm(tokens: Tokens, algorithm: str) -> None:
    refused(tokens, ours(tokens, claims(), alg=algorithm))
    if algorithm.startswith(("RS", "PS")):
        header = {"kid": kid(tokens)}
        refused(tokens, jwt.encode(claims(), KEY, algorithm=algorithm, headers=header))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zip", "DEF"),
        ("jwk", json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PUBLIC))),
        ("jku", "http://127.0.0.1:9/keys"),
        ("x5u", "http://127.0.0.1:9/cert"),
        ("x5c", ["Y2VydA"]),
        ("x5t", "Y2VydA"),
        ("enc", "A128GCM"),
        ("cty", "JWT"),
        ("anything", 1),
    ],
)
def test_a_header_that_says_more_than_ours_do(tokens: Tokens, name: str, value: Any) -> None:
    """Rightly signed by our own key: it is the header that is refused."""
    refused(tokens, ours(tokens, claims(), **{name: value}))


def twice(text: bytes, name: str, value: str) -> bytes:
    """A JSON object with one more member, whose name it has already."""
    return text[:-1] + f', "{name}": {json.dumps(value)}}}'.encode()


@pytest.mark.parametrize("name", ["sub", "exp", "aud", "iss", "tenant", "gen"])
def test_a_claim_that_stands_there_twice(tokens: Tokens, name: str) -> None:
    head = {"alg": "RS256", "typ": "JWT", "kid": kid(tokens)}
    once = json.dumps(claims()).encode()
    again = twice(once, name, claims()[name])
    assert tokens.read(signed(json.dumps(head).encode(), once)) == ANN
    refused(tokens, signed(json.dumps(head).encode(), again))


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_a_header_that_stands_there_twice(tokens: Tokens, name: str) -> None:
    head = {"alg": "RS256", "typ": "JWT", "kid": kid(tokens)}
    text = twice(json.dumps(head).encode(), name, head[name])
    refused(tokens, signed(text, json.dumps(claims()).encode()))


def signed(header: bytes, payload: bytes) -> str:
    """These very bytes, rightly signed by our key."""
    text = b64(header) + "." + b64(payload)
    return text + "." + b64(KEY.sign(text.encode(), PKCS1v15(), hashes.SHA256()))


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": 7},
        {"tenant": ["aa"]},
        {"tenant": "absent"},
        {"gen": "3"},
        {"gen": True},
        {"gen": 3.0},
        {"gen": "absent"},
        {"key": "ak_1"},
        {"scope": "models:read"},
        {"key": 1, "scope": "models:read"},
        {"key": "ak_1", "scope": ["models:read"]},
    ],
    ids=str,
)
def test_claims_of_ours_in_another_form(tokens: Tokens, changes: Tree) -> None:
    refused(tokens, ours(tokens, claims(**changes)))


@pytest.mark.parametrize("odd", ["+", "/", "=", " ", "\n", "é", "."])
def test_letters_that_no_token_has(tokens: Tokens, odd: str) -> None:
    whole = ours(tokens, claims())
    for place in (3, whole.index(".") + 3, len(whole)):
        refused(tokens, whole[:place] + odd + whole[place:])


def test_no_part_is_looked_at_of_a_token_that_is_too_long(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ours(tokens, claims(pad="x" * 5000))

    def never(*_: Any, **__: Any) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(jwt, "decode", never)
    monkeypatch.setattr(strictjson, "read", never)
    refused(tokens, long)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_that_the_token_brings_along(tokens: Tokens, name: str) -> None:
    values: Tree = {
        "jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER.public_key())),
        "jku": "http://127.0.0.1:9/keys",
        "x5u": "http://127.0.0.1:9/cert",
        "x5c": [b64(b"certificate")],
    }
    header = {name: values[name], "kid": kid(tokens)}
    refused(tokens, jwt.encode(claims(), OTHER, algorithm="RS256", headers=header))


@pytest.mark.parametrize(
    "value",
    ["", "../../dev/null", "' OR 1=1 --", "http://127.0.0.1/k", "k" * 3000, None, 7, ["a"]],
)
def test_names_of_keys_that_are_not_ours(tokens: Tokens, value: Any) -> None:
    refused(tokens, ours(tokens, claims(), kid=value))


def test_no_name_of_a_key(tokens: Tokens) -> None:
    refused(tokens, jwt.encode(claims(), KEY, algorithm="RS256"))


@pytest.mark.parametrize("crit", [["unheard-of"], ["b64"], [], "exp", None])
def test_critical_extensions(tokens: Tokens, crit: Any) -> None:
    refused(tokens, ours(tokens, claims(), crit=crit, b64=True))


@pytest.mark.parametrize("name", ["aud", "iss"])
@pytest.mark.parametrize(
    "value", ["other", "trimtab2", "TRIMTAB", "", None, ["trimtab", "other"], ["trimtab"], "absent"]
)
def test_for_or_from_somebody_else(tokens: Tokens, name: str, value: Any) -> None:
    refused(tokens, ours(tokens, claims(**{name: value})))


ODD_TIMES = [str(SECONDS + 60), SECONDS + 60.5, True, None, [], {}, "soon", "absent", 10**400]


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ODD_TIMES, ids=lambda v: str(v)[:12])
def test_times_that_are_no_whole_seconds(tokens: Tokens, name: str, value: Any) -> None:
    refused(tokens, ours(tokens, claims(**{name: value})))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": SECONDS},
        {"exp": SECONDS - 1},
        {"exp": 10**12},
        {"exp": SECONDS + 3601},
        {"iat": SECONDS - 4000},
        {"iat": SECONDS + 61},
        {"nbf": SECONDS + 61},
        {"exp": -1, "iat": -2, "nbf": -2},
        {"sub": "absent"},
        {"sub": 7},
    ],
    ids=str,
)
def test_not_now_too_long_or_for_nobody(tokens: Tokens, changes: Tree) -> None:
    refused(tokens, ours(tokens, claims(**changes)))


def test_a_clock_of_ours_may_be_a_minute_ahead(tokens: Tokens) -> None:
    late = claims(iat=SECONDS + 60, nbf=SECONDS + 60)
    assert tokens.read(ours(tokens, late)) == ANN


def test_no_token_is_issued_that_would_not_be_believed(tokens: Tokens) -> None:
    with pytest.raises(InvalidInput):
        tokens.issue(ANN, lifetime=timedelta(hours=1, seconds=1))
    assert tokens.read(tokens.issue(ANN, lifetime=timedelta(hours=1))) == ANN


def test_another_key_and_a_changed_body(tokens: Tokens) -> None:
    header = {"kid": kid(tokens)}
    refused(tokens, jwt.encode(claims(), OTHER, algorithm="RS256", headers=header))
    head, _, signature = ours(tokens, claims()).split(".")
    refused(tokens, ".".join([head, b64(json.dumps(claims(sub="usr_2")).encode()), signature]))
    refused(tokens, ours(tokens, claims()).rsplit(".", 1)[0] + ".")


@pytest.mark.parametrize("size", [4097, 100_000])
def test_size(tokens: Tokens, size: int) -> None:
    refused(tokens, ours(tokens, claims(pad="x" * size)))
    refused(tokens, "a" * size)


@pytest.mark.parametrize("part", [b"[" * 2900, b'{"a":' * 550, b"9" * 2900, b"\xff\xfe", b"null"])
def test_json_that_is_meant_to_hurt(tokens: Tokens, part: bytes) -> None:
    refused(tokens, b64(part) + "." + b64(b"{}") + ".")
    body = b64(json.dumps({"alg": "RS256", "kid": kid(tokens)}).encode())
    refused(tokens, f"{body}.{b64(part)}.AAAA")


@given(st.text(max_size=200) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_the_answer_is_no(text: str) -> None:
    refused(Tokens("trimtab", lambda: RING, SteppedClock(NOW)), text)


def test_the_key_pair_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token.pem"
    first = load_or_create_rsa(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_rsa(path).private_numbers() == first.private_numbers()
    assert first.key_size >= 2048
