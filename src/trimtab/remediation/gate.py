"""The safety gate: a process of its own, and the only holder of the key for action permits.

    python -m trimtab.remediation.gate --key PATH --database URL [--policies FOLDER]

One JSON object a line in, one out. A question names a remediation and nothing else: what
is to be done, to what, how often it was done before, what the policy allows, what the
registry holds and what the machine has free, the gate reads by itself. There is no input
that switches a check off. `--database -` takes the address from the first line of input,
so that a password in it is not among the arguments, which others can read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from trimtab.artifacts import strictjson
from trimtab.artifacts.envelope import key_id, load_or_create_key, public_pem, seal
from trimtab.audit import ledger
from trimtab.audit.work import Reading
from trimtab.kernel.errors import Conflict, InvalidInput, NotFound, TrimtabError
from trimtab.kernel.events import canonical
from trimtab.kernel.ids import PermitId, new_id
from trimtab.platform.database import Database
from trimtab.policies.loader import load_preset, load_text, preset_names
from trimtab.policies.model import Policy
from trimtab.registry import deployment_store
from trimtab.registry import service as registry
from trimtab.registry import store as registry_store
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.remediation import store
from trimtab.remediation.actions import checked_arguments, declared, digest_of, target_of
from trimtab.remediation.causes import Cause
from trimtab.remediation.guards import Carried, Check, Facts, Limits, judge
from trimtab.remediation.model import Phase, Remediation
from trimtab.remediation.permits import PAYLOAD_TYPE, ActionPermit
from trimtab.remediation.resources import measure
from trimtab.remediation.switches import stopping

MAX_LINE = 4096
"""Longest question, in bytes."""

_QUESTION = {"nonce", "remediation"}
_DAY = timedelta(days=1)

Policies = Callable[[str], Policy]


def policies_in(folder: Path | None) -> Policies:
    """What finds a policy by its name: a preset, or `<name>.yaml` in `folder`."""

    def find(name: str) -> Policy:
        if name in preset_names() or folder is None:
            return load_preset(name)
        file = folder / f"{name}.yaml"
        if file.parent != folder or not file.is_file():
            raise NotFound(f"no policy is called {ascii(name)[:60]}", field="policy")
        return load_text(file.read_text(encoding="utf-8"), file.name)

    return find


def decide(
    reading: Reading, remediation_id: str, policies: Policies, key: Ed25519PrivateKey
) -> dict[str, Any]:
    """The gate's answer about a proposed remediation, with a sealed permit if it is yes.

    Raises:
        NotFound: there is no such remediation, model or policy.
        Conflict: it was decided before.
    """
    remediation = store.get(reading, remediation_id)
    if remediation.phase is not Phase.PROPOSED:
        raise Conflict(
            f"remediation {remediation.id} is {remediation.phase.value}; it was decided before",
            remedy="propose the action again; the limits count what was done",
        )
    model = registry_store.model_named(reading, remediation.model)
    policy = policies(model.policy)
    tier = policy.tier(model.tier)
    now = max(reading.now, remediation.proposed_at)
    facts = _facts(reading, remediation, policy.digest, model.tier, now)
    checks = judge(facts, Limits(tier.remediation, tier.diagnosis, tier.retraining))
    epoch = store.starts_on(reading, remediation.target)
    failed = [check.reason for check in checks if not check.passed]
    sealed = None
    if not failed:
        lifetime = timedelta(minutes=tier.remediation.permit_lifetime_minutes)
        sealed = _sealed(remediation, policy.digest, epoch, now, lifetime, key).sealed
    return {
        "remediation": remediation.id,
        "decision": "refused" if failed else "permitted",
        "reason": "; ".join(failed) or "every limit is kept",
        "checks": [_shown(check) for check in checks],
        "policy_digest": policy.digest,
        "tier": model.tier,
        "epoch": epoch,
        "at": now,
        "permit": sealed,
    }


def _newest(connection: Connection) -> datetime:
    """Domain time, as the ledger has it. Nobody is asked for it: a caller's clock that ran
    ahead would end every cooldown."""
    entries = ledger.entries(connection, newest_first=True, limit=1)
    if not entries:
        raise NotFound("nothing was ever proposed here", field="remediation")
    return entries[0].at


def _facts(
    reading: Reading, remediation: Remediation, policy_digest: str, tier: int, now: datetime
) -> Facts:
    action = declared(remediation.action)
    place = (remediation.model, remediation.tenant, remediation.environment)
    stable = deployment_store.in_place(reading, *place, Deployment.STABLE)
    predecessor = registry.rollback_target(reading, *place)
    cause = remediation.cause_type
    return Facts(
        now=now,
        action=action,
        args=checked_arguments(action, remediation.args),
        target=remediation.target,
        expected_target=target_of(action, *place),
        tier=tier,
        automatic=remediation.automatic,
        cause=None if cause is None else Cause(cause),
        confidence=remediation.confidence,
        named_policy_digest=remediation.policy_digest,
        policy_digest=policy_digest,
        last_acted_at=store.last_acted_at(reading, remediation.target),
        acted_in_day=store.starts_on(reading, remediation.target, after=now - _DAY),
        attempts_started=store.attempts_started(reading, remediation.incident, action.name),
        in_flight=store.in_flight(reading, remediation.target, other_than=remediation.id),
        switches=stopping(
            store.switches_set(reading), model=remediation.model, tenant=remediation.tenant
        ),
        stable=_carried(reading, stable),
        predecessor=_carried(reading, predecessor),
        machine=measure(),
    )


def _carried(reading: Reading, deployed: Deployed | None) -> Carried | None:
    """The version deployed, if it is registered with these very bytes."""
    if deployed is None:
        return None
    version = registry_store.find_version(reading, deployed.model, deployed.version)
    if version is None or version.digest != deployed.digest:
        return None
    return Carried(deployed.version, deployed.digest)


def _sealed(
    remediation: Remediation,
    policy_digest: str,
    epoch: int,
    now: datetime,
    lifetime: timedelta,
    key: Ed25519PrivateKey,
) -> ActionPermit:
    permit = ActionPermit(
        id=PermitId(new_id("apm")),
        remediation=remediation.id,
        incident=remediation.incident,
        action=remediation.action.value,
        args_digest=digest_of(remediation.args),
        target=remediation.target,
        policy_digest=policy_digest,
        epoch=epoch,
        issued_at=now,
        expires_at=now + lifetime,
        sealed="",
    )
    sealed = seal(canonical(permit.body()), PAYLOAD_TYPE, key).decode()
    return replace(permit, sealed=sealed)


def _shown(check: Check) -> dict[str, Any]:
    return asdict(check)


def question(line: bytes) -> tuple[str, str]:
    """The nonce and the remediation's id of one line.

    Raises:
        IntegrityFailed: not one strict JSON object of this size.
        InvalidInput: members that a question does not have, whatever they say.
    """
    asked = strictjson.parse(line, max_bytes=MAX_LINE, what="the question")
    if not isinstance(asked, dict):
        raise InvalidInput("a question is an object", field="question")
    unknown = sorted(set(asked) - _QUESTION)
    if unknown:
        raise InvalidInput(
            f"the safety gate takes no {ascii(unknown[0])[:60]}",
            field=unknown[0][:60],
            remedy="a question names a remediation; no check of the gate can be switched off",
        )
    if set(asked) != _QUESTION or not all(isinstance(x, str) for x in asked.values()):
        raise InvalidInput("a question has a nonce and a remediation, both text", field="question")
    return asked["nonce"], asked["remediation"]


def answer(
    line: bytes, database: Database, policies: Policies, key: Ed25519PrivateKey
) -> dict[str, Any]:
    """The answer to one line: a decision, or an error that decides nothing."""
    nonce: str | None = None
    try:
        nonce, remediation_id = question(line)
        with database.read() as connection:
            reading = Reading(connection, _newest(connection))
            return {"nonce": nonce, **decide(reading, remediation_id, policies, key)}
    except TrimtabError as error:
        told = {"code": error.code, "message": error.message, "field": error.field}
        return {"nonce": nonce, "error": {**told, "remedy": error.remedy}}


def serve(
    lines: IO[bytes],
    out: IO[bytes],
    database: Database,
    policies: Policies,
    key: Ed25519PrivateKey,
) -> None:
    """Answer line by line until the input ends."""
    public = key.public_key()
    _write(out, {"ready": key_id(public), "public_key": public_pem(public).decode()})
    while line := lines.readline(MAX_LINE + 1):
        if not line.endswith(b"\n"):
            return  # cut off, or longer than any question: what follows cannot be told apart
        _write(out, answer(line, database, policies, key))


def _write(out: IO[bytes], value: dict[str, Any]) -> None:
    out.write(canonical(value) + b"\n")
    out.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gate until its input ends; 0, or 1 with a JSON error if it cannot begin."""
    parser = argparse.ArgumentParser(prog="trimtab.remediation.gate")
    parser.add_argument("--key", type=Path, required=True, help="its private key; made if absent")
    parser.add_argument("--database", required=True, help="address, or - for the first line")
    parser.add_argument("--policies", type=Path, help="folder of policies that are no presets")
    chosen = parser.parse_args(arguments)
    try:
        key = load_or_create_key(chosen.key)
        url = chosen.database
        if url == "-":
            url = sys.stdin.buffer.readline(MAX_LINE).decode().strip()
        database = Database(url, pool_size=1)
    except TrimtabError as error:
        sys.stderr.write(json.dumps({"code": error.code, "message": error.message}) + "\n")
        return 1
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer, database, policies_in(chosen.policies), key)
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
