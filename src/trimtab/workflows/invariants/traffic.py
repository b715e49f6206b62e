"""What carries traffic does so under an approval, with its own bytes, in one place only."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Found

_SERVED = ("approved", "production", "quarantined")
"""States of a version that may stand behind a deployment. Damaged bytes are never handed out
again, but gateways that hold verified ones of a stable version go on with those."""


def is_approved(look: Look) -> Iterator[Found]:
    """Each deployment that carries traffic has a used permit, and that one an approval."""
    for row in look.carrying:
        for what in (_permit_fault(row), _approval_fault(row)):
            if what is not None:
                yield Found(f"{row['model']} {row['version']} {what}", (row["id"],))


def _permit_fault(row: sa.RowMapping) -> str | None:
    if row["permit"] is None:
        return "carries traffic under no permit"
    place = ("model", "version", "digest", "tenant", "environment")
    other = [name for name in place if row[name] != row[f"permit_{name}"]]
    if other:
        return f"carries traffic under a permit for another {', '.join(other)}"
    if row["consumed_at"] is None:
        return "carries traffic under a permit that was never used"
    if not row["percent"] <= row["max_percent"]:
        return f"has {row['percent']:g} % and its permit allows {row['max_percent']:g} %"
    return None


def _approval_fault(row: sa.RowMapping) -> str | None:
    if row["permit"] is None:
        return None
    if row["approval"] is None:
        return "carries traffic without an approval"
    target = row["target"]
    asked = {
        "version_id": row["version_id"],
        "digest": row["digest"],
        "tenant": row["tenant"],
        "environment": row["environment"],
        "policy_digest": row["policy_digest"],
    }
    other = [name for name, value in asked.items() if target[name] != value]
    if other:
        return f"has an approval for another {', '.join(other)}"
    if not row["max_percent"] <= target["max_percent"]:
        return f"was permitted more than the {target['max_percent']:g} % that were approved"
    # The canary of an approval that ran out waits where it is, until people say more or no.
    stands = ("approved",) if row["state"] == "stable" else ("approved", "expired")
    if row["phase"] not in stands:
        return f"carries traffic, and its approval is {row['phase']}"
    if row["decided_at"] is None or row["decided_at"] > row["issued_at"]:
        return "was permitted before it was approved"
    return None


def permit_was_used_once(look: Look) -> Iterator[Found]:
    """Exposure grew in the very transaction that used a permit up, once and in time."""
    consumed = {entry.subject: entry.sequence for entry in look.of_kind("permit.consumed")}
    for entry in look.of_kind("deployment.moved"):
        data = entry.data or {}
        if data["percent_after"] <= data["percent_before"]:
            continue
        permit = look.permits.get(data["permit"])
        named = f"{data['model']} {data['version']}"
        at_once = permit is not None and permit["consumed_at"] == entry.at
        if not at_once or consumed.get(data["permit"], 0) >= entry.sequence:
            yield Found(
                f"{named} grew to {data['percent_after']:g} % in entry {entry.sequence}, and no "
                "permit was used up for it",
                (entry.subject, str(data["permit"])),
            )
        elif permit is not None and not _in_time(permit):
            yield Found(f"{named} grew by a permit that was out of its time", (permit["id"],))


def _in_time(permit: sa.RowMapping) -> bool:
    used = permit["consumed_at"]
    return used is not None and bool(permit["issued_at"] <= used < permit["expires_at"])


def is_signed(look: Look) -> Iterator[Found]:
    """What carries traffic is registered with these bytes, signed, and was never rejected."""
    for row in look.carrying:
        named = f"{row['model']} {row['version']}"
        if row["version_digest"] != row["digest"]:
            yield Found(f"{named} carries bytes that were not registered", (row["id"],))
        elif not (row["signature"] and row["signer"]):
            yield Found(f"{named} carries traffic unsigned", (row["id"],))
        elif row["lifecycle"] not in _SERVED:
            yield Found(f"{named} carries traffic and is {row['lifecycle']}", (row["id"],))
        elif row["inspection"].get("result") not in ("clean", "suspicious"):
            yield Found(f"{named} carries traffic, and inspection did not let it", (row["id"],))


def is_alone(look: Look) -> Iterator[Found]:
    """One stable version and one canary for each model, tenant and environment."""
    for row in look.crowded:
        place = f"{row['model']} for {row['tenant'] or 'the fleet'} in {row['environment']}"
        yield Found(f"{place} has {row['number']} at once that are {row['state']}", (row["model"],))


def keeps_to_its_tenant(look: Look) -> Iterator[Found]:
    """A tenant's version is deployed to that tenant, and no tenant's doing moves another's."""
    for row in look.carrying:
        if row["version_id"] is not None and row["version_tenant"] != row["tenant"]:
            yield Found(
                f"{row['model']} {row['version']} is of {row['version_tenant'] or 'the fleet'} "
                f"and carries traffic of {row['tenant'] or 'the fleet'}",
                (row["id"],),
            )
    for entry in look.of_kind("deployment.moved"):
        moved = look.deployments.get(entry.subject)
        if moved is not None and moved["tenant"] != entry.tenant:
            yield Found(
                f"entry {entry.sequence} of {entry.tenant or 'the fleet'} moved what is of "
                f"{moved['tenant'] or 'the fleet'}",
                (entry.subject,),
            )
    for row in look.begun:
        permit = (row["result"] or {}).get("permit")
        back = None if permit is None else look.permits.get(str(permit))
        if back is not None and back["tenant"] != row["tenant"]:
            yield Found(f"remedy {row['id']} moved another tenant's version", (row["id"],))


def way_back_is_kept(look: Look) -> Iterator[Found]:
    """Who takes the place of a stable version retires it in the same breath, bytes and all."""
    moved = look.of_kind("deployment.moved")
    last: dict[tuple[str, str | None, str], str] = {}
    for entry in moved:
        data = entry.data or {}
        place = (data["model"], entry.tenant, data["environment"])
        left = data["before"] == "stable" and data["after"] != "stable"
        if left and last.get(place) == entry.subject:
            del last[place]
        if data["after"] == "stable" and data["before"] != "stable":
            if place in last:
                yield Found(
                    f"{data['model']} {data['version']} became stable in entry {entry.sequence} "
                    "while another one was, which was not retired",
                    (entry.subject, last[place]),
                )
            last[place] = entry.subject
    if look.has is None:
        return
    for row in look.kept:
        if not look.has(row["digest"]):
            what = f"the bytes of {row['model']} {row['version']}, which is {row['state']}"
            yield Found(f"{what}, are not stored", (row["id"], row["digest"]))


def origin_is_known(look: Look) -> Iterator[Found]:
    """What carries traffic has data it was measured against and, retrained, learnt from."""
    for row in look.carrying:
        named = f"{row['model']} {row['version']}"
        if not (row["reference_digest"] and row["holdout_digest"]):
            yield Found(f"{named} carries traffic, and its data are not known", (row["id"],))
        made = look.retrained.get(str(row["version_id"]))
        if made is not None and made["data_digest"] is None:
            yield Found(f"{named} was retrained on data that nobody kept", (row["id"],))
        if made is not None and made["challenger_digest"] != row["digest"]:
            yield Found(f"{named} is not what its retraining made", (row["id"],))
