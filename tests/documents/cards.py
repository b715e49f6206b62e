"""Cards to draw: one that says everything, and one whose every text is hostile."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from trimtab.documents.card import (
    Badge,
    Card,
    Dataset,
    File,
    Library,
    Metric,
    Oddity,
    Parameter,
    Rule,
    Section,
    Shape,
    Source,
    Statement,
    Tone,
)

AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
PASSED = Badge("kept", Shape.DISC, Tone.GOOD)
GAP = Badge("gap", Shape.CROSS, Tone.BAD)
WAIVED = Badge("waived", Shape.HALF, Tone.WAIT)
CLEAN = Badge("clean", Shape.DISC, Tone.GOOD)

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title><base href=//evil>",
    "javascript:alert(1)",
    "{{7*7}}",
    "${7*7}",
    "{0.__class__}",
    "#eval(\"1+1\")",
    "#import \"@preview/x:1.0.0\"",
    "$x^2 + y$",
    "*bold* _soft_ `raw` <label> @ref = head",
    "=HYPERLINK(\"http://evil\",\"x\")",
    "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "\r=1+1", "＝1+1", " =1+1", "'=1+1",
    "name\u202etxt.exe",
    "\u2066\u2067isolated",
    "nul\x00in\x1bit",
    "two\nlines\r\nof\u2028text",
    "\ud800 half a pair",
    "Z\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307algo",
    "__proto__",
    "模型 नमूना نموذج 🦭",
    "",
    " ",
    "x" * 10_000,
)  # fmt: skip

NAMES = [ascii(text[:40]) for text in HOSTILE]


def whole() -> Card:
    """A card of a version as it may well be."""
    tag = Source("model version", "tags.owner", AT)
    return Card(
        model="credit-scoring",
        version="7",
        registry="risk-mlflow",
        address="https://mlflow.example",
        as_of=AT,
        made_by="Trimtab 0.1",
        rulebook="rulebook 1, 8f3a2c19e0b4",
        badges=(
            Badge("production", Shape.DISC, Tone.GOOD, "Stage", "alias champion"),
            Badge("2 gaps", Shape.CROSS, Tone.BAD, "Compliance", "2 of 9 rules are not kept"),
            Badge("clean", Shape.DISC, Tone.GOOD, "Inspection", "4 files, all read"),
        ),
        sections=(
            Section(
                "Identity",
                (
                    Statement("model_name", "Model", ("credit-scoring",), Source("version")),
                    Statement(
                        "business_purpose",
                        "Business purpose",
                        ("Scores applications for small loans",),
                        dataclasses.replace(tag, key="purpose"),
                        claim=True,
                    ),
                    Statement("owner", "Owner", ("risk-team@example.org",), tag, claim=True),
                ),
            ),
            Section(
                "Risk",
                (
                    Statement(
                        "risk_category",
                        "Risk category",
                        ("high",),
                        Source("model version", "tags.riskCategory", AT, "High-Risk"),
                        claim=True,
                    ),
                    Statement(
                        "privacy_assessment_status",
                        "Privacy assessment",
                        gap="nobody says; the tag privacy_assessment is looked for",
                    ),
                ),
            ),
        ),
        rules=(
            Rule("owner", "Every model has an owner", PASSED, "The owner is risk-team@example.org.",
                 references=("ISO 42001 A.3.2",), evidence=("owner: model version `tags.owner`",)),
            Rule("privacy", "Personal data needs a privacy assessment", GAP,
                 "The data is personal, and no privacy assessment is named.",
                 "Carry out the assessment, then tag the version with privacy_assessment.",
                 ("GDPR Art. 35",)),
            Rule("environment", "The environment can be built again", WAIVED,
                 "3 of 5 packages are pinned.", "Pin every package in requirements.txt.",
                 ("EU AI Act Annex IV",), waived="by maria until 1 Feb 2027: rebuild is under way"),
        ),
        metrics=(
            Metric("auc", 0.8731, step=3, at=AT),
            Metric("loss", None, "nan"),
            Metric("gain", -1250000.0),
        ),
        parameters=(Parameter("max_depth", "7"), Parameter("objective", "binary:logistic")),
        datasets=(
            Dataset("applications-2025", "a" * 64, "s3", "s3://lake/applications", "training"),
            Dataset("holdout", "1f3a9c02"),
        ),
        python="3.11.9",
        libraries=(
            Library("scikit-learn", "1.7.2", "scikit-learn==1.7.2"),
            Library("numpy", None, "numpy>=2"),
        ),
        files=(
            File("MLmodel", 812, CLEAN, "b" * 64, "yaml"),
            File("model.pkl", 48_211, Badge("suspicious", Shape.TRIANGLE, Tone.BAD), "c" * 64,
                 "pickle", ("names the global my_package.Thing",)),
            File("big.bin", None, Badge("not inspected", Shape.RING, Tone.PLAIN)),
        ),
        files_cut="more than 1,000 files: the others are not listed",
        oddities=(Oddity("stage_alias_conflict", "Stage is None, but an alias is champion"),),
        incomplete="the run could not be read: it took longer than 10 s",
    )  # fmt: skip


def hostile(text: str) -> Card:
    """The same with one text in the place of every text."""
    changed: Card = _swapped(whole(), text)
    return changed


def _swapped(value: Any, text: str) -> Any:
    if isinstance(value, (Tone, Shape, datetime)) or value is None:
        return value
    if isinstance(value, str):
        return text
    if isinstance(value, tuple):
        return tuple(_swapped(one, text) for one in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _swapped(getattr(value, field.name), text)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **fields)
    return value
