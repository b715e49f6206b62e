"""From a registry's documents to the record, whatever they say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.inventory import documents as made

from trimtab.inventory.coerce import Limits
from trimtab.inventory.evidence import with_inspection
from trimtab.inventory.normalise import normalise, source_hash
from trimtab.inventory.record import FIELDS, Record
from trimtab.inventory.source import Details, Fault, Listing, Part, SourceFile, SourceModel
from trimtab.inventory.source import SourceVersion
from trimtab.inventory.tagmap import default_tag_map

KEYS = st.sampled_from(
    "info data tags metrics params inputs dataset_inputs dataset key value step timestamp name "
    "digest source run_id current_stage aliases alias version description user_id artifact_uri "
    "start_time end_time creation_timestamp last_updated_timestamp model_id source_run_id run "
    "owner risk_category pii lifecycle_stage".split()
) | st.text(max_size=8)
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
DOCUMENT = st.dictionaries(KEYS, JSON, max_size=10)


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
