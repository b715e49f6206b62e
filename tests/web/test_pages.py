"""Each page, full and empty, for those who may and those who may not."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import structlog
from fastapi.routing import APIRoute

from trimtab.approvals import store as approvals
from trimtab.approvals.model import Phase
from trimtab.identity import service as identity
from trimtab.incidents import store as incidents
from trimtab.kernel.actor import system
from trimtab.kernel.ids import new_id
from trimtab.monitoring import store as windows
from trimtab.monitoring.watch import Subject, Watch, WatchMoved, WatchPhase
from trimtab.remediation import kill_switches
from trimtab.remediation.switches import Scope
from trimtab.rollouts import store as rollouts
from trimtab.web.rollouts import strength
from trimtab.web.words import count, moment

MODEL = "flight-delays"
LISTS = ["/", "/models", "/approvals", "/rollouts", "/incidents", "/audit"]


def ids(world: Any) -> Any:
    with world.parts.records.look() as reading:
        return {
            "rollout": rollouts.of_model(reading)[0].id,
            "incident": incidents.listed(reading)[-1].id,
            "acme": incidents.listed(reading)[0].id,
            "approval": approvals.listed(reading)[0].id,
        }


def text(answer: Any) -> Any:
    """What a page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


@pytest.mark.parametrize("address", LISTS)
def test_lists_are_shown_when_there_is_nothing_yet(world: Any, address: Any) -> None:
    answer = world.browser("mira").get(address)
    assert answer.status_code == 200
    said = text(answer)
    assert "No " in said or "Nothing" in said or "entries" in said
    assert "None" not in said


@pytest.mark.parametrize("address", LISTS)
def test_lists_are_shown_when_there_is_a_history(shown: Any, address: Any) -> None:
    answer = shown.browser("mira").get(address)
    assert answer.status_code == 200
    assert "None" not in text(answer)


def test_home_says_what_waits_for_me_and_not_what_waits_for_others(shown: Any) -> None:
    mine, others = (shown.browser(name).get("/").text for name in ("mira", "audrey"))
    assert "Look and decide" in mine
    assert "Look and decide" not in others
    assert "1 request waits for others" in others


def test_home_does_not_call_calm_what_nobody_has_looked_at(world: Any) -> None:
    world.model()
    version = world.version("1.0.0")
    world.approve(version)
    world.promote(version)
    said = text(world.browser("mira").get("/"))
    assert "have not been looked at yet, so calm says nothing about them" in said


def test_home_states_calm_with_its_evidence(world: Any) -> None:
    world.model()
    version = world.version("1.0.0")
    world.approve(version)
    world.promote(version)
    world.window(world.now.replace(hour=0))
    said = text(world.browser("mira").get("/"))
    assert "nothing waits for you, nothing moves, no incident is open" in said
    assert re.search(r"looked at for all time up to 2015-\d\d-\d\d 00:00 UTC", said)


def test_the_lifeline_is_spoken_for_drawn_and_backed_by_numbers(shown: Any) -> None:
    page = shown.browser("mira").get(f"/models/{MODEL}").text
    assert "6 versions, 3 of them released, 1 taken back" in page
    assert "1.3.0 canary at 25 %" in page
    assert page.count("<svg xmlns=") == 2
    assert 'fill="var(--x-stable)"' in page
    assert f'href="/models/{MODEL}/versions/1.2.0"' in page
    assert "vega.github.io" not in page
    assert "style=" not in page
    assert "The numbers behind the picture" in page


def test_a_version_shows_its_digest_its_checks_and_who_is_still_needed(shown: Any) -> None:
    answer = shown.browser("mira").get(f"/models/{MODEL}/versions/1.4.0")
    said = text(answer)
    assert "1 of 1 still needed" in said
    assert "every metric is within its limit on 4,200 held-out rows" in said
    assert "may carry up to 100 %" in said
    assert said.count("sha256:") >= 1


def version_page(world: Any, number: str) -> Any:
    return text(world.browser("mira").get(f"/models/{MODEL}/versions/{number}"))


