"""A sentence for the kinds of ledger entries that the pages show most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trimtab.audit.ledger import Entry
from trimtab.identity.roles import Assignment
from trimtab.incidents.sentences import sentence as otherwise
from trimtab.web import inventory_sentences, words

_Data = Mapping[str, Any]


def sentence(entry: Entry) -> str:
    """What an entry says, short and without a full stop."""
    told = _SENTENCES.get(entry.kind)
    if entry.data is None or told is None:
        return otherwise(entry).rstrip(".")
    return told(entry.data).rstrip(".")


def _v(data: _Data, name: str) -> str:
    return words.words(words.number(data.get(name)))


def _of(data: _Data) -> str:
    return f"{data.get('model', '')} {data.get('version', '')}".strip()


def _roles(data: _Data, name: str) -> str:
    """Roles, those on conditions with these: `on_call (tiers 3, 4)`."""
    return ", ".join(
        role if isinstance(role, str) else f"{role['role']} ({Assignment.read(role).conditions})"
        for role in data.get(name) or ()
    )


def _registered(data: _Data) -> str:
    done = "stored, inspected and signed"
    return f"{_of(data)} {done if data.get('signer') else 'stored and inspected, not signed'}"


def _voted(data: _Data) -> str:
    said = "approved" if data.get("approve") else "rejected"
    return f"{_of(data)} {said} by {_v(data, 'name')} as {_v(data, 'role')}"


def _deployment(data: _Data) -> str:
    before, after = data.get("percent_before"), data.get("percent_after")
    shares = f", {words.number(before)} % to {words.number(after)} % of the traffic"
    return f"{_of(data)} is {_v(data, 'after')}{shares if before != after else ''}"


def _moved(data: _Data) -> str:
    return f"{_of(data)} went from {_v(data, 'before')} to {_v(data, 'after')}: {data.get('why')}"


def _refused(data: _Data) -> str:
    about = f" about {_of(data)}" if _of(data).strip("None ") else ""
    times = f", {_v(data, 'count')} times" if data.get("count") != 1 else ""
    asked = f"{data.get('method')} {data.get('route')}".strip()
    return f"Refused, {_v(data, 'code')}: {asked}{about}{times}"


def _watched(data: _Data) -> str:
    counted = f"{_v(data, 'alarming')} of {_v(data, 'needed')} alarming windows in a row"
    return f"{data.get('name')} is {_v(data, 'after')}: {counted}"


def _window(data: _Data) -> str:
    start = str(data.get("start", ""))[:10]
    return f"Window of {data.get('model')} from {start}"


def _violated(d: _Data) -> list[str]:
    return [name for name, count in (d.get("violated") or {}).items() if count]


def _scope(data: _Data) -> str:
    return f"{data.get('scope')} {data.get('name', '')}".strip()


_SENTENCES: dict[str, Callable[[_Data], str]] = {
    **inventory_sentences.SENTENCES,
    "model.registered": lambda d: f"{d.get('name')} registered, tier {_v(d, 'tier')}",
    "version.registered": _registered,
    "version.moved": _moved,
    "version.held": lambda d: f"{_of(d)} stays in {_v(d, 'lifecycle')}: {d.get('why')}",
    "artifact.downloaded": lambda d: f"{_of(d)} downloaded",
    "request.refused": _refused,
    "access.refused": lambda d: f"{_v(d, 'count')} requests without a credential that is of use",
    "check.finished": lambda d: (
        f"Check {_v(d, 'name')} of {_of(d)}: {d.get('verdict')}, {d.get('reason')}"
    ),
    "approval.requested": lambda d: f"Approval of {_of(d)} requested",
    "approval.approved_automatically": lambda d: (
        f"{_of(d)} approved automatically: every criterion is met"
    ),
    "approval.voted": _voted,
    "approval.ended": lambda d: f"Approval of {_of(d)} {_v(d, 'after')}: {d.get('why')}",
    "approval.used": lambda d: f"{_of(d)} has reached the {_v(d, 'percent')} % that were approved",
    "permit.issued": lambda d: f"Permit for {_of(d)}, up to {_v(d, 'max_percent')} %",
    "permit.consumed": lambda d: f"Permit used up by {_v(d, 'percent')} % of the traffic",
    "deployment.moved": _deployment,
    "rollout.judged": lambda d: f"Canary {_of(d)} judged {d.get('verdict')}: {d.get('reason')}",
    "rollback.refused": lambda d: (
        f"{_of(d)} was withdrawn with nothing in its place: {d.get('why')}"
    ),
    "rollout.held": lambda d: f"Rollout of {_of(d)} held",
    "rollout.resumed": lambda d: f"Rollout of {_of(d)} runs on",
    "rollout.overtaken": lambda d: (
        f"Rollout of {_of(d)} has nothing left to release: {d.get('why')}"
    ),
    "rollout.aborted": lambda d: f"Rollout of {_of(d)} taken back by a person",
    "drift.checked": lambda d: (
        f"Tables compared{'' if d.get('model') is None else ' for ' + str(d.get('model'))}: "
        f"{d.get('verdict')}"
    ),
    "window.scheduled": lambda d: f"{_window(d)} scheduled",
    "window.closed": lambda d: f"{_window(d)}, input looked at: {d.get('reason')}",
    "window.settled": lambda d: f"{_window(d)}, output judged: {d.get('reason')}",
    "window.revised": lambda d: f"{_window(d)}, judged again, late rows: {d.get('reason')}",
    "watch.moved": _watched,
    "retraining.requested": lambda d: (
        f"Retraining of {d.get('model')} asked for, against champion {d.get('champion')}"
    ),
    "retraining.refused": lambda d: f"Retraining of {d.get('model')} refused: {d.get('reason')}",
    "retraining.data_checked": lambda d: (
        f"{_v(d, 'rows')} rows of {d.get('model')} are fit to learn from"
    ),
    "retraining.attempt_failed": lambda d: (
        f"Training of {d.get('model')}, attempt {_v(d, 'attempt')}, gave no model: "
        f"{d.get('reason')}"
    ),
    "retraining.trained": lambda d: f"A challenger of {d.get('model')} has been trained",
    "retraining.judged": lambda d: (
        f"Challenger against champion {d.get('champion')}: {_v(d, 'decision')}, {d.get('reason')}"
    ),
    "retraining.submitted": lambda d: f"The challenger is registered as {_of(d)}",
    "retraining.kept": lambda d: f"Champion {d.get('champion')} is kept: {d.get('reason')}",
    "retraining.failed": lambda d: f"Retraining of {d.get('model')} failed: {d.get('reason')}",
    "kill_switch.set": lambda d: f"Kill switch of {_scope(d)} set: {d.get('why')}",
    "kill_switch.cleared": lambda d: f"Kill switch of {_scope(d)} cleared: {d.get('why')}",
    "invariants.checked": lambda d: (
        f"Invariants checked up to entry {d.get('upto')}: "
        + (", ".join(sorted(violated)) + " violated" if (violated := _violated(d)) else "all hold")
    ),
    "ledger.loss_accepted": lambda d: (
        f"Went on from a backup of {d.get('size')} entries, though {d.get('lost_size')} had been "
        "published"
    ),
    "log_level.changed": lambda d: f"Level of the log set to {d.get('level')} for a while",
    "session.opened": lambda d: f"{d.get('person')} logged in",
    "person.added": lambda d: f"{d.get('name')} may log in, as {_roles(d, 'roles')}",
    "person.roles_changed": lambda d: (
        f"{d.get('name')} is {_roles(d, 'after')} now, and was {_roles(d, 'before')}"
    ),
    "person.disabled": lambda d: f"{d.get('name')} may log in no more",
    "person.enabled": lambda d: f"{d.get('name')} may log in again",
    "person.password_changed": lambda _: "Password changed; sessions and tokens ended",
    "person.password_reset": lambda _: "Password reset by somebody else; sessions and tokens ended",
    "person.credentials_ended": lambda _: "All sessions and tokens ended",
    "session.ended": lambda d: f"{d.get('person')} ended a session from another one",
    "service_account.disabled": lambda d: f"{d.get('name')} may act no more",
    "service_account.enabled": lambda d: f"{d.get('name')} may act again",
    "tenant.disabled": lambda d: f"Nobody of {d.get('name')} may act any more",
    "tenant.enabled": lambda d: f"Who belongs to {d.get('name')} may act again",
    "token_key.rotated": lambda d: (
        "Key of tokens rotated" + (", all earlier tokens ended" if d.get("at_once") else "")
    ),
    "tenant.created": lambda d: f"Tenant {d.get('name')} created",
    "service_account.added": lambda d: f"Program {d.get('name')} may act, as {_roles(d, 'roles')}",
    "api_key.issued": lambda d: f"Key given out, for {_v(d, 'scopes')}",
    "api_key.revoked": lambda _: "Key revoked",
}
