"""Sessions, and forms that decide: ours, from our pages, by whoever is logged in."""

from __future__ import annotations

import re
from typing import Any

import pytest

from trimtab.approvals import store as approvals
from trimtab.audit import ledger
from trimtab.registry import store
from trimtab.rollouts import store as rollouts

MODEL = "flight-delays"
ADDRESS = f"/models/{MODEL}/versions/1.4.0"


def pending(world: Any) -> Any:
    with world.parts.records.look() as reading:
        return next(a for a in approvals.listed(reading) if a.phase.value == "pending")


def votes(world: Any) -> Any:
    return pending(world).votes


def rollout(world: Any) -> Any:
    with world.parts.records.look() as reading:
        return rollouts.of_model(reading)[0]


def vote(world: Any, browser: Any, **changes: Any) -> Any:
    asked = pending(world)
    fields = {
        "digest": asked.target.digest,
        "decision": "approve",
        "reason": "the gain is real",
        **changes,
    }
    return browser.send(f"/approvals/{asked.id}/decide", **fields)


def test_nobody_is_led_to_the_log_in_and_back(shown: Any) -> None:
    answer = shown.browser().get("/models?x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fmodels%3Fx%3D1"


def test_the_cookie_is_for_us_alone_and_fresh_at_each_log_in(shown: Any) -> None:
    browser = shown.browser()
    browser.client.cookies.set("trimtab", "chosen-by-somebody-else")
    token = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/login").text)[0]
    answer = browser.post(
        "/login", email="mira@example.org", password="copper lantern quiet harbour", csrf=token
    )
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("trimtab="))
    assert "chosen" not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie


@pytest.mark.parametrize("email", ["mira@example.org", "nobody@example.org"])
def test_a_wrong_password_says_the_same_whoever_it_is(shown: Any, email: Any) -> None:
    browser = shown.browser()
    token = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/login").text)[0]
    answer = browser.post("/login", email=email, password="wrong but long enough", csrf=token)
    assert answer.status_code == 401
    assert "The address and the password do not fit." in answer.text
    assert not any(c.startswith("trimtab=") for c in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_the_log_in_never_leads_elsewhere(shown: Any, next_: Any) -> None:
    browser = shown.browser()
    token = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/login").text)[0]
    answer = browser.post(
        "/login", email="mira@example.org", password="copper lantern quiet harbour",
        csrf=token, next=next_,
    )  # fmt: skip
    assert answer.headers["location"] == "/"


def test_a_second_tab_does_not_spoil_the_first(shown: Any) -> None:
    browser = shown.browser()
    token = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/login").text)[0]
    browser.get("/login")
    answer = browser.post(
        "/login", email="mira@example.org", password="copper lantern quiet harbour", csrf=token
    )
    assert answer.status_code == 303


def test_the_log_in_form_must_be_the_one_that_was_given(shown: Any) -> None:
    answer = shown.browser().post(
        "/login", email="mira@example.org", password="copper lantern quiet harbour", csrf="x"
    )
    assert answer.status_code == 403


def test_a_session_ends_with_the_log_out(shown: Any) -> None:
    browser = shown.browser("mira")
    kept = dict(browser.client.cookies)
    assert browser.send("/logout").status_code == 303
    browser.client.cookies.update(kept)
    assert browser.get("/").status_code == 303


def test_a_disabled_person_is_out_at_once(told: Any) -> None:
    from trimtab.identity import standing

    browser = told.browser("mira")
    with told.parts.records.begin(told.actor("root"), reason="left") as work:
        standing.disable_person(work, told.people["mira"].id)
    assert browser.get("/").status_code == 303


def test_an_approval_is_recorded_with_its_reason_and_its_person(told: Any) -> None:
    answer = vote(told, told.browser("mira"))
    assert answer.status_code == 303
    assert votes(told)[-1].name == "Mira Lindqvist"
    with told.parts.records.look() as reading:
        entry = ledger.entries(reading.connection, kinds=["approval.voted"], newest_first=True)[0]
    assert (entry.actor, entry.reason) == (told.people["mira"].id, "the gain is real")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None, "http://127.0.0.1:1"])
def test_a_form_from_elsewhere_is_refused(shown: Any, origin: Any) -> None:
    browser = shown.browser("mira")
    asked = pending(shown)
    answer = browser.post(
        f"/approvals/{asked.id}/decide", origin=origin, csrf=browser.csrf(),
        digest=asked.target.digest, decision="approve", reason="the gain is real",
    )  # fmt: skip
    assert answer.status_code == 403
    assert votes(shown) == ()


@pytest.mark.parametrize("csrf", ["", "x" * 43, "ünsinn"])
def test_a_form_without_the_sessions_token_is_refused(shown: Any, csrf: Any) -> None:
    browser = shown.browser("mira")
    asked = pending(shown)
    answer = browser.post(
        f"/approvals/{asked.id}/decide", csrf=csrf,
        digest=asked.target.digest, decision="approve", reason="the gain is real",
    )  # fmt: skip
    assert answer.status_code == 403
    assert votes(shown) == ()