def test_an_approval_that_has_run_out_was_decided_all_the_same(told: Any) -> None:
    with told.parts.records.begin(system("approvals"), reason="its time is over") as work:
        given = next(a for a in approvals.listed(work) if a.target.version == "1.1.0")
        ended, event = given.end(Phase.EXPIRED, "not used in time", work.now)
        approvals.save(work, ended, event)
    said = version_page(told, "1.1.0")
    assert given.decided_at is not None
    asked, decided = moment(given.requested_at), moment(given.decided_at)
    assert f"approved asked {asked}, decided {decided}" in said
    assert f"The yes expired on {moment(told.now)}" in said
    listed = text(told.browser("mira").get("/approvals"))
    assert f"{moment(given.decided_at)} expired {moment(told.now)}" in listed


def test_a_request_that_nobody_answered_was_never_decided(told: Any) -> None:
    with told.parts.records.begin(system("approvals"), reason="its time is over") as work:
        asked = next(a for a in approvals.listed(work) if a.target.version == "1.4.0")
        ended, event = asked.end(Phase.EXPIRED, "nobody answered", work.now)
        approvals.save(work, ended, event)
    said = version_page(told, "1.4.0")
    assert "decided" not in said.split("Who says so?")[1].split("What happened")[0]
    assert f"The request expired on {moment(told.now)}" in said


def test_what_was_taken_back_says_why_it_is_still_called_approved(shown: Any) -> None:
    said = version_page(shown, "1.1.0")
    assert "their traffic was taken back afterwards" in said
    assert "approved then taken back" in text(shown.browser("mira").get(f"/models/{MODEL}"))


def test_a_version_says_what_changed_against_which(shown: Any) -> None:
    said = version_page(shown, "1.1.0")
    assert "Change patch, against 1.0.0 : only what it learnt is different number 3 of" in said
    first = version_page(shown, "1.0.0")
    assert "Change first: there is no earlier version to compare with number 1 of" in first


def test_a_rejected_version_is_not_told_to_wait(told: Any) -> None:
    told.check(told.version("1.5.0"), fail="schema")
    said = version_page(told, "1.5.0")
    assert "schema failed" in said
    assert "Nobody was asked, and nobody will be. A rejection is final" in said
    assert "hand in a new version" in said
    assert "once every required check has passed" not in said


def test_a_version_that_could_not_be_judged_says_what_is_missing(told: Any) -> None:
    told.check(told.version("1.5.0"), open_="performance")
    said = version_page(told, "1.5.0")
    assert "1 check did not" in said
    assert "performance inconclusive 800 more labelled rows are needed" in said
    assert "hand in a new version, with more held-out rows" in said
    assert "it stays in staging" in said


def test_each_version_has_its_last_measured_rate_with_what_it_rests_on(shown: Any) -> None:
    rows = dict(version_rows(shown))
    assert "12.50 %" in rows["1.1.0"]
    assert "11.49 % to 13.56 %, 4 000 rows last look of its canary, begun 2015-" in rows["1.1.0"]
    assert "900 rows window from 2015-" in rows["1.0.0"]
    assert "6 000 rows last look of its canary" in rows["1.0.1"]
    assert "not measured" in rows["1.4.0"]


def test_what_nobody_handed_in_is_shown_as_the_check_measured_it(told: Any) -> None:
    version = told.version("1.5.0", metrics={"accuracy": 0.9})
    told.check(version)
    said = version_page(told, "1.5.0")
    assert "F1 67.10 % on held-out rows, measured by our check" in said
    row = dict(version_rows(told))["1.5.0"]
    assert "67.1 % held-out 74.2 % held-out 61.2 % held-out 1.31 % held-out" in row


def version_rows(world: Any) -> list[tuple[str, str]]:
    """Each version of the model with what its row says."""
    table = world.browser("mira").get(f"/models/{MODEL}").text.split('id="versions"')[1]
    found = re.findall(r"<tr><td><a href=\"[^\"]*\"><b>([0-9.]+)</b>(.*?)</tr>", table, re.DOTALL)
    plain = ((n, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row))) for n, row in found)
    return [(number, row.replace("\u202f", " ")) for number, row in plain]


def test_who_contributed_is_told_why_they_cannot_decide(shown: Any) -> None:
    answer = shown.browser("dan").get(f"/models/{MODEL}/versions/1.4.0")
    said = text(answer)
    assert "You cannot decide on this: your roles do not decide on approvals" in said
    assert 'value="approve"' not in answer.text


