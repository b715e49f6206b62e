"""What the loader refuses, and that it says where."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.loader import load_preset, load_text
from trimtab.policies.monotone import falls

TEXT = load_preset("standard").text
LINES = TEXT.splitlines(keepends=True)


def refused(text: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        load_text(text, "p.yaml")
    return caught.value


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("min_recall: 0.30", "min_recal: 0.30", "the nearest is 'min_recall'"),
        ("max_seconds: 60", "max_second: 60", "the nearest is 'max_seconds'"),
        ("min_hold_hours: 12", "min_hold_hour: 12", "the nearest is 'min_hold_hours'"),
        ("tier_1_above_usd", "tier1_above_usd", "the nearest is 'tier_1_above_usd'"),
        ("people: 4", "persons: 4", "the nearest is 'people'"),
        ("    inherits: tier_3", "    inherit: tier_3", "the nearest is 'inherits'"),
        ("min_recall: 0.30", "min_recall: much", "should be a valid number, but is 'much'"),
        ("min_recall: 0.30", "min_recall: '0.30'", "should be a valid number, but is '0.30'"),
        ("min_recall: 0.30", "min_recall: true", "should be a valid number, but is True"),
        ("min_recall: 0.30", "min_recall: 1.01", "less than or equal to 1"),
        ("min_recall: 0.30", "min_recall: [0.30]", "should be a valid number"),
        ("min_recall: 0.30", "min_recall: .nan", "'.nan' is not a value"),
        ("min_recall: 0.30", "min_recall: .inf", "'.inf' is not a value"),
        ("min_recall: 0.30", "min_recall: -0.30", "'-0.30' is not a value"),
        ("min_recall: 0.30", "min_recall: ~", "'~' is not a value"),
        ("min_recall: 0.30", "min_recall:", "nothing is not a value"),
        ("max_retries: 3", "max_retries: 3.5", "should be a valid integer"),
        ("max_retries: 3", "max_retries: 3000", "less than or equal to 100"),
        ("allowed: true", "allowed: yes", "'yes' is not a value"),
        ("allowed: true", "allowed: 1", "should be a valid boolean"),
        ("steps_percent: [10, 25, 50, 100]", "steps_percent: [10, 10, 100]", "must rise"),
        ("steps_percent: [10, 25, 50, 100]", "steps_percent: [0, 100]", "from above 0"),
        ("steps_percent: [10, 25, 50, 100]", "steps_percent: []", "at least 1 item"),
        ("steps_percent: [10, 25, 50, 100]", "steps_percent: [10, 25, 50]", "must be 100"),
        ("max_traffic_percent: 100", "max_traffic_percent: 50", "above max_traffic_percent"),
        ("min_people: 7", "min_people: 8", "min_people is 8, but the steps ask 7"),
        ("role: compliance", "role: legal", "a role has two steps"),
        ("low_nats: 0.10", "low_nats: 0.30", "must rise from low to high"),
        ("min_votes: 1.5", "min_votes: 5", "do not reach min_votes"),
        ("{name: psi,", "{name: ks,", "named twice"),
        ("security_scan,", "virus_scan,", "'virus_scan'"),
        ("routing_table_lifetime_minutes: 120", "routing_table_lifetime_minutes: 59", "two looks"),
        ("max_memory_mib: 4096", "max_memory_mib: 8193", "exceeds remediation.max_memory_gib"),
        ("max_windows: 7", "max_windows: 1", "no room for healthy_windows"),
        ("min_report_confidence: 0.50", "min_report_confidence: 0.85", "below min_report"),
        ("tier_2_above_usd: 0", "tier_2_above_usd: 2000000", "is below tier_2_above_usd"),
        ("name: standard", "name: Standard One", "should match pattern"),
        ("name: standard", "digest: x\nname: standard", "'digest' is computed"),
        ("name: standard", "text: x\nname: standard", "'text' is computed"),
        ("  tier_3:\n    inherits: tier_4", "  tier_3:\n    inherits: tier_2", "tier below only"),
        ("  tier_1:\n    inherits: tier_2", "  tier_1:\n    inherits: tier_4", "tier below only"),
        ("  tier_4:\n", "  tier_4:\n    inherits: tier_5\n", "tier below only"),
    ],
)
def test_a_fault_is_refused_and_named(old: str, new: str, words: str) -> None:
    error = refused(changed(old, new))
    assert re.match(r"p\.yaml:\d+:\d+: ", error.message)
    assert words in error.message


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("min_recall: 0.30", "min_recal: 0.30", "min_recal:"),
        ("min_hold_hours: 12", "min_hold_hours: twelve", "min_hold_hours: twelve"),
        ("min_hold_hours: 12", "min_hold_hours: 2", "min_hold_hours: 2"),
        ("steps_percent: [10, 25,", "steps_percent: [10, 125,", "steps_percent: [10, 125"),
        ("people: 4}", "people: four}", "ml_review_board"),
        ("name: standard", "name: standard\ntears: 3", "tears"),
    ],
)
def test_the_line_is_the_line_of_the_fault(old: str, new: str, part: str) -> None:
    text = changed(old, new)
    assert refused(text).message.startswith(f"p.yaml:{line_of(text, part)}:")


def test_a_fault_that_tiers_inherit_is_told_once_of_the_tier_that_wrote_it() -> None:
    error = refused(changed("max_error_rate: 0.005", "max_error_rate: 0.9"))
    assert error.field == "tiers.tier_4.rollout.max_error_rate"
    assert "more)" not in error.message


def test_several_faults_are_counted_and_the_first_is_told() -> None:
    text = changed("min_holdout_rows: 300", "min_holdout_row: 300").replace(
        "legal, people: 1", "legal, people: no one"
    )
    error = refused(text)
    assert "min_holdout_row is not a key" in error.message
    assert error.message.endswith("more)")


@pytest.mark.parametrize("tier", ["tier_1", "tier_2", "tier_3", "tier_4"])
def test_a_missing_tier_is_refused(tier: str) -> None:
    head, rest = TEXT.split(f"  {tier}:\n")
    following = re.search(r"^  tier_\d:\n", rest, flags=re.M)
    error = refused(head + (rest[following.start() :] if following else ""))
    assert tier in error.message


@pytest.mark.parametrize("section", ["checks", "approvals", "rollout", "monitoring", "permits"])
def test_a_missing_slice_is_refused_with_the_line_of_its_tier(section: str) -> None:
    text = re.sub(rf"^    {section}:\n(      .*\n)+", "", TEXT, count=1, flags=re.M)
    error = refused(text)
    assert section in error.message


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("data_psi_nats: 0.05", "data_psi_nats: 0.20", "monitoring.triggers.data_psi_nats"),
        ("min_hold_hours: 24", "min_hold_hours: 3", "rollout.min_hold_hours"),
        ("min_people: 7", "min_people: 1 # fell", "approvals.min_people"),
        (
            "automatic_actions: [notify_team, rollback_model]",
            "automatic_actions: [notify_team, retrain_model]",
            "remediation.automatic_actions",
        ),
    ],
)
def test_falling_demands_are_refused_with_their_line(old: str, new: str, key: str) -> None:
    text = changed(old, new)
    error = refused(text)
    assert error.message.startswith(f"p.yaml:{line_of(text, new)}:")
    assert error.field == f"tiers.tier_1.{key}"
    assert "asks for less" in error.message


def test_a_policy_that_lists_every_tier_in_full_equals_one_that_inherits() -> None:
    start, end = TEXT.index("  tier_4:\n"), TEXT.index("  tier_3:\n")
    full = TEXT[start:end].removeprefix("  tier_4:\n")
    spelled = TEXT[:end] + "".join(f"  tier_{n}:\n{full}" for n in (3, 2, 1))
    inherited = TEXT[:end] + "".join(
        f"  tier_{n}:\n    inherits: tier_{n + 1}\n" for n in (3, 2, 1)
    )
    assert load_text(spelled).tiers == load_text(inherited).tiers
    assert load_text(spelled).digest != load_text(inherited).digest


def test_the_digest_changes_with_a_comment() -> None:
    assert load_text(TEXT).digest == load_preset("standard").digest
    assert load_text(TEXT + "# one more word\n").digest != load_preset("standard").digest


KEY_LINES = [
    number
    for number, line in enumerate(LINES, 1)
    if re.match(r"\s+[a-z_]+: \S", line) and "inherits" not in line
]


@pytest.mark.slow
def test_every_key_of_a_preset_is_refused_in_its_line_when_misspelled() -> None:
    for number in KEY_LINES:
        misspelled = re.sub(r"^(\s+[a-z_]+):", r"\1q:", LINES[number - 1])
        text = "".join([*LINES[: number - 1], misspelled, *LINES[number:]])
        assert refused(text).message.startswith(f"p.yaml:{number}:"), misspelled


@pytest.mark.slow
def test_every_number_of_a_preset_is_refused_in_its_line_when_it_is_none() -> None:
    for number in KEY_LINES:
        spoilt = ("many", "-1", ".nan", "1e400")[number % 4]
        line, count = re.subn(r": [0-9.]+$", f": {spoilt}", LINES[number - 1].rstrip())
        if count:
            text = "".join([*LINES[: number - 1], line + "\n", *LINES[number:]])
            assert refused(text).message.startswith(f"p.yaml:{number}:"), line


@settings(max_examples=60, deadline=None)
@example(start=len(TEXT), length=0, replacement="0")
@given(
    start=st.integers(0, len(TEXT)),
    length=st.integers(0, 40),
    replacement=st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            ["\t", "&a ", "*a", "!!x ", "<<: ", "---\n", "{", "[", "0", "-", "9", ": "]
        ),
    ),
)
def test_a_mutated_text_is_a_whole_policy_or_is_refused_with_a_line(
    start: int, length: int, replacement: str
) -> None:
    text = TEXT[:start] + replacement + TEXT[start + length :]
    try:
        policy = load_text(text, "p.yaml")
    except InvalidInput as error:
        found = re.match(r"p\.yaml:(\d+):(\d+): ", error.message)
        assert found
        assert 1 <= int(found[1]) <= len(re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text))
        assert int(found[2]) >= 1
    else:
        assert policy.digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        assert not list(falls(policy))