def test_the_token_of_another_session_does_not_do(shown: Any) -> None:
    browser, other = shown.browser("mira"), shown.browser("bo")
    asked = pending(shown)
    answer = browser.post(
        f"/approvals/{asked.id}/decide", csrf=other.csrf(),
        digest=asked.target.digest, decision="approve", reason="the gain is real",
    )  # fmt: skip
    assert answer.status_code == 403
    assert votes(shown) == ()


def test_who_looked_at_other_bytes_decides_nothing(shown: Any) -> None:
    answer = vote(shown, shown.browser("mira"), digest="sha256:" + "1" * 64)
    assert answer.status_code == 409
    assert "you looked at other bytes than these" in answer.text.lower()
    assert votes(shown) == ()


@pytest.mark.parametrize("reason", ["", "  ", "ok"])
def test_no_decision_without_a_reason(shown: Any, reason: Any) -> None:
    assert vote(shown, shown.browser("mira"), reason=reason).status_code == 422
    assert votes(shown) == ()


def test_neither_yes_nor_no_is_no_vote(shown: Any) -> None:
    assert vote(shown, shown.browser("mira"), decision="maybe").status_code == 422
    assert votes(shown) == ()


@pytest.mark.parametrize("who", ["dan", "audrey", "root", "felix"])
def test_whoever_may_not_decide_is_refused(shown: Any, who: Any) -> None:
    browser = shown.browser(who)
    asked = pending(shown)
    page = browser.get(ADDRESS if who != "felix" else "/nowhere").text
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    answer = browser.post(
        f"/approvals/{asked.id}/decide", csrf=csrf,
        digest=asked.target.digest, decision="approve", reason="let me in",
    )  # fmt: skip
    assert answer.status_code == 403
    assert votes(shown) == ()


def test_a_tenants_person_does_not_decide_for_the_fleet(shown: Any) -> None:
    answer = vote(shown, shown.browser("tina"))
    assert answer.status_code == 403
    assert votes(shown) == ()


def test_a_rejection_ends_the_request(told: Any) -> None:
    assert vote(told, told.browser("bo"), decision="reject").status_code == 303
    with told.parts.records.look() as reading:
        version = store.find_version(reading, MODEL, "1.4.0")
        assert version is not None
        assert approvals.of_version(reading, version.id)[-1].phase.value == "rejected"


def test_a_rollout_is_held_resumed_and_taken_back(told: Any) -> None:
    browser, moving = told.browser("mira"), rollout(told)
    for verb, phase in (("hold", "held"), ("resume", "running"), ("abort", "rolling_back")):
        answer = browser.send(f"/rollouts/{moving.id}/{verb}", reason="let me see first")
        assert answer.status_code == 303, answer.text
        assert rollout(told).phase.value == phase
        assert browser.get(answer.headers["location"]).status_code == 200


def test_a_move_that_there_is_not_is_a_conflict(told: Any) -> None:
    browser, moving = told.browser("mira"), rollout(told)
    browser.send(f"/rollouts/{moving.id}/abort", reason="take it back")
    answer = browser.send(f"/rollouts/{moving.id}/hold", reason="no, hold it")
    assert answer.status_code == 409
    assert "It is no longer what you looked at" in answer.text


@pytest.mark.parametrize("who", ["bo", "audrey", "tina", "gil"])
def test_whoever_may_not_operate_moves_nothing(shown: Any, who: Any) -> None:
    moving = rollout(shown)
    answer = shown.browser(who).send(f"/rollouts/{moving.id}/abort", reason="because")
    assert answer.status_code == 403
    assert rollout(shown).phase.value == "running"


HOSTILE = "<script>alert(1)</script>\"'{{7*7}}${7*7}</textarea><svg/onload=alert(1)>"


def test_what_people_write_is_printed_and_never_obeyed(told: Any) -> None:
    browser = told.browser("mira")
    told.model("hostile", description=HOSTILE)
    told.incident(HOSTILE, model="hostile")
    assert vote(told, browser, reason=HOSTILE).status_code == 303
    incident = re.findall(r"/incidents/inc-[0-9-]+", browser.get("/incidents").text)[0]
    for address in ("/", "/audit", "/incidents", incident, ADDRESS, "/models/hostile"):
        page = browser.get(address).text
        assert "<script>alert" not in page, address
        assert "<svg/onload" not in page, address
        assert "49" not in re.findall(r"\{\{7\*7\}\}|>49<", page), address
    assert "&lt;script&gt;alert(1)" in browser.get(ADDRESS).text
    assert "{{7*7}}" in browser.get(ADDRESS).text
    search = browser.client.get("/audit", params={"ref": HOSTILE}, headers={"Accept": "text/html"})
    assert "<script>alert" not in search.text


def test_pages_forbid_whatever_is_not_ours(shown: Any) -> None:
    headers = shown.browser("mira").get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_no_page_has_anything_inline_or_from_elsewhere(shown: Any) -> None:
    browser = shown.browser("mira")
    for address in ("/", f"/models/{MODEL}", ADDRESS, "/audit", f"/rollouts/{rollout(shown).id}"):
        page = browser.get(address).text
        assert not re.search(r"<script(?![^>]*src=)", page), address
        assert not re.search(r"\son[a-z]+=|\sstyle=|<style|javascript:", page), address
        foreign = re.findall(r'(?:src|href)="(?:https?:)?//[^"]*', page)
        assert foreign == [], address
