"""Who is who on a real database: credentials turn into actors, or into one same refusal."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from trimtab.audit import ledger
from trimtab.audit.tables import ENTRIES, PAYLOADS
from trimtab.audit.work import Reading, Records
from trimtab.identity import credential_store, passwords, service, sessions, standing, store
from trimtab.identity.model import (
    ApiKey,
    ServiceAccount,
    checked_email,
    checked_tenant,
    new_key,
    split_key,
)
from trimtab.identity.passwords import hash_password
from trimtab.identity.roles import (
    ALL_OR_NOTHING,
    PERMISSIONS,
    ROLES,
    Assignment,
    Role,
    permissions_of,
)
from trimtab.identity.tokens import Claims
from trimtab.kernel.actor import Actor, ActorKind, system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import (
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
)
from trimtab.kernel.grants import Conditions, Subject
from trimtab.kernel.ids import PersonId, TenantId

BOSS = system("test")
PASSWORD = "four unrelated small words"
HASHED = hash_password(PASSWORD)
REAL = datetime(2031, 1, 1, tzinfo=UTC)
AA = TenantId("aa")


def add_person(records: Records, email: str = "ann@example.org", **changes: Any) -> PersonId:
    given = {"name": "Ann", "roles": ("ml_lead",), "password_hash": HASHED} | changes
    with records.begin(BOSS, reason="r") as work:
        return service.add_person(work, email=email, **given).id


def add_key(
    records: Records, *, roles: tuple[Role, ...] = ("gateway",), **changes: Any
) -> tuple[ServiceAccount, ApiKey, str]:
    with records.begin(BOSS, reason="r") as work:
        if not store.tenant_exists(work, AA):
            service.create_tenant(work, AA, "A. Airlines")
    owner = add_person(records, email=f"{time.monotonic_ns()}@example.org")
    with records.begin(BOSS, reason="r") as work:
        account = service.add_account(
            work, name=str(time.monotonic_ns()), owner=owner, roles=roles, tenant=AA
        )
        key, text = service.issue_key(work, account, **changes)
    return account, key, text


def who(records: Records, text: str) -> Actor:
    with records.look() as reading:
        return service.authenticate_key(reading, text)


def test_a_key_of_a_role_on_conditions_is_none_for_gateways(records: Records) -> None:
    """A gateway knows keys and tenants, and no conditions: it must not hear of such a key."""
    limited = Assignment("endpoint", Conditions(tiers=(4,)))
    _, key, text = add_key(records, roles=(limited,))
    assert not ALL_OR_NOTHING & frozenset(key.scopes)
    actor = who(records, text)
    assert not actor.may("models:infer")
    assert actor.may("artifacts:download", Subject(tier=4))
    assert not actor.may("artifacts:download", Subject(tier=1))
    narrow = add_key(records, roles=(limited,), scopes=("models:read",))[2]
    assert not who(records, narrow).may("artifacts:download", Subject(tier=4))


def test_a_key_speaks_for_its_account_and_for_the_person_behind_it(records: Records) -> None:
    account, _, text = add_key(records)
    actor = who(records, text)
    assert (actor.id, actor.kind, actor.tenant) == (account.id, ActorKind.SERVICE, "aa")
    assert actor.person == account.owner
    assert actor.permissions == ROLES["gateway"]


def test_a_scope_is_all_that_its_key_may_do(records: Records) -> None:
    _, _, text = add_key(records, scopes=("artifacts:download",))
    actor = who(records, text)
    assert actor.permissions == {"artifacts:download"}
    assert not any(actor.may(p) for p in PERMISSIONS - {"artifacts:download"})


def test_a_key_may_not_do_more_than_its_account(records: Records) -> None:
    with pytest.raises(InvalidInput, match="identity:manage"):
        add_key(records, scopes=("artifacts:download", "identity:manage"))


def test_a_scope_outlives_no_role(records: Records) -> None:
    account, _, text = add_key(records, scopes=("artifacts:download",))
    with records.begin(BOSS, reason="r") as work:
        present = store.account(work, account.id)
        assert present is not None
        event = ledger_event()
        store.save(work, replace(present, roles=("feed",)), event)
    assert who(records, text).permissions == frozenset()


def ledger_event() -> Any:
    from trimtab.identity.model import TenantCreated

    return TenantCreated(subject="x", tenant=None, name="changed by a test")


def refusals(records: Records, clock: SteppedClock) -> dict[str, str]:
    """Texts that are all of no use, each for another reason."""
    _, _, good = add_key(records)
    _, revoked_key, revoked = add_key(records)
    _, _, expired = add_key(records, lifetime=timedelta(hours=1))
    disabled_account, _, disabled = add_key(records)
    with records.begin(BOSS, reason="r") as work:
        service.revoke_key(work, revoked_key.id)
        present = store.account(work, disabled_account.id)
        assert present is not None
        store.save(work, replace(present, disabled=True), ledger_event())
    clock.step_to(clock.now() + timedelta(hours=1))
    _, unknown, _ = new_key()
    assert who(records, good)
    key_id, secret = good.split(".")
    flipped = ("A" if secret[-1] != "A" else "E") + secret[1:]
    return {
        "revoked": revoked,
        "expired": expired,
        "disabled": disabled,
        "unknown": unknown,
        "wrong secret": f"{key_id}.{flipped}",
        "secret of another": f"{key_id}.{unknown.split('.')[1]}",
        "half": key_id,
        "empty": "",
        "newline": good + "\n",
        "space": " " + good,
        "case": good.upper(),
        "the digest itself": f"{key_id}." + "0" * 43,
        "nul": good[:-1] + "\0",
    }


def test_each_key_is_known_as_if_it_were_asked_for_alone(
    records: Records, clock: SteppedClock
) -> None:
    ids = [text.split(".")[0] for text in refusals(records, clock).values()]
    with records.look() as reading:
        together = store.acting_keys(reading, [*ids, ids[0]])
        alone = {key_id: store.acting_keys(reading, (key_id,)).get(key_id) for key_id in ids}
    assert {key_id: together.get(key_id) for key_id in ids} == alone
    assert {key.id for key, _ in together.values()} == together.keys()
    assert None in alone.values(), "the disabled and the unknown"


def test_every_refusal_has_the_same_words(records: Records, clock: SteppedClock) -> None:
    messages = set()
    for name, text in refusals(records, clock).items():
        with pytest.raises(NotAuthenticated) as refused:
            who(records, text)
            pytest.fail(f"{name} was accepted")
        messages.add((refused.value.message, refused.value.remedy, refused.value.field))
    assert len(messages) == 1


def test_a_key_lives_to_its_last_moment_and_not_beyond(
    records: Records, clock: SteppedClock
) -> None:
    _, key, text = add_key(records, lifetime=timedelta(hours=1))
    assert key.expires_at is not None
    clock.step_to(key.expires_at - timedelta(microseconds=1))
    assert who(records, text)
    clock.step_to(key.expires_at)
    with pytest.raises(NotAuthenticated):
        who(records, text)


def test_the_secret_is_nowhere_in_the_records(records: Records) -> None:
    _, key, text = add_key(records)
    secret = text.split(".")[1]
    with records.look() as reading:
        dump = "".join(
            str(tuple(row))
            for table in (store.KEYS, PAYLOADS, ENTRIES)
            for row in reading.connection.execute(sa.select(table))
        )
        assert secret not in dump
        assert key.sha256 not in "".join(str(e.data) for e in ledger.entries(reading.connection))


def test_revoking_again_changes_nothing_and_says_nothing(records: Records) -> None:
    _, key, _ = add_key(records)
    for _ in range(2):
        with records.begin(BOSS, reason="r") as work:
            service.revoke_key(work, key.id)
    with records.look() as reading:
        kinds = [e.kind for e in ledger.entries(reading.connection)]
    assert kinds.count("api_key.revoked") == 1
    with pytest.raises(NotFound), records.begin(BOSS, reason="r") as work:
        service.revoke_key(work, "ak_unknown")


def test_an_account_is_owned_by_somebody_who_exists(records: Records) -> None:
    with pytest.raises(NotFound), records.begin(BOSS, reason="r") as work:
        service.add_account(
            work, name="ghost", owner=PersonId("usr_nobody"), roles=("ml_lead",), tenant=None
        )


@pytest.fixture
def beside(records: Records) -> dict[str, Any]:
    """What the fleet and another tenant have beside the tenant `aa`: people, accounts, keys."""
    _, key, _ = add_key(records)  # of `aa`
    with records.begin(BOSS, reason="r") as work:
        service.create_tenant(work, "bb", "B. Boats")
    found: dict[str, Any] = {"our key": key}
    for whose in (None, TenantId("bb")):
        person = add_person(records, email=f"p@{whose}.example.org", tenant=whose)
        with records.begin(BOSS, reason="r") as work:
            account = service.add_account(
                work, name=f"of {whose}", owner=person, roles=("feed",), tenant=whose
            )
            key, _ = service.issue_key(work, account)
        found |= {f"person of {whose}": person, f"account of {whose}": account}
        found |= {f"key of {whose}": key}
    return found


@pytest.mark.parametrize("whose", [None, "bb"])
def test_who_acts_for_a_tenant_finds_nothing_of_others_to_change(
    records: Records, beside: dict[str, Any], whose: str | None
) -> None:
    person, account = beside[f"person of {whose}"], beside[f"account of {whose}"]
    verbs: list[Callable[[Any], object]] = [
        lambda work: standing.disable_person(work, person),
        lambda work: service.revoke_key(work, beside[f"key of {whose}"].id),
        lambda work: service.issue_key(work, account),
        lambda work: service.add_account(
            work, name="ours", owner=person, roles=("feed",), tenant=AA
        ),
    ]
    for verb in verbs:
        with pytest.raises(NotFound), records.begin(an_actor("aa"), reason="r") as work:
            verb(work)
    with records.begin(an_actor("aa"), reason="r") as work:
        service.revoke_key(work, beside["our key"].id)


@pytest.mark.parametrize("whose", [None, "bb", "nowhere"])
def test_who_acts_for_a_tenant_adds_for_that_tenant_only(
    records: Records, beside: dict[str, Any], whose: str | None
) -> None:
    del beside
    tenant = None if whose is None else TenantId(whose)
    own = add_person(records, tenant=AA)
    verbs: list[Callable[[Any, TenantId | None], object]] = [
        lambda work, tenant: service.add_person(
            work,
            email="e@example.org",
            name="E",
            roles=("feed",),
            password_hash=hash_password(PASSWORD),
            tenant=tenant,
        ),
        lambda work, tenant: service.add_account(
            work, name="e", owner=own, roles=("feed",), tenant=tenant
        ),
    ]
    for verb in verbs:
        with (
            pytest.raises(NotPermitted) as refused,
            records.begin(an_actor("aa"), reason="r") as work,
        ):
            verb(work, tenant)
        assert refused.value.field == "tenant"
        with records.begin(an_actor("aa"), reason="r") as work:
            verb(work, AA)


def test_tenants_are_added_by_the_fleet(records: Records) -> None:
    with pytest.raises(NotPermitted), records.begin(an_actor("aa"), reason="r") as work:
        service.create_tenant(work, "cc", "C. Cars")
    with records.look() as reading:
        assert not store.tenant_exists(reading, "cc")


def test_lists_of_a_tenant_hold_its_own(records: Records, beside: dict[str, Any]) -> None:
    own = add_person(records, tenant=AA)
    with records.look() as reading:
        assert [p.id for p in store.people(reading, tenant=AA)] == [own]
        assert {beside["person of None"], beside["person of bb"], own} <= {
            p.id for p in store.people(reading)
        }
        assert [t.id for t in store.tenants(reading, tenant=AA)] == [AA]
        assert [t.id for t in store.tenants(reading)] == ["aa", "bb"]


def an_actor(tenant: str | None) -> Actor:
    return Actor("x", ActorKind.PERSON, TenantId(tenant) if tenant else None, frozenset())


def test_a_header_narrows_and_never_widens() -> None:
    assert service.narrow(an_actor(None), "aa").tenant == "aa"
    assert service.narrow(an_actor("aa"), "aa").tenant == "aa"
    assert service.narrow(an_actor("aa"), None).tenant == "aa"
    assert service.narrow(an_actor(None), None).tenant is None
    with pytest.raises(NotPermitted):
        service.narrow(an_actor("aa"), "bb")


@pytest.mark.parametrize(
    "header", ["", " ", "AA", "aa ", " aa", "aa,bb", "aa\n", "a%20a", "*", "null", "aa\0", "ａａ"]
)
def test_a_header_that_only_looks_like_the_tenant(header: str) -> None:
    with pytest.raises((InvalidInput, NotPermitted)):
        service.narrow(an_actor("aa"), header)


@given(st.none() | st.sampled_from(["aa", "bb"]), st.text(max_size=8))
def test_whatever_the_header_the_tenant_is_never_anothers(own: str | None, header: str) -> None:
    try:
        narrowed = service.narrow(an_actor(own), header)
    except (InvalidInput, NotPermitted):
        return
    assert narrowed.tenant == header
    assert own in (None, header)


@given(st.text(max_size=70))
def test_what_is_a_tenant_is_one_plain_word(text: str) -> None:
    try:
        slug = checked_tenant(text)
    except InvalidInput:
        return
    assert slug == text.strip().lower()
    assert slug.isascii()
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize("text", ["a@b\n", "a b@c", "@b", "a@", "a@@b", "a" * 65 + "@b", ""])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        checked_email(text)


def test_texts_of_keys_have_one_form() -> None:
    key_id, text, _ = new_key()
    assert split_key(text) == (key_id, text.split(".")[1])
    for wrong in (text + "\n", text + "x", text[:-1], "x" + text, text.replace(".", "..")):
        assert split_key(wrong) is None


def log_in(
    records: Records,
    email: str = "ann@example.org",
    password: str = PASSWORD,
    *,
    until: datetime = REAL,
) -> tuple[str, str]:
    person = service.authenticate_password(records, email, password)
    with records.begin(BOSS, reason="r") as work:
        return sessions.open_session(work, person, at=REAL, until=until)


def look_in(
    reading: Reading, token: str, *, at: datetime
) -> tuple[Actor, credential_store.Session]:
    return sessions.authenticate_session(reading, token, at=at, idle=timedelta(days=2))


def test_somebody_logs_in_and_out(records: Records) -> None:
    person = add_person(records)
    until = REAL + timedelta(hours=8)
    token, csrf = log_in(records, "ANN@example.org", until=until)
    with records.look() as reading:
        actor, session = look_in(reading, token, at=REAL)
        assert (actor.id, actor.person, session.csrf) == (person, person, csrf)
        assert look_in(reading, token, at=until - timedelta(microseconds=1))
        with pytest.raises(NotAuthenticated):
            look_in(reading, token, at=until)
        rows = reading.rows(sa.select(credential_store.SESSIONS))
        assert token not in str(rows), "a stolen table of sessions opens nothing"
    with records.begin(BOSS, reason="r") as work:
        sessions.log_out(work, token)
    with pytest.raises(NotAuthenticated), records.look() as reading:
        look_in(reading, token, at=REAL)


def test_each_session_has_a_token_of_its_own(records: Records) -> None:
    add_person(records)
    opened = set()
    for _ in range(3):
        opened.add(log_in(records))
    assert len({value for pair in opened for value in pair}) == 6


def test_who_was_disabled_is_out_at_once(records: Records) -> None:
    person = add_person(records)
    token, _ = log_in(records)
    with records.look() as reading:
        as_it_was = store.person(reading, person)
    with records.begin(BOSS, reason="r") as work:
        standing.disable_person(work, person)
        standing.disable_person(work, person)
    with records.look() as reading:
        with pytest.raises(NotAuthenticated):
            look_in(reading, token, at=REAL - timedelta(days=1))
        with pytest.raises(NotAuthenticated):
            service.authenticate_token(reading, Claims(person))
    with pytest.raises(NotAuthenticated):
        service.authenticate_password(records, "ann@example.org", PASSWORD)
    with pytest.raises(NotAuthenticated), records.begin(BOSS, reason="r") as work:
        sessions.open_session(work, as_it_was, at=REAL, until=REAL)


def test_a_password_that_was_changed_meanwhile_opens_no_session(records: Records) -> None:
    person = add_person(records)
    with records.look() as reading:
        known = store.person(reading, person)
    with pytest.raises(NotAuthenticated), records.begin(BOSS, reason="r") as work:
        sessions.open_session(work, replace(known, password_hash="another"), at=REAL, until=REAL)


def test_a_token_of_somebody_unknown_names_nobody(records: Records) -> None:
    with records.look() as reading:
        for subject in ("usr_unknown", "", "svc_unknown", "system:release"):
            with pytest.raises(NotAuthenticated):
                service.authenticate_token(reading, Claims(subject))


def test_a_refused_log_in_writes_nothing_and_says_the_same(records: Records) -> None:
    add_person(records)
    words = set()
    for email, password in [
        ("ann@example.org", "not her password at all"),
        ("nobody@example.org", PASSWORD),
        ("ann@example.org", ""),
        ("", PASSWORD),
    ]:
        with pytest.raises(NotAuthenticated) as refused:
            log_in(records, email, password)
        words.add((refused.value.message, refused.value.field))
    assert len(words) == 1
    with records.look() as reading:
        assert reading.rows(sa.select(credential_store.SESSIONS)) == []


def seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


@pytest.mark.slow
def test_the_clock_does_not_tell_who_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())  # that of every other process
    known = passwords.hash_password(PASSWORD)
    pairs = [
        (
            seconds(lambda: passwords.fits(known, "a wrong password")),
            seconds(lambda: passwords.fits(None, "a wrong password")),
        )
        for _ in range(9)
    ]
    ratio = statistics.median(b for _, b in pairs) / statistics.median(a for a, _ in pairs)
    assert 0.5 < ratio < 2, "somebody unknown takes another path"


def test_passwords() -> None:
    kept = passwords.hash_password(PASSWORD)
    assert kept.startswith("$argon2id$")
    assert passwords.fits(kept, PASSWORD)
    assert not passwords.fits(kept, PASSWORD + "x")
    assert not passwords.fits(None, PASSWORD)
    assert not passwords.fits("", PASSWORD)
    assert not passwords.fits("no hash at all", PASSWORD)


@pytest.mark.parametrize(
    "weak",
    [
        "",
        "short",
        "elevenchars",
        "change-me-now",
        "ChangeMePassword",
        "passwordpassword",
        "PASSWORD123456!",
        "trimtab-admin-1",
        "adminadminadmin",
        "letmein-qwerty-1",
    ],
)
def test_what_everybody_tries_first(weak: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        passwords.hash_password(weak)
    assert refused.value.field == "password"
    assert weak == "" or weak not in refused.value.message


def test_names_are_taken_once(records: Records) -> None:
    add_person(records, email="Ann@Example.org")
    with pytest.raises(Conflict):
        add_person(records, email="ann@example.ORG")
    with records.begin(BOSS, reason="r") as work:
        service.create_tenant(work, "aa", "A")
    with pytest.raises(Conflict), records.begin(BOSS, reason="r") as work:
        service.create_tenant(work, "aa", "Another")
    with pytest.raises(NotFound):
        add_person(records, email="bob@example.org", tenant=TenantId("nowhere"))
    with pytest.raises(InvalidInput):
        add_person(records, email="bob@example.org", roles=("emperor",))
    with pytest.raises(InvalidInput):
        add_person(records, email="bob@example.org", roles=())


def test_no_role_that_runs_the_house_answers_for_models() -> None:
    assert "approvals:decide" not in ROLES["admin"]
    assert permissions_of(["unknown"]) == frozenset()
    machines = ("gateway", "endpoint", "feed")
    for role in machines:
        assert not ROLES[role] & {"approvals:decide", "rollouts:operate", "identity:manage"}


@pytest.mark.slow
def test_a_flood_of_log_ins_does_not_take_all_the_memory() -> None:
    code = (
        "import threading\n"
        "from trimtab.identity import passwords\n"
        "known = passwords.hash_password('correct horse battery staple')\n"
        "guess = lambda: passwords.fits(known, 'a wrong password')\n"
        "guesses = [threading.Thread(target=guess) for _ in range(32)]\n"
        "[guess.start() for guess in guesses]\n"
        "[guess.join() for guess in guesses]\n"
        "status = open('/proc/self/status').read()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(said.stdout) < 4 * 64 + 300, "32 hashes at once take 2 GiB"
