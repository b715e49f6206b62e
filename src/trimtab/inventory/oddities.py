"""Every kind of finding that a record can have."""

from __future__ import annotations

from collections.abc import Mapping

FINDINGS: Mapping[str, str] = {
    "alias_unknown": "An alias that means no stage has a word in it that does; it decides nothing.",
    "artifact_malicious": "An inspected file runs code that does harm, or is made to.",
    "artifact_suspicious": "An inspected file could run code that is on no list of what is known.",
    "artifact_unreadable": "A file could not be inspected, and so counts as nothing good.",
    "artifacts_missing": "The registry says that the version has no files where it says they are.",
    "claim": "Tags say something of risk or compliance. Somebody said so; nobody has approved it.",
    "claims_conflict": "Tags disagree on the risk or on the data; the strictest of them counts.",
    "cut": "There were more tags, metrics, parameters or data sets than are kept.",
    "experiment_missing": "The registry says that the run's experiment does not exist.",
    "lineage_mismatch": "The version's source is not that of the run which it names.",
    "lineage_unverified": "The source is a logged model that was not read, or does not exist.",
    "listing_cut": "There are more files than were listed.",
    "logged_model_missing": "The registry says that the logged model does not exist.",
    "malformed": "Something could not be read as what it should be, and was left out.",
    "metric_invalid": "A metric is no finite number, and counts as not measured.",
    "name_odd": "The name has characters that are not seen, or that turn the text around.",
    "no_run": "The version names no run.",
    "owner_assumed": "Nobody is named as owner; whoever started the run stands in the place.",
    "run_deleted": "The version's run was deleted in its registry.",
    "run_missing": "The registry says that the run which the version names does not exist.",
    "secret_withheld": "A value seemed to be a secret; its name is kept and the value is not.",
    "source_odd": "The address of the files climbs, hides, or leads to another place.",
    "stage_alias_conflict": "Stage and alias disagree; the more exposed of the two counts.",
    "stage_unknown": "The registry's stage has no meaning in the tag map.",
    "timestamp_odd": "A time is none at which it can have been, or an end lies before its begin.",
}
"""Codes of findings with what each means. They never change their meaning."""
