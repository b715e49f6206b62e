"""Keys of tokens in a folder: one signs, others verify, and several processes see the same."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
import sqlalchemy as sa

from trimtab.audit import ledger
from trimtab.audit.work import Records, Work
from trimtab.identity import rotation
from trimtab.identity.keyring import LEAD, KeyFolder, jwk, thumbprint
from trimtab.identity.tokens import OVERLAP, Claims, Tokens
from trimtab.kernel.actor import Actor, ActorKind, system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import InvalidInput, NotAuthenticated, NotPermitted, Unavailable
from trimtab.kernel.ids import TenantId

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
ANN = Claims("usr_1")
HALF_AN_HOUR = timedelta(minutes=30)
BOSS = system("test")


@pytest.fixture
def real() -> SteppedClock:
    return SteppedClock(NOW)


@pytest.fixture
def keys(tmp_path: Path, real: SteppedClock) -> KeyFolder:
    return folder_of(tmp_path, real)


@pytest.fixture
def tokens(keys: KeyFolder, real: SteppedClock) -> Tokens:
    return Tokens("trimtab", keys.ring, real)


def folder_of(tmp_path: Path, real: SteppedClock) -> KeyFolder:
    home = tmp_path / "keys"
    home.mkdir(exist_ok=True)
    return KeyFolder(home, real, overlap=OVERLAP)


def files(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "keys").iterdir()}


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def later(real: SteppedClock, **length: float) -> None:
    real.step_to(real.now() + timedelta(**length))


def test_the_first_key_is_made_once_and_is_its_owners_alone(
    tmp_path: Path, keys: KeyFolder, real: SteppedClock
) -> None:
    assert files(tmp_path) == {"tokens.pem"}
    assert stat.S_IMODE((tmp_path / "keys" / "tokens.pem").stat().st_mode) == 0o600
    assert folder_of(tmp_path, real).ring().keys[0].kid == keys.ring().keys[0].kid


def test_a_key_is_named_by_its_thumbprint(keys: KeyFolder, tokens: Tokens) -> None:
    """By the library's own reading of the published key, and its own thumbprint."""
    published = tokens.key_set()[0]
    read = jwt.PyJWK(published)
    assert thumbprint(read.key) == published["kid"] == keys.ring().keys[0].kid
    token = tokens.issue(ANN, lifetime=HALF_AN_HOUR)
    assert kid(token) == published["kid"]
    said = jwt.decode(
        token, read, algorithms=["RS256"], audience="trimtab", options={"verify_exp": False,
        "verify_iat": False, "verify_nbf": False},
    )  # fmt: skip
    assert said["sub"] == "usr_1"
    assert set(published) == {"kty", "use", "alg", "kid", "n", "e"}, "nothing private"


