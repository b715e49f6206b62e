"""Tag maps: what is refused, how keys and phrases are matched, and what is untidy."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from tests.inventory import documents as made

from trimtab.inventory.record import Record, Stage
from trimtab.inventory.tag_lint import Lint, LintKind, lint
from trimtab.inventory.tagmap import TAGGABLE, default_tag_map, load_tag_map
from trimtab.kernel.errors import InvalidInput

TEXT = (resources.files("trimtab.inventory") / "data" / "tag_map.yaml").read_bytes().decode("utf-8")


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_the_map_that_comes_with_trimtab_is_for_every_field() -> None:
    shipped = default_tag_map()
    assert set(shipped.keys) == set(TAGGABLE)
    assert shipped == load_tag_map(TEXT)
    assert shipped != load_tag_map(TEXT + "\n")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("matching:", "matchin:", "matchin is not a key; the nearest is 'matching'"),
        (
            "  owner: [",
            "  owmer: [",
            "'owmer' is not a field that tags can say; the nearest is 'own",
        ),
        ("  production:\n", "  productoin:\n", "'productoin' is not a stage; the nearest is 'prod"),
        ("    stages: [Production]", "    stage: [Production]", "the nearest is 'stages'"),
        ("several: [reg", "several: [rag", "the nearest is 'regulatory_scope'"),
        ('tag_map: "1"', "tag_map: 1", "should be a valid string, but is 1"),
        ("evaluation_prefixes:", "other: []\nevaluation_prefixes:", "other is not a key"),
        ("  owner: [owner,", "  owner: [dpia,", "says owner already"),
        ("    limited: [", "    limited: [high risk, ", "'high risk' means 'high' already"),
        ("    limited: [", "    limited: [HIGH, ", "'HIGH' means 'high' already"),
        ("nothing_said: [", "nothing_said: [*a, ", "anchors and aliases are not read"),
        ("several:", "files: {}\nseveral:", "given twice"),
    ],
)
def test_what_is_no_tag_map_is_refused_with_its_place(old: str, new: str, words: str) -> None:
    text = changed(old, new)
    with pytest.raises(InvalidInput) as caught:
        load_tag_map(text, "mine.yaml")
    assert words in caught.value.message
    assert re.match(r"mine\.yaml:[0-9]+:[0-9]+: ", caught.value.message)


@pytest.mark.parametrize("key", ["owner", "Owner", "model-owner", "Model Owner", "dataOwner"])
def test_case_and_separators_of_a_key_do_not_count(key: str) -> None:
    assert default_tag_map().find("owner", {key: "a"}) == ((key, "a"),)


def test_a_map_may_take_keys_as_they_are_written() -> None:
    exact = load_tag_map(
        changed("ignore_case_and_separators: true", "ignore_case_and_separators: false")
    )
    assert exact.find("owner", {"Owner": "a"}) == ()
    assert exact.find("owner", {"owner": "a"}) == (("owner", "a"),)


def test_the_preferred_key_goes_first_and_blank_ones_are_left_out() -> None:
    said = {"team": "t", "dataOwner": "d", "owner": " "}
    assert default_tag_map().find("owner", said) == (("dataOwner", "d"), ("team", "t"))


def test_a_stage_and_an_alias_mean_one_thing_whatever_their_case() -> None:
    shipped = default_tag_map()
    assert shipped.stage_of("production") is Stage.PRODUCTION
    assert shipped.stage_of_alias("Champion") is Stage.PRODUCTION
    assert shipped.stage_of_alias("pre-production") is Stage.STAGING
    assert shipped.stage_of_alias("yesterday") is None


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("password", True),
        ("DB_PASSWORD", True),
        ("apiKey", True),
        ("api-key", True),
        ("hf.token", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("max_tokens", False),
        ("tokenizer", False),
        ("pad_token", False),
        ("secretary", False),
        ("keyboard", False),
    ],
)
def test_what_seems_to_be_a_secret_by_its_name(key: str, secret: bool) -> None:
    assert default_tag_map().is_secret(key) is secret


@pytest.mark.parametrize(
    ("path", "evidence", "environment"),
    [
        ("reports/a.bin", True, False),
        ("deep/reports/a.bin", True, False),
        ("Model_Card.MD", True, False),
        ("x/confusion_matrix.png", True, False),
        ("shap_values.npy", True, False),
        ("model.pkl", False, False),
        ("requirements.txt", False, True),
        ("model/conda.yaml", False, True),
        ("my_conda.yaml", False, False),
    ],
)
def test_files_are_told_by_patterns(path: str, evidence: bool, environment: bool) -> None:
    shipped = default_tag_map()
    assert (shipped.is_evidence(path), shipped.is_environment(path)) == (evidence, environment)


def records(*tags: dict[str, str]) -> list[Record]:
    return [made.record(made.version(tags=said)) for said in tags]


def of_kind(found: list[Lint], kind: LintKind, field: str) -> list[Lint]:
    return [one for one in found if (one.kind, one.field) == (kind, field)]


def test_several_keys_of_a_field_are_counted() -> None:
    found = lint(records(*[{"dataOwner": "a"}] * 17, *[{"owner": "a"}] * 3), default_tag_map())
    (several,) = of_kind(found, LintKind.SEVERAL_KEYS, "owner")
    assert (
        several.sentence == "owner is said by several keys: 17 versions use dataOwner, 3 use owner"
    )
    assert several.counts == (("dataOwner", 17), ("owner", 3))
    assert several.examples[0] == ("churn", 3)
    assert lint(records(*[{"owner": "a"}] * 3), default_tag_map()) == []


def test_a_version_with_several_spellings_counts_once() -> None:
    both = {"dataOwner": "a", "owner": "A"}
    found = lint(records(*[both] * 3, {"owner": "a"}), default_tag_map())
    (keys,) = of_kind(found, LintKind.SEVERAL_KEYS, "owner")
    assert keys.counts == (("owner", 4), ("dataOwner", 3))
    assert keys.versions == 4
    (values,) = of_kind(found, LintKind.SEVERAL_SPELLINGS, "owner")
    assert (values.counts, values.versions) == ((("a", 4), ("A", 3)), 4)


@pytest.mark.parametrize("alias", ["prod-eu", "production_v2", "champion-2", "prodEU", "eu.live"])
def test_an_alias_that_looks_like_a_stage_means_none_and_is_shown(alias: str) -> None:
    record = made.record(under=made.model(aliases={alias: 3}))
    assert record.value("lifecycle_stage") == "development"
    (found,) = [one for one in record.findings if one.code == "alias_unknown"]
    advice = "means no stage; if it does, add it to the tag map"
    assert found.detail == f"the alias {alias} {advice}"
    (line,) = of_kind(lint([record] * 2, default_tag_map()), LintKind.ALIAS_UNKNOWN, "aliases")
    assert line.sentence == f"the alias {alias} on 2 versions {advice}"


@pytest.mark.parametrize("alias", ["champion", "PROD", "pre-production", "livestock", "v2", "blue"])
def test_an_alias_that_is_a_stage_or_looks_like_none_is_no_finding(alias: str) -> None:
    record = made.record(under=made.model(aliases={alias: 3}))
    assert "alias_unknown" not in {one.code for one in record.findings}


@pytest.mark.parametrize(
    "key",
    [
        "pii",
        "personal_data",
        "contains_personal_data",
        "isPersonalData",
        "has-pii",
        "gdpr_relevant",
    ],
)
def test_whether_data_is_personal_is_said_by_many_keys(key: str) -> None:
    for said, word in (
        ("true", "personal"),
        ("Yes", "personal"),
        ("false", "none"),
        ("no", "none"),
    ):
        record = made.record(made.version(tags={key: said}))
        assert record.value("data_sensitivity") == [word]


def test_a_key_that_looks_like_one_of_the_map_is_a_near_miss() -> None:
    found = lint(
        records(*[{"ower": "a"}] * 2, {"colour": "x", "mlflow.owne": "y"}), default_tag_map()
    )
    (near,) = found
    assert near.kind is LintKind.NEAR_MISS
    assert near.sentence == "`ower` on 2 versions looks like `owner`"


def test_one_value_in_several_spellings_and_words_that_decide_nothing() -> None:
    said = [{"risk_category": word} for word in ("high", "HIGH", "High-Risk", "spicy", "TBD")]
    found = lint(records(*said), default_tag_map())
    (several,) = of_kind(found, LintKind.SEVERAL_SPELLINGS, "risk_category")
    assert dict(several.counts) == {"high": 1, "HIGH": 1, "High-Risk": 1}
    (outside,) = of_kind(found, LintKind.OUTSIDE_VOCABULARY, "risk_category")
    assert outside.counts == (("spicy", 1),)
    (filler,) = of_kind(found, LintKind.FILLER, "risk_category")
    assert filler.counts == (("TBD", 1),)


def test_linting_shows_no_secret_and_reads_each_record_once() -> None:
    once = iter(records({"owner": "password=hunter2hunter2"}, {"owner": "x\u202ey"}))
    found = lint(once, default_tag_map())
    assert "hunter2" not in repr(found)
    assert next(once, None) is None
