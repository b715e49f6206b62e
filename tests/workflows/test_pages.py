"""Lists go on where they ended, however many rows are of one moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.workflows.house import MODEL, House

from trimtab.approvals import service as approvals
from trimtab.approvals.model import Target
from trimtab.audit.work import Work
from trimtab.kernel.actor import Actor, ActorKind
from trimtab.kernel.ids import ApprovalId, Digest, IncidentId, TenantId
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import ActionName
from trimtab.remediation import service as remediation
from trimtab.rollouts import service as rollouts
from trimtab.workflows.parts import ENVIRONMENT

pytestmark = pytest.mark.slow

MANY = 23
ASKER = Actor("svc_ci", ActorKind.SERVICE, None, frozenset(), "ci", "usr_asker")


def ask(work: Work, number: int) -> str:
    digest = Digest("sha256:" + "a" * 64)
    target = Target(MODEL, f"ver_{number}", "1.0.0", digest, None, ENVIRONMENT, 100.0, "c", "p")
    demands = load_preset("standard").tier(1).approvals
    asked = approvals.request(
        work, target, comment="please", contributors=(), criteria=(), demands=demands
    )
    return asked.id


def remedy(work: Work, number: int) -> str:
    proposed = remediation.propose(
        work,
        incident=IncidentId(f"inc-2015-03-02-{number:03}"),
        model=MODEL,
        tenant=None,
        environment=ENVIRONMENT,
        action=ActionName.NOTIFY_TEAM,
        args={"team": "Dispatch", "summary": str(number)},
        cause=None,
        confidence=None,
        policy_digest="sha256:" + "0" * 64,
        patience=timedelta(minutes=5),
    )
    return proposed.id


def release(work: Work, number: int) -> str:
    started = rollouts.start(
        work,
        model=MODEL,
        tenant=TenantId(f"t{number}"),
        environment=ENVIRONMENT,
        version_id=f"ver_{number}",
        version="1.0.0",
        digest=Digest("sha256:" + "a" * 64),
        active_version=None,
        approval=ApprovalId("apr_none"),
        policy_digest="sha256:" + "0" * 64,
        demands=load_preset("standard").tier(1).rollout,
    )
    return started.id


def everything(house: House, address: str, limit: int) -> list[str]:
    found: list[str] = []
    after: dict[str, Any] = {}
    while True:
        answer = house.client.get(address, params={"limit": limit, **after}, headers=house.admin)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [item["id"] for item in page["items"]]
        if page.get("next") is None:
            return found
        after = {"cursor": page["next"]}


@pytest.mark.parametrize(
    ("make", "address"),
    [
        (ask, "/api/v1/approvals"),
        (remedy, "/api/v1/remediation"),
        (release, "/api/v1/rollouts"),
    ],
)
def test_rows_of_one_moment_are_all_listed_once(
    house: House, make: Callable[[Work, int], str], address: str
) -> None:
    with house.application.parts.records.begin(ASKER, reason="many at once") as work:
        made = [make(work, number) for number in range(MANY)]
    for limit in (1, 7, MANY, 100):
        found = everything(house, address, limit)
        assert len(found) == len(set(found)) == MANY, limit
        assert found == everything(house, address, 100)
    assert sorted(found) == sorted(made)


@pytest.mark.parametrize("address", ["approvals", "remediation", "rollouts"])
def test_a_page_after_nothing_that_is_there_is_refused(house: House, address: str) -> None:
    answer: httpx.Response = house.client.get(
        f"/api/v1/{address}", params={"cursor": "no_such"}, headers=house.admin
    )
    assert answer.status_code == 422
