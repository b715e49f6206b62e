"""From a registry's documents to the record, whatever they say."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.inventory import documents as made

from trimtab.artifacts.redaction import without_secrets
from trimtab.inventory.coerce import Limits
from trimtab.inventory.evidence import with_inspection
from trimtab.inventory.normalise import normalise, source_hash
from trimtab.inventory.oddities import FINDINGS
from trimtab.inventory.record import FIELDS, GROUPS, Record
from trimtab.inventory.source import (
    Details,
    Fault,
    Listing,
    Part,
    SourceFile,
    SourceModel,
    SourceVersion,
)
from trimtab.inventory.tagmap import default_tag_map

FINDING = re.compile(r'Finding\(\s*f?"([^"]+)"')
WORDS = """info data tags metrics params inputs dataset_inputs dataset key value step timestamp name
digest source run_id current_stage aliases alias version description user_id artifact_uri
start_time end_time creation_timestamp last_updated_timestamp model_id source_run_id run owner
risk_category pii lifecycle_stage"""
KEYS = st.sampled_from(WORDS.split()) | st.text(max_size=8)
TEXT = st.text(st.characters(codec=None), max_size=30)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(["Production", "runs:/x/y", "models:/m-1", "NaN", "1e999", "a,b"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXT, inner, max_size=6),
    max_leaves=25,
)
INSPECTED = st.dictionaries(
    st.sampled_from(["path", "size", "sha256", "format", "result", "findings", "environment"]),
    JSON | st.sampled_from(["MLmodel", "requirements.txt", "clean"]),
    max_size=7,
)
DOCUMENT = st.dictionaries(KEYS, JSON, max_size=10)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCUMENT, DOCUMENT, DOCUMENT, DOCUMENT, DOCUMENT, TEXT, st.booleans())
def test_no_document_is_too_odd_for_a_record(
    model: Any, version: Any, run: Any, experiment: Any, logged: Any, name: str, passing: bool
) -> None:
    details = Details(
        run=run,
        experiment=experiment,
        logged_model=logged,
        listing=Listing(name, (SourceFile(name, 3),), truncated=name or None),
        faults=(Fault(Part.RUN, name, passing),),
    )
    args = (SourceModel(name, model), SourceVersion(name, 3, version), details)
    record = normalise(*args, default_tag_map(), now=made.NOW)
    assert set(record.fields) == set(FIELDS)
    text = json.dumps(record.plain(), allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert Record.read(json.loads(text)) == record
    assert normalise(*args, default_tag_map(), now=made.NOW) == record
    assert bool(record.incomplete) == passing
    assert source_hash(args[0], args[1]) == source_hash(args[0], args[1])


def codes(record: Record) -> set[str]:
    return {finding.code for finding in record.findings}


def test_a_version_in_order_has_every_field_with_its_source() -> None:
    record = made.record(
        made.version(tags={"risk_category": "High-Risk", "business_purpose": "Retention"}),
        under=made.model(tags={"owner": "risk-team"}, aliases={"champion": 3, "old": 2}),
    )
    said = {name: known.value for name, known in record.fields.items()}
    assert said["model_name"] == "churn"
    assert said["description"] == "Who will leave"
    assert said["version_number"] == 3
    assert said["lifecycle_stage"] == said["deployment_status"] == "production"
    assert said["aliases"] == ["champion"]
    assert said["created_at"] == "2026-09-21T14:13:20.000000Z"
    assert said["training_status"] == "FINISHED"
    assert said["hyperparameters"] == {"depth": "6"}
    assert said["metrics"]["auc"]["value"] == 0.93
    assert said["experiment_name"] == "churn-2026"
    assert said["code_commit"] == "c0ffee"
    assert [file["path"] for file in said["evidence_files"]] == ["reports/model_card.md"]
    assert [f["path"] for f in said["runtime_environment"]["files"]] == ["requirements.txt"]
    owner = record.fields["owner"]
    assert (owner.value, owner.key, owner.claim) == ("risk-team", "tags.owner", True)
    risk = record.fields["risk_category"]
    assert (risk.value, risk.coerced_from, risk.claim) == ("high", "High-Risk", True)
    assert codes(record) == {"claim"}
    assert record.incomplete is None


def test_a_claim_is_no_approval_and_is_said_to_be_one() -> None:
    record = made.record(made.version(tags={"compliance_approver": "ceo", "risk_category": "low"}))
    assert record.fields["compliance_approver"].claim
    (claim,) = [f for f in record.findings if f.code == "claim"]
    assert "no approval" in claim.detail
    assert "compliance_approver" in claim.detail


@pytest.mark.parametrize(
    ("stage", "aliases", "expected", "conflict"),
    [
        ("Production", {}, "production", False),
        ("None", {"champion": 3}, "production", False),
        ("None", {"champion": 2}, "development", False),
        ("None", {"PROD": 3}, "production", False),
        ("Staging", {"champion": 3}, "production", True),
        ("Production", {"challenger": 3}, "production", True),
        ("Archived", {"champion": 3}, "production", True),
        ("Archived", {}, "archived", False),
        ("None", {"challenger": 3, "champion": 3}, "production", False),
        ("None", {"whatever": 3}, "development", False),
        ("QA", {}, "development", False),
        (None, {}, "development", False),
        ({"odd": 1}, {}, "development", False),
    ],
)
def test_the_more_exposed_of_stage_and_alias_counts(
    stage: Any, aliases: dict[str, int], expected: str, conflict: bool
) -> None:
    record = made.record(made.version(current_stage=stage), under=made.model(aliases=aliases))
    assert record.stage == expected
    assert record.value("deployment_status") == expected
    assert ("stage_alias_conflict" in codes(record)) == conflict
    assert ("stage_unknown" in codes(record)) == (stage == "QA")


@pytest.mark.parametrize("near", ["version", "model", "run"])
@pytest.mark.parametrize(
    ("field", "low", "strict", "expected"),
    [
        ("risk_category", "minimal", "high", "high"),
        ("risk_category", "limited", "banned", "prohibited"),
        ("risk_category", "minimal", "spicy", "spicy"),
        ("risk_category", "spicy", "high", "high"),
        ("data_sensitivity", "public", "PHI", ["health"]),
        ("data_sensitivity", "none", "odd", ["odd"]),
    ],
)
def test_the_strictest_claim_counts_wherever_it_stands(
    near: str, field: str, low: str, strict: str, expected: Any
) -> None:
    tags = {key: {field: low} for key in ("version", "model", "run")} | {near: {field: strict}}
    record = made.record(
        made.version(tags=tags["version"]),
        under=made.model(tags=tags["model"]),
        leads_to=made.details(run=made.run(tags=tags["run"])),
    )
    assert record.value(field) == expected
    (found,) = [one for one in record.findings if one.code == "claims_conflict"]
    assert found.detail.startswith(f"{field}: tags.{field} of the model version says ")
    assert found.detail.endswith("; the strictest counts")


def test_words_of_data_add_up_and_spellings_of_a_key_hide_none() -> None:
    both = {"data_sensitivity": "financial", "pii": "true"}
    record = made.record(made.version(tags=both))
    assert record.value("data_sensitivity") == ["financial", "personal"]
    assert "claims_conflict" not in codes(record)
    hidden = {"Data-Sensitivity": "none", "data_sensitivity": "health"}
    record = made.record(made.version(tags=hidden))
    assert record.value("data_sensitivity") == ["health"]
    assert "claims_conflict" in codes(record)
    agreed = made.record(made.version(tags=both), under=made.model(tags={"owner": "x"}))
    assert "claims_conflict" not in codes(agreed)


def test_an_owner_is_looked_for_nearest_first_and_a_user_of_a_run_is_marked() -> None:
    of = made.version(tags={"dataOwner": "b"})
    under = made.model(tags={"owner": "a"})
    assert made.record(of, under=under).value("owner") == "b"
    assert made.record(under=under).value("owner") == "a"
    filler = made.record(made.version(tags={"owner": "TBD"}), under=under)
    assert filler.value("owner") == "a"
    assumed = made.record(made.version(tags={"owner": "n/a"}))
    assert (assumed.value("owner"), assumed.fields["owner"].key) == ("mira", "info.user_id")
    assert "owner_assumed" in codes(assumed)
    nobody = made.record(
        made.version(tags={"owner": "TBD"}),
        leads_to=made.details(run=made.run(info={"user_id": ""})),
    )
    assert nobody.value("owner") is None
    assert nobody.fields["owner"].coerced_from == "TBD"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (made.CREATED_MS, "2026-09-21T14:13:20.000000Z"),
        (str(made.CREATED_MS), "2026-09-21T14:13:20.000000Z"),
        (1, "1970-01-01T00:00:00.001000Z"),
        (0, None),
        (-1, None),
        (2**63 - 1, None),
        (2**63, None),
        (10**4000, None),
        ("soon", None),
        (True, None),
        (float("inf"), None),
    ],
)
def test_a_time_that_cannot_have_been_is_none_with_its_reason(
    value: Any, expected: str | None
) -> None:
    record = made.record(made.version(creation_timestamp=value, last_updated_timestamp=None))
    known = record.fields["created_at"]
    assert known.value == expected
    assert (known.fault is not None) == (expected is None)
    assert ("timestamp_odd" in codes(record)) == (expected is None)


def test_a_clock_may_be_ahead_by_a_day_and_no_more() -> None:
    day = int((made.NOW + timedelta(days=1)).timestamp() * 1000)
    assert made.record(made.version(last_updated_timestamp=day)).value("last_updated_at")
    late = made.record(made.version(last_updated_timestamp=day + 1))
    assert late.value("last_updated_at") is None
    assert "in the future" in (late.fields["last_updated_at"].fault or "")


@pytest.mark.parametrize(
    ("value", "invalid"),
    [
        (float("nan"), "nan"),
        ("NaN", "nan"),
        (float("inf"), "inf"),
        ("-Infinity", "-inf"),
        (1.7976931348623157e308, "inf"),
        (-1.7976931348623157e308, "-inf"),
        ("1e999", "1e999"),
        (10**400, "inf"),
        (None, "missing"),
        (True, "not a number"),
        ("high", "not a number"),
        ([1], "not a number"),
    ],
)
def test_a_metric_that_is_no_finite_number_is_kept_as_invalid(value: Any, invalid: str) -> None:
    record = made.record(
        leads_to=made.details(run=made.run(metrics=[{"key": "auc", "value": value}]))
    )
    assert record.value("metrics") == {"auc": {"value": None, "invalid": invalid}}
    assert "metric_invalid" in codes(record)
    json.dumps(record.plain(), allow_nan=False)


def test_a_metric_as_text_is_a_number_and_says_what_it_was() -> None:
    record = made.record(
        leads_to=made.details(run=made.run(metrics=[{"key": "auc", "value": "0.5", "step": "7"}]))
    )
    assert record.value("metrics") == {"auc": {"value": 0.5, "coerced_from": "0.5", "step": 7}}
    assert "metric_invalid" not in codes(record)


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("data_sensitivity", "PII", ["personal"]),
        ("data_sensitivity", "PII, phi; Financial Data", ["personal", "health", "financial"]),
        ("data_sensitivity", '["no PII"]', ["none"]),
        ("data_sensitivity", "unknown", None),
        ("data_sensitivity", "customers of Graz", ["customers of Graz"]),
        ("data_sensitivity", "[" * 4_000, ["[" * 4_000]),
        ("privacy_assessment_status", "DPIA done", "completed"),
        ("privacy_assessment_status", "Not  Done", "not_done"),
        ("risk_category", " HIGH ", "high"),
        ("risk_category", "tbd", None),
        ("compliance_approver", "none", None),
    ],
)
def test_a_phrase_becomes_a_word_and_the_phrase_is_kept(
    name: str, said: str, expected: Any
) -> None:
    known = made.record(made.version(tags={name: said})).fields[name]
    assert known.value == expected
    assert known.coerced_from == said or known.value == said


def test_what_seems_to_be_a_secret_is_kept_by_name_only() -> None:
    secret = "hunter2hunter2"
    url = f"https://ann:{secret}@store/x?sig={secret}"
    record = made.record(
        made.version(tags={"apiKey": secret, "note": f"password={secret}"}, source=url),
        leads_to=made.details(
            run=made.run(
                tags={"DB_PASSWORD": secret},
                params={"access_token": secret, "max_tokens": "512", "pad_token": "<pad>"},
                inputs=[{"dataset": {"name": "d", "digest": "1", "source": url}}],
            )
        ),
    )
    assert secret not in json.dumps(record.plain())
    assert record.version_tags["apiKey"] == "[withheld]"
    parameters = record.value("hyperparameters")
    assert parameters["access_token"] == "[withheld]"
    assert (parameters["max_tokens"], parameters["pad_token"]) == ("512", "<pad>")
    assert "secret_withheld" in codes(record)


PRIVATE_KEY = "-----BEGIN RSA PRIVATE KEY-----\nhunter2hunter2\n-----END RSA PRIVATE KEY-----"


def test_free_texts_and_names_are_kept_without_the_secrets_in_them() -> None:
    secret = "hunter2hunter2"
    said = f"password={secret}"
    record = made.record(
        under=made.model(description=f"Scores loans.\nUse {said} to log in.\n{PRIVATE_KEY}\nBye."),
        leads_to=made.details(
            run=made.run(
                tags={f"note {said}": "x"},
                params={f"depth {said}": "6"},
                metrics=[{"key": f"auc {said}", "value": 0.9}],
                info={"user_id": f"mira {said}"},
                inputs=[{"dataset": {"name": said, "digest": "1", "source": "s"}, "tags": []}],
            ),
            experiment=made.experiment(name=f"churn {said}"),
        ),
    )
    assert secret not in json.dumps(record.plain())
    told = record.fields["description"]
    assert told.value == "Scores loans.\nUse [withheld] to log in.\n[withheld]\nBye."
    assert told.fault is not None
    assert record.value("experiment_name") == "churn [withheld]"
    withheld = {f.detail for f in record.findings if f.code == "secret_withheld"}
    assert withheld == {f"{key} holds what seems to be a secret" for key in WITHHELD_AT}


@pytest.mark.parametrize(
    "hostile",
    [
        "eyJ-",
        "eyJaaaaaaaa.",
        "password ",
        "a://b:",
        "-----BEGIN KEY",
        "sk-",
        "xoxb-",
        "ghp_",
        "AKIA",
    ],
)
def test_long_texts_are_looked_through_once(hostile: str) -> None:
    """Where each letter was looked at again for each other, this would take minutes."""
    begun = time.process_time()
    without_secrets(hostile * (200_000 // len(hostile)))
    assert time.process_time() - begun < 2


WITHHELD_AT = ("description", "info.user_id", "name")


def test_what_is_above_a_limit_is_cut_and_said() -> None:
    limits = Limits(tag_value_chars=10, tags=2, metrics=1, parameters=1, files=2, datasets=1)
    of = made.version(tags={"owner": "x" * 11, "b": "y" * 10, "c": "z"})
    run = made.run(
        metrics=[{"key": k, "value": 1} for k in "ab"],
        params={"a": 1, "b": 2},
        inputs=[{"dataset": {"name": n, "digest": n}} for n in "ab"],
    )
    record = normalise(
        made.model(), of, made.details(run=run), default_tag_map(), now=made.NOW, limits=limits
    )
    assert record.value("owner") == "x" * 10
    assert record.fields["owner"].fault == "1 of 11 characters were cut"
    assert record.version_tags["b"] == "y" * 10
    assert list(record.version_tags) == ["owner", "b"]
    assert [len(record.value(name)) for name in ("metrics", "hyperparameters")] == [1, 1]
    assert len(record.value("dataset_inputs")) == 1
    assert len(record.value("artifact_manifest")["files"]) == 2
    assert {"cut", "listing_cut"} <= codes(record)


@pytest.mark.parametrize("odd", ["a\x00b", "line\nbreak", "\u202etxt.exe", "__proto__", "{{7*7}}"])
def test_any_text_is_kept_as_it_is(odd: str) -> None:
    record = made.record(made.version(tags={odd: odd, "owner": odd}, description=odd))
    assert record.version_tags[odd] == odd
    assert record.value("owner") == odd
    assert Record.read(json.loads(json.dumps(record.plain()))) == record


def test_half_a_character_is_replaced_and_said() -> None:
    record = made.record(made.version(tags={"owner": "x\ud800"}))
    assert record.value("owner") == "x\ufffd"
    assert record.fields["owner"].fault


@pytest.mark.parametrize(
    ("name", "odd"), [("churn", False), ("ch\u202eurn", True), ("a\x00", True)]
)
def test_a_name_with_what_is_not_seen_is_odd(name: str, odd: bool) -> None:
    args = (SourceModel(name, {}), SourceVersion(name, 1, {}), Details())
    assert ("name_odd" in codes(normalise(*args, default_tag_map(), now=made.NOW))) == odd


OWN = f"models:/m-{'1' * 32}"


def logged(run: str = made.RUN) -> dict[str, Any]:
    info = {"model_id": OWN[8:], "source_run_id": run, "artifact_uri": f"s3://bucket/7/{OWN[8:]}"}
    return {"info": info, "data": {}}


@pytest.mark.parametrize(
    ("source", "leads_to", "expected"),
    [
        (f"{made.ROOT}/model", {}, set()),
        (f"runs:/{made.RUN}/model", {}, set()),
        (f"runs:/{made.OTHER_RUN}/model", {}, {"lineage_mismatch"}),
        (f"s3://bucket/7/{made.OTHER_RUN}/artifacts/model", {}, {"lineage_mismatch"}),
        ("s3://bucket/8/model", {}, {"lineage_mismatch"}),
        (f"{made.ROOT}/../{made.OTHER_RUN}", {}, {"lineage_mismatch", "source_odd"}),
        (f"{made.ROOT}/%2e%2e/x", {}, {"lineage_mismatch", "source_odd"}),
        (f"{made.ROOT}/..\\x", {}, {"lineage_mismatch", "source_odd"}),
        ("s3://elsewhere/model", {}, {"lineage_mismatch", "source_odd"}),
        ("file:///etc/passwd", {}, {"lineage_mismatch", "source_odd"}),
        ("//proc/self/root", {}, {"lineage_mismatch", "source_odd"}),
        ("http:///#/../../etc/", {}, {"lineage_mismatch", "source_odd"}),
        ("http://[::1", {}, {"lineage_mismatch", "source_odd"}),
        (OWN, {"logged_model": logged()}, set()),
        (OWN, {"logged_model": logged(made.OTHER_RUN)}, {"lineage_mismatch"}),
        (OWN, {}, {"lineage_unverified"}),
        ("models:/other/2", {}, set()),
    ],
)
def test_a_source_that_is_not_its_runs_own_is_seen(
    source: str, leads_to: dict[str, Any], expected: set[str]
) -> None:
    record = made.record(made.version(source=source), leads_to=made.details(**leads_to))
    assert codes(record) - {"owner_assumed"} == expected


def test_runs_that_are_none_deleted_missing_or_unread_are_told_apart() -> None:
    def with_run(run: Any, *faults: Fault, **version: Any) -> Record:
        details = Details(run=run, experiment=made.experiment(), faults=faults)
        return made.record(made.version(**version), leads_to=details)

    deleted = with_run(made.run(info={"lifecycle_stage": "deleted"}))
    assert "run_deleted" in codes(deleted)
    assert "no_run" in codes(with_run(None, run_id=""))
    gone = with_run(None, Fault(Part.RUN, "no such run", passing=False))
    assert "run_missing" in codes(gone)
    assert gone.incomplete is None
    assert gone.fields["metrics"].fault is None
    assert "run_missing" in codes(with_run(None))
    unread = with_run(None, Fault(Part.RUN, "it took too long", passing=True))
    assert "run_missing" not in codes(unread)
    assert unread.incomplete == "the run could not be read: it took too long"
    assert "it took too long" in (unread.fields["metrics"].fault or "")
    assert unread.fields["experiment_name"].fault is None


def test_a_reason_with_a_credential_is_withheld() -> None:
    fault = Fault(Part.RUN, "403 for token=abcdef123456", passing=True)
    record = made.record(leads_to=Details(faults=(fault,)))
    assert "abcdef123456" not in json.dumps(record.plain())


def test_data_sets_are_kept_and_name_what_was_trained_on() -> None:
    context = [{"key": "mlflow.data.context", "value": "training"}]
    inputs = [
        {"dataset": {"name": "holdout", "digest": "2"}, "tags": []},
        {"dataset": {"name": "train", "digest": "1", "source": "s3://d"}, "tags": context},
    ]
    record = made.record(leads_to=made.details(run=made.run(inputs=inputs)))
    assert record.value("dataset_reference") == "train@1"
    assert record.value("dataset_inputs")[1] == {
        "name": "train", "digest": "1", "source": "s3://d", "context": "training",
    }  # fmt: skip
    said = made.record(
        made.version(tags={"dataset": "mine"}), leads_to=made.details(run=made.run(inputs=inputs))
    )
    assert said.value("dataset_reference") == "mine"


def test_the_hash_moves_with_tags_and_aliases_and_not_with_their_order() -> None:
    tags = {"a": "1", "b": "2"}
    base = source_hash(made.model(tags=tags), made.version(tags=tags))
    turned = dict(reversed(tags.items()))
    document = dict(reversed(list(made.version(tags=turned).document.items())))
    same = source_hash(made.model(tags=turned), SourceVersion("churn", 3, document))
    assert same == base
    assert (
        source_hash(made.model(tags=tags, aliases={"champion": 2}), made.version(tags=tags)) == base
    )
    for model, version in (
        (made.model(tags={"a": "2"}), made.version(tags=tags)),
        (made.model(tags=tags, aliases={"champion": 3}), made.version(tags=tags)),
        (made.model(tags=tags, description="x"), made.version(tags=tags)),
        (made.model(tags=tags), made.version(tags={"a": "1"})),
        (made.model(tags=tags), made.version(tags=tags, current_stage="Production")),
    ):
        assert source_hash(model, version) != base


def report(path: str, result: Any = "clean", **more: Any) -> dict[str, Any]:
    return {
        "path": path,
        "size": 5,
        "sha256": "ab" * 32,
        "format": "text",
        "result": result,
        **more,
    }


def pinned(*pins: bool) -> dict[str, Any]:
    names = [{"name": f"d{n}", "specifier": "==1", "pinned": p} for n, p in enumerate(pins)]
    return {"python": "3.11", "dependencies": names}


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (["clean"] * 4, "clean"),
        (["clean"] * 3, None),
        (["clean", "suspicious"], "suspicious"),
        (["clean", "suspicious", "malicious", "clean"], "malicious"),
        (["clean", "clean", "clean", "unreadable"], "unreadable"),
        (["clean", "clean", "clean", "fine"], "unreadable"),
        (["clean", "clean", "clean", None], "unreadable"),
        ([], None),
    ],
)
def test_only_a_version_whose_every_file_is_clean_is_clean(
    results: list[Any], expected: str | None
) -> None:
    record = made.record()
    said = [report(f.path, r) for f, r in zip(made.FILES, results, strict=False)]
    inspected = with_inspection(record, said)
    assert inspected.value("artifact_manifest")["result"] == expected
    bad = {f"artifact_{r}" for r in ("suspicious", "malicious", "unreadable")} & codes(inspected)
    assert bool(bad) == (expected not in (None, "clean"))
    assert with_inspection(inspected, said) == inspected
    assert Record.read(json.loads(json.dumps(inspected.plain()))) == inspected


def test_a_listing_that_was_cut_is_never_clean() -> None:
    file = SourceFile("a.txt", 5)
    for truncated, expected in ((None, "clean"), ("1000 files", "unreadable")):
        listing = made.listing(file, truncated=truncated)
        record = made.record(leads_to=made.details(listing=listing))
        inspected = with_inspection(record, [report("a.txt")])
        assert inspected.value("artifact_manifest")["result"] == expected


def test_a_path_that_cannot_be_kept_as_it_is_cuts_the_listing() -> None:
    for odd in ("a" * 1_100, "a\ud800.pkl"):
        listing = made.listing(SourceFile("a.txt", 5), SourceFile(odd, 5))
        record = made.record(leads_to=made.details(listing=listing))
        kept = [file["path"] for file in record.value("artifact_manifest")["files"]]
        inspected = with_inspection(record, [report(path) for path in kept])
        assert inspected.value("artifact_manifest")["result"] == "unreadable"
        assert "listing_cut" in codes(inspected)


def test_a_listing_of_which_all_was_left_out_is_not_clean() -> None:
    listing = Listing(made.ROOT, (), "an entry was left out")
    inspected = with_inspection(made.record(leads_to=made.details(listing=listing)), [])
    assert inspected.value("artifact_manifest")["result"] == "unreadable"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (pinned(True, True), True),
        (pinned(True, False), False),
        (pinned(), None),
        (None, None),
        ("odd", None),
        ({"dependencies": [{"name": "pip", "pinned": False}, {"name": "a", "pinned": True}]}, True),
        ({"dependencies": [{"name": "a", "pinned": True}, "odd"]}, False),
        ({"dependencies": [{"name": "a", "pinned": "yes"}]}, False),
    ],
)
def test_an_environment_is_pinned_where_everything_is(environment: Any, expected: Any) -> None:
    said = [report("requirements.txt", environment=environment)]
    inspected = with_inspection(made.record(), said)
    assert inspected.value("runtime_environment")["pinned"] is expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (report("conda.yaml", environment=pinned(True)), True),
        (report("conda.yaml", environment=pinned(False)), False),
        (report("conda.yaml", environment=pinned()), True),
        (report("conda.yaml"), None),
        (report("conda.yaml", "unreadable"), None),
        (report("conda.yaml", "unreadable", environment=pinned(True)), None),
        (report("else.txt"), None),
    ],
)
def test_an_environment_with_a_file_that_is_not_understood_is_not_known_to_be_pinned(
    other: dict[str, Any], expected: bool | None
) -> None:
    listing = made.listing(SourceFile("requirements.txt", 5), SourceFile("conda.yaml", 5))
    record = made.record(leads_to=made.details(listing=listing))
    said = [report("requirements.txt", environment=pinned(True)), other]
    inspected = with_inspection(record, said)
    assert inspected.value("runtime_environment")["pinned"] is expected


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(INSPECTED, max_size=5))
def test_no_inspection_is_too_odd(inspected: list[dict[str, Any]]) -> None:
    record = with_inspection(made.record(), inspected)
    text = json.dumps(record.plain(), allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert Record.read(json.loads(text)) == record
    assert with_inspection(record, inspected) == record


def test_every_finding_that_is_made_is_documented() -> None:
    folder = Path(normalise.__code__.co_filename).parent
    made_here = {
        code for file in folder.glob("*.py") for code in FINDING.findall(file.read_text("utf-8"))
    }
    assert made_here >= {"run_missing", "lineage_mismatch", "claim"}
    assert made_here - {"artifact_{result}", "{part.value}_missing"} <= set(FINDINGS)
    assert {f"{part.value}_missing" for part in Part} <= set(FINDINGS)


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "inventory-record.md"


def test_the_page_has_every_field_finding_key_and_word() -> None:
    page = PAGE.read_text("utf-8")
    for group, names in GROUPS.items():
        for name in names:
            assert f"| {group.value} | `{name}` | " in page, name
    for code, meaning in FINDINGS.items():
        assert f"| `{code}` | {meaning} |" in page, code
    written = default_tag_map().written
    for field, keys in written.fields.items():
        assert f"| `{field}` | {', '.join(f'`{key}`' for key in keys)} |" in page, field
    for field, words in written.vocabularies.items():
        assert f"| `{field}` | {', '.join(words)} |" in page, field