def test_a_rollout_shows_each_rule_with_value_limit_interval_and_evidence(shown: Any) -> None:
    said = text(shown.browser("mira").get(f"/rollouts/{ids(shown)['rollout']}"))
    assert "1.00 %" in said
    assert "0.76 % to 1.29 %" in said
    assert "5.0 %" in said
    assert "60 false positives among 6 000 known negatives" in said.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("evidence", "needed", "said"),
    [
        (0.031, 20, "0.031 of the 20 needed"),
        (18.6, 20, "19 of the 20 needed"),
        (1100, 40, "28 times the 40 needed"),
        (9000, 40, "over 100 times the 40 needed"),
    ],
)
def test_evidence_is_told_in_numbers_that_can_be_read(
    evidence: float, needed: float, said: str
) -> None:
    assert strength(evidence, needed) == said


def test_a_stable_version_has_what_its_canary_leaves(shown: Any) -> None:
    mira = shown.browser("mira")
    assert "stable 75 %" in dict(version_rows(shown))["1.2.0"]
    assert "stable 75 % 1.2.0" in text(mira.get("/models"))
    assert "canary 25 % 1.3.0" in text(mira.get("/models"))


def test_a_settled_rollout_calls_no_version_stable(shown: Any) -> None:
    settled = text(shown.browser("mira").get("/rollouts")).split("Settled")[1]
    assert "reached 100 %" in settled
    assert "stable" not in settled


def test_one_entry_is_one_entry() -> None:
    assert count(1, "entry", "entries") == "1 entry"
    assert count(1677, "entry", "entries") == "1\u202f677 entries"


def test_an_incident_shows_both_distributions_and_since_when(shown: Any) -> None:
    answer = shown.browser("mira").get(f"/incidents/{ids(shown)['incident']}")
    said = text(answer)
    assert "distance_miles in 400 rows" in said
    assert "beside 3000 rows of training data" in said
    assert "the move began 2015-" in said
    assert answer.text.count("<svg xmlns=") == 4


def test_an_incident_without_data_says_that_nothing_can_be_drawn(world: Any) -> None:
    world.model()
    version = world.version("1.0.0")
    world.approve(version)
    world.promote(version)
    incident = world.incident()
    said = text(world.browser("mira").get(f"/incidents/{incident.id}"))
    assert "It cannot be drawn: no prediction of flight-delays was made" in said


def serving(world: Any) -> None:
    world.model()
    version = world.version("1.0.0")
    world.approve(version)
    world.promote(version)
    world.step_to(world.now.replace(hour=0) + timedelta(days=1))


def test_the_pictures_of_an_incident_of_long_ago_show_its_own_time(world: Any) -> None:
    serving(world)
    for n in range(6):
        world.window(world.now, ks_d=0.05 if n < 4 else 0.41)
    world.predictions(1.609)
    began, incident = world.now, world.incident()
    world.window(world.now)
    world.predictions(1.0)  # repaired
    world.resolve(incident.id)
    later = world.version("1.1.0", parent="1.0.0", rows=2000)
    world.approve(later)
    world.promote(later)
    world.step_to(world.now.replace(hour=0) + timedelta(days=1))
    for _ in range(62):
        world.window(world.now)
    said = text(world.browser("mira").get(f"/incidents/{incident.id}"))
    assert "distance_miles in 400 rows" in said
    assert f"to {began:%Y-%m-%d} 00:00 UTC, beside 3000 rows of training data" in said
    assert re.search(r"at most (\S+) times", said)[1] == "2.05"  # type: ignore[index]


def test_an_incident_of_a_metric_shows_the_metric(world: Any) -> None:
    serving(world)
    for wrong in (9, 10, 180, 170):
        world.window(world.now, false_positives=wrong)
    incident = world.incident("too many false positives", metric="false_positive_rate")
    answer = world.browser("mira").get(f"/incidents/{incident.id}")
    said = text(answer)
    assert (
        "false positive rate from window to window: 20.00 % at the worst, where its limit was "
        "5.00 %; last 18.89 %" in said
    )
    assert answer.text.count("<svg xmlns=") == 2
    assert "It cannot be drawn" not in said


