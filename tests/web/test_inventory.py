"""The pages about other registries: what they say, to whom, as of when, and as which files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pyarrow.parquet as pq
import pytest
from tests.web import registries
from tests.web.conftest import World, opened
from tests.web.registries import ODD, Stock, stock
from tests.web.test_accessibility import visit
from tests.web.test_pages import text
from tests.workflows.records import record

from trimtab.identity import service as identity
from trimtab.inventory import connection_store, store
from trimtab.inventory.compliance import Outcome
from trimtab.inventory.model import Scope
from trimtab.inventory.record import Known
from trimtab.inventory.store import Filter
from trimtab.kernel.clock import iso
from trimtab.kernel.errors import InvalidInput
from trimtab.web import record_course
from trimtab.web.as_of import moment_of
from trimtab.web.connections import health_of
from trimtab.workflows import inventoried, judging
from trimtab.workflows.judging import Judge, grant

MODELS = {"malicious": "fraud-pickle", "full": "credit-scoring"}
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Stocked(NamedTuple):
    """A world with two registries, and what is in it."""

    world: World
    there: Stock

    def record(self, name: str) -> str:
        return f"/inventory/{self.there.records[name]}"


@pytest.fixture(scope="module")
def stocked(
    templates: dict[str, tuple[Path, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stocked]:
    """Shared, for tests that change nothing."""
    for world in opened(templates["empty"], tmp_path_factory.mktemp("stocked") / "home"):
        yield Stocked(world, stock(world))


@pytest.fixture
def changing(templates: dict[str, tuple[Path, Any]], tmp_path: Path) -> Iterator[Stocked]:
    """The same for one test, which may change it."""
    for world in opened(templates["empty"], tmp_path / "home"):
        yield Stocked(world, stock(world))


def rows(page: str) -> list[str]:
    """Model and version of each row of the list."""
    found = re.findall(r'<td class="what"><a[^>]*>(.*?)</a>', page, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", each) for each in found]


# -- the list --------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/inventory", "/connections", "/compliance"])
def test_an_empty_page_says_what_to_do(world: World, address: str) -> None:
    said = text(world.browser("mira").get(address))
    assert "trimtab connect mlflow URL" in said
    assert "None" not in said


def test_every_version_is_listed_with_its_badges(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get("/inventory").text
    assert len(rows(page)) == 7
    assert {"churn 3", "churn 4", "credit-scoring 7", "fraud-pickle 1", "click-rate 1"} <= set(
        rows(page)
    )
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for word in ("malicious", "suspicious", "not inspected", "incomplete", "nobody is named",
                 "started the run", "11 gaps", "blue , champion"):  # fmt: skip
        assert word in said


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("text=CHURN", ["churn 4", "churn 3"]),
        ("stage=production", ["credit-scoring 7", "fraud-pickle 1"]),
        ("stage=", None),
        ("owner=none", ["churn 4", "churn 3", "forecast 2"]),
        ("incomplete=true", ["forecast 2"]),
        ("removed=true", ["retired-model 1"]),
        ("inspection=malicious", ["fraud-pickle 1"]),
        ("inspection=clean", []),
        ("gap=owner-named&stage=staging", ["churn 4"]),
        ("text=credit&stage=production&inspection=suspicious", ["credit-scoring 7"]),
    ],
)
def test_the_list_is_narrowed(stocked: Stocked, query: str, expected: list[str] | None) -> None:
    page = stocked.world.browser("root").get(f"/inventory?{query}").text
    assert rows(page) == expected if expected is not None else len(rows(page)) == 7


@pytest.mark.parametrize(
    "query", ["stage=live", "inspection=good", "owner=me", "colour=red", "as_of=yesterday",
              "as_of=2099-01-01", "after=rec_none"],
)  # fmt: skip
def test_what_is_no_filter_is_refused(stocked: Stocked, query: str) -> None:
    answer = stocked.world.browser("root").get(f"/inventory?{query}")
    assert answer.status_code in (404, 422)
    assert rows(answer.text) == []


def test_the_list_as_it_stood(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get("/inventory?as_of=2015-01-06&stage=production").text
    assert rows(page) == ["fraud-pickle 1"]
    assert "As it stood at" in page
    gone = stocked.world.browser("root").get("/inventory?as_of=2015-01-06&text=retired").text
    assert rows(gone) == ["retired-model 1"]
    assert 'href="/inventory/rec_' in gone
    assert "?as_of=2015-01-06" in gone


@pytest.mark.parametrize("query", ["", "?text=churn", "?stage=production", "?as_of=2015-01-06"])
def test_each_count_is_that_of_the_list_that_it_leads_to(stocked: Stocked, query: str) -> None:
    browser = stocked.world.browser("root")
    page = browser.get(f"/inventory{query}").text
    found = re.findall(r'class="figure" href="(/inventory[^"]*)"><b[^>]*>(\d+)</b>', page)
    assert len(found) == 7
    for address, amount in found:
        assert len(rows(browser.get(address.replace("&amp;", "&")).text)) == int(amount), address


def test_pages_of_the_list_leave_nothing_out(
    stocked: Stocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimtab.web import inventory

    monkeypatch.setattr(inventory, "_PAGE", 3)
    browser, seen, address = stocked.world.browser("root"), list[str](), "/inventory"
    while address:
        page = browser.get(address).text
        seen += rows(page)
        found = re.search(r'class="button" href="([^"]+)">Further', page)
        address = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == 7
    assert len(set(seen)) == 7


def test_hostile_names_are_text(stocked: Stocked) -> None:
    for address in ("/inventory", stocked.record("odd")):
        page = stocked.world.browser("root").get(address).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}⟨202E⟩gnp.exe↵模型" in page
        assert "\u202e" not in page


# -- files -----------------------------------------------------------------------------------


def test_the_list_as_csv(stocked: Stocked) -> None:
    answer = stocked.world.browser("root").get("/inventory/export?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="inventory.csv"'
    head, *lines = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert len(lines) == 7
    models = [line[head.index("model")] for line in lines]
    assert "'" + ODD in models
    assert not any(cell[:1] in ("=", "+", "-", "@") for line in lines for cell in line)


def test_the_list_as_json_and_parquet_keeps_its_filters(stocked: Stocked) -> None:
    browser = stocked.world.browser("root")
    told = json.loads(browser.get("/inventory/export?format=json&owner=none").content)
    unowned = [("churn", 4), ("churn", 3), ("forecast", 2)]
    assert [(r["model"], r["version"]) for r in told] == unowned
    then = browser.get("/inventory/export?format=parquet&stage=production&as_of=2015-01-06")
    assert pq.read_table(io.BytesIO(then.content))["model"].to_pylist() == ["fraud-pickle"]


@pytest.mark.parametrize(
    ("form", "kind", "begins", "ending"),
    [
        ("html", "text/html; charset=utf-8", b"<!doctype html>", "html"),
        ("pdf", "application/pdf", b"%PDF-1.7", "pdf"),
        ("json", "application/json", b"{", "json"),
        ("cyclonedx", "application/vnd.cyclonedx+json; version=1.6", b"{", "cdx.json"),
    ],
)
def test_the_card_as_a_file(
    stocked: Stocked, form: str, kind: str, begins: bytes, ending: str
) -> None:
    for name, file in (("full", "credit-scoring-7"), ("odd", "cmd-C-calc-A0-script-alert")):
        answer = stocked.world.browser("root").get(f"{stocked.record(name)}/card?format={form}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"].startswith(f'attachment; filename="{file}')
        assert answer.headers["content-disposition"].endswith(f'.{ending}"')
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content.startswith(begins)


def test_the_card_as_it_stood_is_the_same_file_each_time(stocked: Stocked) -> None:
    address = f"{stocked.record('full')}/card?format=html&as_of=2015-01-06"
    first, second = (stocked.world.browser("root").get(address).content for _ in range(2))
    assert first == second
    assert b"development" in first
    assert b"2015-01-07 00:00 UTC" in first


# -- one record ------------------------------------------------------------------------------


def test_a_record_says_where_each_value_was_read(stocked: Stocked) -> None:
    said = text(stocked.world.browser("root").get(stocked.record("full")))
    assert "risk-team claimed model version `tags.owner`" in said
    assert "high claimed model version `tags.riskCategory`; written as “High-Risk”" in said
    assert "“TBD” stands there, which says nothing" in said
    assert "the experiment could not be read: it took longer than 10 s" in said
    assert "not a number (nan)" in said
    assert "not every package is pinned to one version" in said
    assert "names the global my_package.Thing" in said
    for group in ("Identity", "Lifecycle", "Training", "Lineage", "Risk", "Evidence"):
        assert f" {group} " in said


def test_gaps_come_first_with_what_to_do(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get(stocked.record("full")).text
    assert page.index(">gap<") < page.index(">cannot tell<") < page.index(">kept<")
    assert "Set the tag data_sensitivity" in page


def test_of_gaps_the_critical_ones_come_first(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get(stocked.record("full")).text
    shown = re.findall(r"</svg>(gap|cannot tell)</span><span class=\"weight[^>]*>(\w+)<", page)
    order = ("critical", "high", "medium", "low")
    for word in ("gap", "cannot tell"):
        weights = [order.index(weight) for said, weight in shown if said == word]
        assert len(weights) > 1
        assert weights == sorted(weights)
    assert shown[0] == ("gap", "critical")


def test_production_looks_as_bad_as_the_files_that_stand_there(stocked: Stocked) -> None:
    browser = stocked.world.browser("root")
    for name, tone in (("malicious", "bad"), ("full", "wait")):
        for address in (stocked.record(name), "/inventory?text=" + MODELS[name]):
            page = browser.get(address).text
            assert f'<span class="status tone-{tone}"><svg class="shape"' in page
            badge = r'class="status tone-(\w+)"><svg[^>]*><use[^>]*/></svg>production<'
            assert re.findall(badge, page) == [tone], address


def test_what_hardly_any_rule_asks_of_is_no_all_clear(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get("/inventory?text=click-rate").text
    assert "1 of 18 rules kept" in page
    assert "no gaps" not in page


def test_a_description_keeps_its_lines_and_nothing_else_that_moves(changing: Stocked) -> None:
    world = changing.world
    with world.parts.records.look() as reading:
        risk = connection_store.get(reading, changing.there.risk)
    text_ = "First line.\r\n\r\n\r\nThen:\n\t- loans\u202e\x07\u2028<b>last</b>"
    told = Known(text_, registries.OWN, "description", claim=True)
    kept = registries.keep(
        world, Judge(world.parts), risk, record("described", 1, description=told)
    )
    page = world.browser("root").get(f"/inventory/{kept}").text
    said = "First line.\n\nThen:\n⇥- loans⟨202E⟩\ufffd\n&lt;b&gt;last&lt;/b&gt;"
    assert page.count(f'<bdi class="said lines">{said}</bdi>') == 2
    assert not set("\u202e\x07\u2028↵") & set(page)


@pytest.mark.slow
def test_on_a_narrow_screen_groups_are_folded_until_somebody_is_led_there(
    stocked: Stocked, chromium: Any
) -> None:
    shut = "document.querySelectorAll('details[data-fold]:not([open])').length"
    all_ = "document.querySelectorAll('details[data-fold]').length"
    for address in (stocked.record("full"), "/compliance"):
        page = visit(chromium, stocked.world, "root", "wide")
        page.goto(address)
        assert page.evaluate(all_) > 5
        assert page.evaluate(shut) == 0
        page.context.close()
        page = visit(chromium, stocked.world, "root", "narrow")
        page.goto(address)
        assert page.evaluate(shut) == page.evaluate(all_)
        assert page.is_visible("#rules .tone-bad")
        page.context.close()
    page = visit(chromium, stocked.world, "root", "narrow")
    page.goto(stocked.record("full") + "#files")
    assert page.evaluate("document.querySelector('#files').open")
    assert page.evaluate(shut) == page.evaluate(all_) - 1
    page.goto("/compliance")
    page.click('nav a[href="#gdpr"]')
    page.wait_for_function("document.querySelector('#gdpr').open")
    page.context.close()


def test_a_waiver_is_shown_with_who_answers(changing: Stocked) -> None:
    world = changing.world
    grant(
        world.parts,
        registries.somebody(world),
        Judge(world.parts),
        record_id=changing.there.records["bare"],
        rule="owner-named",
        whole_model=False,
        expires_at=world.now + timedelta(days=30),
        reason="the team is being put together",
    )
    browser = world.browser("root")
    assert "the team is being put together" in browser.get(changing.record("bare")).text
    assert "waived" in text(browser.get(changing.record("bare")))
    assert "the team is being put together" in browser.get("/compliance").text


def test_the_history_has_every_move_with_before_and_after(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get(stocked.record("full")).text
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "it was moved 2 times; production from 2015-01-10 08:00 UTC until now" in said
    assert "moved staging, blue production, blue , champion lifecycle stage, aliases" in said
    assert "?as_of=2015-01-07T08%3A00%3A00.000000Z" in page


def test_a_record_as_it_stood(stocked: Stocked) -> None:
    browser = stocked.world.browser("root")
    then = text(browser.get(f"{stocked.record('full')}?as_of=2015-01-08"))
    assert "As it stood at 2015-01-09 00:00 UTC" in then
    assert "staging" in then
    before = browser.get(f"{stocked.record('full')}?as_of=2014-12-31")
    assert before.status_code == 404
    assert "not known then" in text(before)


def test_what_is_there_no_more_is_still_shown(stocked: Stocked) -> None:
    said = text(stocked.world.browser("root").get(stocked.record("old")))
    assert "Its registry has it no more since 2015-01-10 08:00 UTC" in said


@pytest.mark.parametrize(
    "address",
    ["", "/summary", "/export", "/records/{record}", "/records/{record}/lineage",
     "/records/{record}/card", "/lineage?node=dataset:x"],
)  # fmt: skip
def test_the_interface_tells_nothing_of_what_has_not_come_yet(
    stocked: Stocked, address: str
) -> None:
    world = stocked.world
    token = identity.token_for(world.parts.tokens, world.people["root"])
    path = address.format(record=stocked.there.records["full"])

    def asked(at: datetime) -> httpx.Response:
        moment = iso(at)
        url = f"{world.origin}/api/v1/inventory{path}{'&' if '?' in path else '?'}as_of={moment}"
        return httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)

    assert asked(world.now).status_code in (200, 404)
    refused = asked(world.now + timedelta(seconds=1))
    assert refused.status_code == 422
    told = refused.json()
    assert (told["field"], "has not come yet" in told["detail"]) == ("as_of", True)
    assert "name a moment that is past" in told["remedy"]


def test_lineage_is_shown_both_ways(stocked: Stocked) -> None:
    said = text(stocked.world.browser("root").get(stocked.record("full")))
    assert re.search("Leads to .*placement production", said)


# -- whose things ----------------------------------------------------------------------------


def test_a_tenant_sees_its_own_alone(stocked: Stocked) -> None:
    tina, gil = (stocked.world.browser(name) for name in ("tina", "gil"))
    assert rows(tina.get("/inventory").text) == ["click-rate 1"]
    assert rows(gil.get("/inventory").text) == []
    for address in (stocked.record("foreign"), f"/connections/{stocked.there.ads}"):
        assert tina.get(address).status_code == 200
        assert gil.get(address).status_code == 404
    for address in (stocked.record("full"), f"{stocked.record('full')}/card?format=pdf",
                    f"/connections/{stocked.there.risk}"):  # fmt: skip
        assert tina.get(address).status_code == 404
    assert tina.get("/inventory/export?format=csv").text.count("\r\n") == 2
    assert tina.get(f"/inventory?after={stocked.there.records['full']}").status_code == 404


def test_who_may_not_look_is_told_so(stocked: Stocked) -> None:
    assert stocked.world.browser("felix").get("/inventory").status_code == 403
    assert stocked.world.browser().get("/inventory").status_code == 303


# -- connections -----------------------------------------------------------------------------


def test_connections_are_listed_those_in_trouble_first(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get("/connections")
    said = text(page)
    assert said.index("ads-mlflow") < said.index("risk-mlflow")
    assert "failing mlflow.ads.example does not answer: timed out after 10 s" in said
    assert "could write" in said
    assert f'href="/inventory?connection={stocked.there.risk}">6</a>' in page.text


def test_a_connection_shows_what_came_of_each_cycle(stocked: Stocked) -> None:
    said = text(stocked.world.browser("root").get(f"/connections/{stocked.there.risk}"))
    assert "These credentials can change the registry" in said
    assert "forecast 2: the run could not be read: it took longer than 10 s" in said
    assert said.index("succeeded") < said.index("partial")


def test_what_is_older_than_it_may_be_lags_whatever_was_noted(changing: Stocked) -> None:
    changing.world.step(hours=3)
    said = text(changing.world.browser("root").get("/connections"))
    assert "lagging" in said
    assert "healthy" not in said
    parts = changing.world.parts
    with parts.records.look() as reading:
        view = inventoried.connection(
            reading, parts, registries.somebody(changing.world), changing.there.risk
        )
    assert health_of(view).word == "lagging"


def test_a_registry_is_read_when_somebody_asks(changing: Stocked) -> None:
    browser, address = changing.world.browser("root"), f"/connections/{changing.there.risk}"
    answer = browser.send(f"{address}/sync", scope="full", reason="before the audit")
    assert answer.headers["location"] == f"{address}?done=asked"
    assert "as soon as there is somebody" in browser.get(answer.headers["location"]).text
    with changing.world.parts.records.look() as reading:
        asked = connection_store.state(reading, changing.there.risk).asked
    assert (asked["scope"], asked["reason"]) == (Scope.FULL, "before the audit")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"scope": "full", "reason": " "}, 422),
        ({"scope": "everything", "reason": "because"}, 422),
        ({"scope": "model", "reason": "because"}, 422),
        ({"scope": "full", "reason": "because", "csrf": "guessed"}, 403),
    ],
)
def test_a_wish_that_is_none_is_refused(
    stocked: Stocked, fields: dict[str, str], status: int
) -> None:
    browser, address = stocked.world.browser("root"), f"/connections/{stocked.there.risk}/sync"
    send = browser.post if "csrf" in fields else browser.send
    assert send(address, **fields).status_code == status
    with stocked.world.parts.records.look() as reading:
        assert connection_store.state(reading, stocked.there.risk).asked == {}


def test_who_may_not_have_it_read_sees_no_form(stocked: Stocked) -> None:
    address = f"/connections/{stocked.there.risk}"
    auditor = stocked.world.browser("audrey")
    assert "Read it now</button>" not in auditor.get(address).text
    assert auditor.send(f"{address}/sync", scope="full", reason="please").status_code == 403


# -- rules, home -----------------------------------------------------------------------------


def test_rules_stand_worst_first_and_lead_to_the_records(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get("/compliance").text
    cells = (
        r'data-label="Weight" data-sort="(\d)">.*?data-label="Gaps" class="num" data-sort="(\d+)"'
    )
    counts = [(int(weight), int(gaps)) for weight, gaps in re.findall(cells, page)]
    first = [one for one in counts if one[1]]
    assert counts[: len(first)] == first, "rules without a gap come last"
    assert first == sorted(first, key=lambda one: (one[0], -one[1])), "what weighs most first"
    assert first[0][0] == 0
    assert len({weight for weight, _ in first}) > 2
    assert "GDPR, Regulation (EU) 2016/679" in page
    link = re.findall(r'href="(/inventory\?gap=[^"]+)">(\d+)</a>', page)[0]
    listed = stocked.world.browser("root").get(link[0]).text
    assert len(rows(listed)) == int(link[1])


def test_counts_of_rules_are_those_of_the_records(stocked: Stocked) -> None:
    world = stocked.world
    actor, judge = registries.somebody(world), Judge(world.parts)
    with world.parts.records.look() as reading:
        found = judging.compliance(reading, judge, actor)
        entries = list(judging.each(reading, actor, Filter()))
        evaluations = [judging.evaluation_of(reading, entry) for entry in entries]
    for count in found.frameworks:
        results = [
            result
            for evaluation in evaluations
            for result in evaluation.results
            if count.framework in {said.framework for said in result.regulations}
        ]
        outcomes = [result.outcome for result in results]
        assert count.passed == outcomes.count(Outcome.PASS)
        assert count.gaps == outcomes.count(Outcome.FAIL)
        assert count.waived == outcomes.count(Outcome.WAIVED)
        assert count.unknown == outcomes.count(Outcome.INCONCLUSIVE)
    for one in found.standing:
        outcomes = [r.outcome for e in evaluations for r in e.results if r.rule == one.rule]
        assert one.gaps == outcomes.count(Outcome.FAIL)
        assert one.unknown == outcomes.count(Outcome.INCONCLUSIVE)
    assert sum(one.gaps for one in found.standing) > 20


def test_naming_has_a_page_of_its_own(stocked: Stocked) -> None:
    browser, address = stocked.world.browser("root"), f"/connections/{stocked.there.risk}"
    assert f'href="{address}/naming"' in browser.get(address).text
    assert "Nothing is named or written in two ways" in browser.get(f"{address}/naming").text
    assert stocked.world.browser("tina").get(f"{address}/naming").status_code == 404


def test_home_says_what_needs_somebody(stocked: Stocked) -> None:
    page = stocked.world.browser("root").get("/").text
    assert 'href="/inventory?inspection=malicious">1 version</a>' in page
    assert "ads-mlflow" in page
    assert "risk-mlflow" not in page
    assert "nothing waits for you" not in page


def test_home_of_a_calm_inventory_says_nothing_of_it(world: World) -> None:
    assert "Other registries" not in world.browser("root").get("/").text


# -- moments and pictures --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("", None),
        ("2026-11-03", datetime(2026, 11, 4, tzinfo=UTC)),
        ("2026-11-22", NOW),
        ("2026-11-03T09:30:00Z", datetime(2026, 11, 3, 9, 30, tzinfo=UTC)),
        ("2026-11-03T09:30:00+02:00", datetime(2026, 11, 3, 7, 30, tzinfo=UTC)),
    ],
)
def test_a_day_is_meant_as_it_ended(said: str, moment: datetime | None) -> None:
    assert moment_of(said, NOW) == moment


@pytest.mark.parametrize(
    "said", ["2026-11-23", "2026-11-22T12:00:01Z", "9999-12-31", "yesterday", "2026-13-01",
             "2026-11-03T09:30:00", "<script>1"],
)  # fmt: skip
def test_what_is_no_moment_of_the_past_is_refused(said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        moment_of(said, NOW)
    assert refused.value.field == "as_of"


def test_the_course_covers_all_of_the_time(stocked: Stocked) -> None:
    world = stocked.world
    with world.parts.records.look() as reading:
        moves = inventoried.history(
            reading, registries.somebody(world), stocked.there.records["full"]
        )
    course = record_course.draw(moves, world.now, datetime(2015, 1, 8, tzinfo=UTC))
    assert course is not None
    stages, *names = course.lanes
    assert [s.shade for s in stages.stretches] == ["none", "canary", "stable"]
    assert sum(s.width for s in stages.stretches) == pytest.approx(100, abs=1)
    assert [lane.label for lane in names] == ["blue", "champion"]
    assert len(course.ticks) == 4
    assert course.chosen == pytest.approx(100 * 64 / 121, abs=0.1)
    assert record_course.draw([], world.now) is None


def test_the_course_ends_where_its_registry_has_it_no_more(stocked: Stocked) -> None:
    world = stocked.world
    with world.parts.records.look() as reading:
        record = stocked.there.records["old"]
        moves = inventoried.history(reading, registries.somebody(world), record)
        assert store.head(reading, record).removed
    course = record_course.draw(moves, world.now)
    assert course is not None
    assert course.lanes[0].stretches[-1].x + course.lanes[0].stretches[-1].width < 99.9