def test_a_thumbprint_as_the_standard_computes_it() -> None:
    """The example of RFC 7638, section 3.1."""
    example = jwt.PyJWK(
        {
            "kty": "RSA",
            "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxu"
            "hDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0"
            "h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO"
            "pbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCu"
            "r-kEgU8awapJzKnqDKgw",
            "alg": "RS256",
        }
    )
    assert thumbprint(example.key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def rotated(
    records: Records, keys: KeyFolder, *, at_once: bool = False, actor: Actor = BOSS
) -> str:
    return rotation.rotate(records, actor, keys, reason="by the calendar", at_once=at_once).kid


def test_a_rotation_signs_anew_and_what_is_out_stays_good_until_it_ends(
    tmp_path: Path, records: Records, keys: KeyFolder, tokens: Tokens, real: SteppedClock
) -> None:
    before = tokens.issue(ANN, lifetime=HALF_AN_HOUR)
    new = rotated(records, keys)
    assert {k["kid"] for k in tokens.key_set()} == {kid(before), new}, "published before it signs"
    assert kid(tokens.issue(ANN, lifetime=HALF_AN_HOUR)) == kid(before)
    later(real, seconds=LEAD.total_seconds())
    after = tokens.issue(ANN, lifetime=timedelta(hours=1))
    assert kid(after) == new
    assert tokens.read(before) == tokens.read(after) == ANN
    later(real, seconds=OVERLAP.total_seconds() - 1)
    assert {k["kid"] for k in tokens.key_set()} == {kid(before), new}
    later(real, seconds=1)
    assert [k["kid"] for k in tokens.key_set()] == [new], "its last token has ended by now"
    rotated(records, keys)
    assert "tokens.pem" not in files(tmp_path), "what is over is removed with the next one"
    assert len(files(tmp_path)) == 2


def test_no_token_outlives_its_key(
    records: Records, keys: KeyFolder, tokens: Tokens, real: SteppedClock
) -> None:
    """The longest token, issued in the last moment in which its key signs."""
    rotated(records, keys)
    later(real, seconds=LEAD.total_seconds() - 1)
    last = tokens.issue(ANN, lifetime=timedelta(hours=1))
    later(real, seconds=3599)
    assert tokens.read(last) == ANN
    later(real, seconds=1)
    with pytest.raises(NotAuthenticated):
        tokens.read(last)


def test_a_stolen_key_is_of_no_use_at_once(
    tmp_path: Path, records: Records, keys: KeyFolder, tokens: Tokens
) -> None:
    before = tokens.issue(ANN, lifetime=HALF_AN_HOUR)
    waiting = rotated(records, keys)
    new = rotated(records, keys, at_once=True)
    assert [k["kid"] for k in tokens.key_set()] == [new]
    assert waiting != new
    with pytest.raises(NotAuthenticated):
        tokens.read(before)
    assert tokens.read(tokens.issue(ANN, lifetime=HALF_AN_HOUR)) == ANN
    assert len(files(tmp_path)) == 1


def test_other_processes_see_it_without_being_told(
    tmp_path: Path, records: Records, keys: KeyFolder, real: SteppedClock
) -> None:
    other = Tokens("trimtab", folder_of(tmp_path, real).ring, real)
    ours = Tokens("trimtab", keys.ring, real)
    before = ours.issue(ANN, lifetime=HALF_AN_HOUR)
    assert other.read(before) == ANN
    rotated(records, keys, at_once=True)
    assert other.read(ours.issue(ANN, lifetime=HALF_AN_HOUR)) == ANN
    with pytest.raises(NotAuthenticated):
        other.read(before)


def test_a_folder_that_does_not_seem_to_change_is_read_again(
    tmp_path: Path, records: Records, real: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a network shares it, or two changes fall into one tick of its clock."""
    seconds = [0.0]
    monkeypatch.setattr("trimtab.identity.keyring.time.monotonic", lambda: seconds[0])
    keys, other = folder_of(tmp_path, real), folder_of(tmp_path, real)
    place = tmp_path / "keys"
    as_it_was = place.stat()
    new = rotated(records, keys, at_once=True)
    os.utime(place, ns=(as_it_was.st_atime_ns, as_it_was.st_mtime_ns))
    assert other.ring().keys[0].kid != new
    seconds[0] += 60
    assert [key.kid for key in other.ring().keys] == [new]


def test_another_process_verifies_what_this_one_signs(
    tmp_path: Path, records: Records, keys: KeyFolder
) -> None:
    from trimtab.kernel.clock import SystemClock

    rotated(records, keys, at_once=True)
    token = Tokens("trimtab", keys.ring, SystemClock()).issue(ANN, lifetime=HALF_AN_HOUR)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from trimtab.identity.keyring import KeyFolder\n"
        "from trimtab.identity.tokens import OVERLAP, Tokens\n"
        "from trimtab.kernel.clock import SystemClock\n"
        "clock = SystemClock()\n"
        "keys = KeyFolder(Path(sys.argv[1]), clock, overlap=OVERLAP)\n"
        "print(Tokens('trimtab', keys.ring, clock).read(sys.argv[2]).subject)\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "keys"), token]
    said = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == "usr_1"


def test_a_rotation_is_on_record_before_it_counts(
    tmp_path: Path, records: Records, keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = rotated(records, keys)
    with records.look() as reading:
        entry = ledger.entries(reading.connection, kinds=["token_key.rotated"])[0]
        assert (entry.subject, entry.reason) == (new, "by the calendar")
        payload = reading.connection.execute(sa.text("SELECT * FROM ledger_payloads")).all()
    assert "PRIVATE" not in str(payload)
    was = files(tmp_path)

    def full(*_: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(Work, "close", full)
    with pytest.raises(Unavailable):
        rotated(records, keys)
    assert files(tmp_path) == was, "no entry, no key"


def test_a_key_without_its_name_yet_is_not_one(keys: KeyFolder) -> None:
    """As after a kill between the entry and the key."""
    fresh = keys.prepare(at_once=True)
    assert fresh.kid not in {key.kid for key in keys.ring().keys}


def test_who_acts_for_a_tenant_rotates_nothing(
    tmp_path: Path, records: Records, keys: KeyFolder
) -> None:
    theirs = Actor("x", ActorKind.PERSON, TenantId("aa"), frozenset({"identity:manage"}))
    with pytest.raises(NotPermitted):
        rotated(records, keys, actor=theirs)
    assert files(tmp_path) == {"tokens.pem"}


def readable(path: Path) -> None:
    path.chmod(0o644)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swapped(path: Path) -> None:
    path.write_bytes((path.parent / "tokens.pem").read_bytes())


@pytest.mark.parametrize("spoil", [readable, empty, swapped])
def test_a_file_that_is_not_as_it_must_be(
    tmp_path: Path, records: Records, keys: KeyFolder, real: SteppedClock,
    spoil: Callable[[Path], None],
) -> None:  # fmt: skip
    """At a start it is refused by name; met later, it is left out, and the rest goes on."""
    good = keys.ring().keys[0].kid
    new = rotated(records, keys)
    path = next((tmp_path / "keys").glob(f"*{new}.pem"))
    spoil(path)
    path.rename(path.with_suffix(".away"))  # the folder changes
    path.with_suffix(".away").rename(path)
    assert [key.kid for key in keys.ring().keys] == [good]
    with pytest.raises(InvalidInput, match=r"tokens-"):
        folder_of(tmp_path, real)


def test_without_any_key_nothing_is_signed_or_believed(
    tmp_path: Path, keys: KeyFolder, tokens: Tokens
) -> None:
    token = tokens.issue(ANN, lifetime=HALF_AN_HOUR)
    (tmp_path / "keys" / "tokens.pem").unlink()
    with pytest.raises(NotAuthenticated):
        tokens.read(token)
    with pytest.raises(Unavailable):
        tokens.issue(ANN, lifetime=HALF_AN_HOUR)


def test_the_public_half_says_what_it_is_for(keys: KeyFolder) -> None:
    said = jwk(keys.ring().keys[0])
    assert (said["kty"], said["use"], said["alg"], said["e"]) == ("RSA", "sig", "RS256", "AQAB")