def confirmed(world: Any, name: str, since: datetime) -> None:
    """A drift that is believed."""
    subject = Subject.STRUCTURE if "/" in name else Subject.DRIFT
    watch = Watch(
        id=new_id("wat"), model=MODEL, tenant=None, subject=subject, name=name,
        phase=WatchPhase.CONFIRMED, alarming=2, calm=0, since=since, judged_through=since,
        window=None,
    )  # fmt: skip
    moved = WatchMoved(
        subject=watch.id, tenant=None, model=MODEL, window="", watched=subject.value, name=name,
        before="suspected", after="confirmed", alarming=2, calm=0, needed=2, reason="it moved",
    )  # fmt: skip
    with world.parts.records.begin(system("watch"), reason="it moved") as work:
        windows.keep_watch(work, watch, moved)


def home_after(world: Any, *drifting: str) -> tuple[str, httpx.Response]:
    """The incident of `distance_miles`, and the home page after its end, with this drift left."""
    serving(world)
    world.window(world.now, ks_d=0.41)
    incident = world.incident()
    for name in drifting:
        confirmed(world, name, incident.drift_start)
    world.resolve(incident.id)
    return incident.id, world.browser("mira").get("/")


def test_drift_that_a_resolved_incident_explains_is_known_and_calm(world: Any) -> None:
    incident, page = home_after(world, "distance_miles/null_rate", "distance_miles")
    said = text(page)
    assert f"known explained by {incident}" in said
    model = text(world.browser("mira").get(f"/models/{MODEL}"))
    assert f"known explained by {incident}" in model
    assert "calm — nothing waits for you" in said
    assert "the drift of 1 model is known and explained" in said
    assert "did not come out calm" not in said


def test_drift_that_nobody_has_explained_is_not_called_calm(world: Any) -> None:
    _, page = home_after(world, "distance_miles", "departure_hour")
    said = text(page)
    assert "but 1 model did not come out calm" in said
    assert "calm — nothing waits for you" not in said
    assert 'class="notice good"' not in page.text
    assert "confirmed" in said


def test_home_says_what_is_stopped_and_by_whom_it_may_be_seen(world: Any) -> None:
    with world.parts.records.begin(world.actor("mira"), reason="errors everywhere") as work:
        kill_switches.engage(work, Scope.TENANT, "globex")
    assert "Remedies of tenant globex are stopped by a kill switch" in text(
        world.browser("mira").get("/")
    )
    assert "errors everywhere" in world.browser("mira").get("/").text
    assert "kill switch" not in text(world.browser("tina").get("/"))


def test_home_says_since_when_there_are_no_outcomes(world: Any) -> None:
    serving(world)
    assert "no outcomes known yet" in text(world.browser("mira").get("/"))
    window = world.window(world.now)
    for _ in range(9):
        world.window(world.now, false_positives=None)
    assert f"no outcomes since {window.end:%Y-%m-%d}" in text(world.browser("mira").get("/"))


def test_a_verification_through_the_interface_shows_on_the_pages(told: Any) -> None:
    with told.parts.records.begin(told.actor("root"), reason="for a test") as work:
        account = identity.add_account(
            work,
            name="Nightly check",
            owner=told.people["audrey"].id,
            roles=("auditor",),
            tenant=None,
        )
        _, key = identity.issue_key(work, account)
    assert "not verified since this server started" in text(told.browser("audrey").get("/"))
    headers = {"Authorization": f"Bearer {key}"}
    answer = told.browser().client.post("/api/v1/audit/verify", headers=headers)
    assert answer.status_code == 200, answer.text
    for address in ("/", "/audit"):
        said = text(told.browser("audrey").get(address))
        assert "not verified" not in said
        assert re.search(r"whole .*by Nightly check", said)
    assert "by Nightly check" not in text(told.browser("gil").get("/"))


def test_the_ledger_is_verified_by_the_independent_verifier(told: Any) -> None:
    browser = told.browser("audrey")
    assert "not verified since this server started" in text(browser.get("/audit"))
    answer = browser.send("/audit/verify")
    assert answer.status_code == 303
    said = text(browser.get(answer.headers["location"]))
    assert "every entry is where the tree says, and every published head fits" in said


def test_verifying_needs_its_permission(shown: Any) -> None:
    assert shown.browser("mira").send("/audit/verify").status_code == 403


def test_entries_are_found_by_the_id_they_mention_and_lead_to_a_proof(shown: Any) -> None:
    browser = shown.browser("audrey")
    rollout = ids(shown)["rollout"]
    page = browser.get(f"/audit?ref={rollout}").text
    numbers = re.findall(r'<td data-label="Entry" class="num"><a href="/audit/(\d+)">', page)
    assert numbers
    assert all(rollout in browser.get(f"/audit/{n}").text for n in numbers[:2])
    entry = text(browser.get(f"/audit/{numbers[0]}"))
    assert "Inclusion proof" in entry
    assert "Leaf hash" in entry


def test_a_search_that_finds_nothing_says_so(shown: Any) -> None:
    assert "No entry fits" in text(shown.browser("audrey").get("/audit?kind=no.such"))


@pytest.mark.parametrize(
    "address",
    ["/nowhere", "/models/none", f"/models/{MODEL}/versions/9.9.9", "/rollouts/rol_none",
     "/incidents/inc-2001-01-01-001", "/audit/999999", "/approvals/apr_none"],
)  # fmt: skip
def test_what_does_not_exist_is_a_page_of_its_own(shown: Any, address: Any) -> None:
    answer = shown.browser("mira").get(address)
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_what_is_not_mine_is_said_to_be_so(shown: Any) -> None:
    answer = shown.browser("felix").get("/")
    assert answer.status_code == 403
    assert "models:read" in answer.text
    assert "This is not yours to do" in answer.text


def test_a_failure_is_a_page_and_tells_nothing_of_the_inside(told: Any) -> None:
    told.application.parts.records.database.engine.dispose()
    with told.parts.records.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE models RENAME TO elsewhere")
    with structlog.testing.capture_logs() as logged:
        answer = told.browser("mira").get("/models")
    assert "page failed" in [line["event"] for line in logged]
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    assert "elsewhere" not in answer.text
    assert "SELECT" not in answer.text


def test_the_interface_keeps_its_own_answers(shown: Any) -> None:
    answer = shown.browser().client.get("/api/v1/models/none", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("application/problem+json")
    missing = shown.browser().client.get("/api/v1/none", headers={"Accept": "application/json"})
    assert missing.headers["content-type"].startswith("application/problem+json")


def test_another_tenants_things_are_not_there(shown: Any) -> None:
    gil, seen = shown.browser("gil"), ids(shown)
    for address in (f"/models/{MODEL}/versions/1.0.1", f"/incidents/{seen['acme']}"):
        assert gil.get(address).status_code == 404
        assert shown.browser("tina").get(address).status_code == 200
    for address in [*LISTS, f"/models/{MODEL}", f"/models/{MODEL}/versions/1.0.0"]:
        page = gil.get(address)
        assert page.status_code == 200
        assert "acme" not in page.text.lower()
        assert "1.0.1" not in page.text


def test_a_tenants_people_cannot_open_entries_of_others(shown: Any) -> None:
    fleet = shown.browser("audrey").get("/audit?kind=incident.opened").text
    number = re.findall(r'href="/audit/(\d+)"', fleet)[0]
    assert shown.browser("gil").get(f"/audit/{number}").status_code == 404
    assert shown.browser("tina").get(f"/audit/{number}").status_code == 200


def test_every_page_demands_a_permission_or_is_open_on_purpose() -> None:
    from trimtab.web.session import Demand, FormDemand
    from trimtab.web.site import ROUTERS

    routes = [r for router in ROUTERS for r in router.routes if isinstance(r, APIRoute)]
    assert len(routes) > 15
    for route in routes:
        calls = [d.call for d in route.dependant.dependencies]
        demands = [c for c in calls if isinstance(c, Demand | FormDemand)]
        opened = [c for c in calls if getattr(c, "__name__", "") == "open_to_all"]
        assert len(demands) + len(opened) == 1, route.path
        if "POST" in (route.methods or ()) and route.path != "/login":
            assert isinstance(demands[0], FormDemand), route.path
