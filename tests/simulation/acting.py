"""What people, gateways, feeds and the weather may do at any moment, drawn by lot."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from tests.simulation.plane import Plane
from tests.simulation.world import MODEL, ROLES, TENANT, World
from tests.workflows.handing_in import ACTOR

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.approvals.model import Vote, Voter
from trimtab.identity import service as identity
from trimtab.identity import standing
from trimtab.identity.model import Person
from trimtab.incidents import service as incidents
from trimtab.incidents import store as incident_store
from trimtab.kernel.actor import Actor, system
from trimtab.monitoring.late import What
from trimtab.observations.batches import Parsed
from trimtab.platform.durable import FailedJob
from trimtab.policies.operation import ActionName
from trimtab.registry import store
from trimtab.remediation import endings, kill_switches
from trimtab.remediation import store as remediation_store
from trimtab.remediation.switches import Scope
from trimtab.rollouts import service as rollouts
from trimtab.rollouts.model import Rollout
from trimtab.workflows import release, repair, serving

TEMPER = (1, 1, 2, 5, 12)
"""How much more often something is done in one seed than in another."""

ASKED_FOR = (
    ActionName.ROLLBACK_MODEL,
    ActionName.ROLLBACK_MODEL,
    ActionName.NOTIFY_TEAM,
    ActionName.RETRAIN_MODEL,
)

Act = Callable[[], str]


class Acting:
    """Everybody who acts on one control plane; each act says in words what it was."""

    def __init__(self, plane: Plane, world: World, rng: random.Random):
        self.plane, self.world, self.rng = plane, world, rng
        self.late: list[tuple[str, Parsed]] = []
        self.sent: list[tuple[What, str, Parsed]] = []
        self.keys: list[str] = []
        self.acts: dict[Act, int] = {
            self.wait: 10,
            self.wait_long: 3,
            self.well: 9,
            self.badly: 4,
            self.no_labels: 2,
            self.late_labels: 3,
            self.send_again: 2,
            self.drifting: 2,
            self.follow: 14,
            self.lag: 3,
            self.join: 1,
            self.fall_silent: 1,
            self.refuse: 1,
            self.sign: 8,
            self.vote: 5,
            self.vote_on_own: 2,
            self.vote_for_all: 2,
            self.withdraw: 1,
            self.leave: 2,
            self.hold: 2,
            self.resume: 3,
            self.abort: 1,
            self.release: 2,
            self.remedy: 7,
            self.switch: 3,
            self.unswitch: 3,
            self.close_incident: 1,
            self.call_off: 1,
            self.damage: 1,
            self.issue: 1,
            self.revoke: 1,
            self.retry: 2,
            self.sign_head: 2,
        }

        # Each seed has a temper: what is done often in one is rare in the next.
        for act in self.acts:
            self.acts[act] *= rng.choice(TEMPER)

    def draw(self) -> Act:
        """One of them."""
        return self.rng.choices(list(self.acts), weights=list(self.acts.values()))[0]

    # --- time --------------------------------------------------------------------------

    def wait(self) -> str:
        minutes = self.rng.choice([1, 10, 31, 65, 65, 130])
        self.world.step(timedelta(minutes=minutes))
        return f"{minutes} minutes pass"

    def wait_long(self) -> str:
        hours = self.rng.choice([12, 26, 26, 60, 24 * 31])
        self.world.step(timedelta(hours=hours))
        return f"{hours} hours pass"

    # --- what is served, and what comes of it ----------------------------------------------

    def well(self) -> str:
        self._outcomes(bad=False)
        return "hours in which everything does well"

    def badly(self) -> str:
        self._outcomes(bad=True)
        return "hours in which canaries do harm"

    def no_labels(self) -> str:
        self._outcomes(bad=False, labels=False)
        return "predictions without labels"

    def drifting(self) -> str:
        self._outcomes(bad=True, shift=3.0)
        return "other inputs than before"

    def _outcomes(self, *, bad: bool, labels: bool = True, shift: float = 0.0) -> None:
        for deployed in self.world.carrying():
            canary = deployed.state.value == "canary"
            one_in = 3 if bad and (canary or shift) else (340 if canary else 34)
            rows = self.rng.choice([40, 400, 700])
            predictions, known = self.world.batches(deployed, rows, one_in=one_in, shift=shift)
            self._send(What.PREDICTIONS, predictions)
            if labels and self.rng.random() < 0.9:
                self._send(What.LABELS, known)
            else:
                self.late.append(("labels", known))

    def _send(self, what: What, batch: Parsed) -> None:
        batch_id = f"{what.value}-{next(self.world.numbers)}"
        self.world.send(what, batch_id, batch)
        self.sent.append((what, batch_id, batch))

    def late_labels(self) -> str:
        self.rng.shuffle(self.late)
        sent = [self.late.pop() for _ in range(min(2, len(self.late)))]
        for _, batch in sent:
            self._send(What.LABELS, batch)
        return f"{len(sent)} batches of labels come late"

    def send_again(self) -> str:
        if not self.sent:
            return "nothing to send again"
        what, batch_id, batch = self.rng.choice(self.sent)
        assert self.world.send(what, batch_id, batch), (
            f"{batch_id} was acknowledged and is not there"
        )
        return f"{batch_id} comes a second time"

    # --- gateways ----------------------------------------------------------------------

    def follow(self) -> str:
        for name in sorted(self.world.gateways):
            self.world.report(name)
        return "every gateway follows"

    def lag(self) -> str:
        name = self.rng.choice(sorted(self.world.gateways))
        self.world.report(name, lag=True)
        return f"{name} says that it has the old table"

    def join(self) -> str:
        name = f"gate-{self.rng.randint(1, 3)}"
        self.world.gateways.setdefault(name, 0)
        self.world.report(name)
        return f"{name} is there"

    def fall_silent(self) -> str:
        self.plane.real_clock.step_to(self.plane.real_clock.now() + release.GATEWAY_SILENCE * 2)
        return "no gateway was heard of for minutes"

    def refuse(self) -> str:
        if self.world.refusing:
            self.world.refusing.clear()
            return "gateways can load everything again"
        placed = self.world.carrying()
        if placed:
            self.world.refusing.add(self.rng.choice(placed).digest)
        return "gateways cannot load a version"

    # --- people ------------------------------------------------------------------------

    def _somebody(self) -> Person:
        return self.rng.choice(self.world.people())

    def sign(self) -> str:
        asked = self.world.asked()
        if not asked:
            return "nothing waits for a signature"
        chosen = self.rng.choice(asked)
        self.world.sign(chosen.id)
        return f"{chosen.target.version} is signed by all who have to"

    def vote(self) -> str:
        asked = self.world.asked()
        if not asked:
            return "nothing waits for a vote"
        chosen, person = self.rng.choice(asked), self._somebody()
        approve = self.rng.random() < 0.8
        self.world.vote(chosen, person, approve=approve)
        return f"{person.name} says {'yes' if approve else 'no'} to {chosen.target.version}"

    def vote_on_own(self) -> str:
        asked = self.world.asked()
        if not asked:
            return "nothing of one's own to vote on"
        chosen = self.rng.choice(asked)
        with self._as(ACTOR, "it is good") as work:
            approvals.decide(
                work, chosen.id, frozenset(ROLES), approve=True, digest=chosen.target.digest
            )
        return f"who handed {chosen.target.version} in says yes to it"

    def vote_for_all(self) -> str:
        asked = self.world.asked()
        everybody = [p for p in self.world.people() if len(p.roles) > 1]
        if not asked or not everybody:
            return "nothing waits for somebody with many roles"
        chosen, digest = self.rng.choice(asked), ""
        for reason in ("I looked", "I looked again, as somebody else"):
            digest = chosen.target.digest
            with self._as(everybody[0].actor(), reason) as work:
                known = approval_store.get(work, chosen.id)
                open_ = frozenset(step.role for step in known.open_steps())
                voter = Voter(everybody[0].id, everybody[0].name, open_)
                moved, event = known.vote(
                    voter, approve=True, digest=digest, reason=reason, at=work.now
                )
                approval_store.save(work, moved, event)
        return f"one person signs {chosen.target.version} for everybody"

    def withdraw(self) -> str:
        asked = self.world.asked()
        if not asked:
            return "nothing to withdraw"
        chosen = self.rng.choice(asked)
        with self.plane.parts.records.begin(ACTOR, reason="a mistake") as work:
            approvals.withdraw(work, chosen.id)
        return f"the request for {chosen.target.version} is withdrawn"

    def leave(self) -> str:
        """Somebody leaves: as likely as not one who has signed for what is on its way."""
        signed = {
            vote.person for rollout in self.world.open_rollouts() for vote in self._votes(rollout)
        }
        signers = [p for p in self.world.people() if p.id in signed]
        chosen = self.rng.choice(signers or self.world.people())
        with self._as(system("admin"), "left") as work:
            standing.disable_person(work, chosen.id)
        return f"{chosen.name} leaves"

    def _votes(self, rollout: Rollout) -> tuple[Vote, ...]:
        with self.plane.parts.records.look() as reading:
            return approval_store.get(reading, rollout.approval).votes

    def hold(self) -> str:
        return self._operate(lambda work, rollout_id: rollouts.hold(work, rollout_id), "held")

    def resume(self) -> str:
        found = self.world.open_rollouts()
        if not found:
            return "no rollout to be resumed"
        chosen = self.rng.choice(found)
        demands = release.demands_of(self.plane.parts, chosen.id)
        with self._as(self._somebody().actor(), "go on") as work:
            rollouts.resume(work, chosen.id, demands=demands)
        return f"the rollout of {chosen.version} is resumed"

    def abort(self) -> str:
        return self._operate(lambda work, rollout_id: rollouts.abort(work, rollout_id), "aborted")

    def _operate(self, act: Callable[..., object], word: str) -> str:
        found = self.world.rollouts()
        if not found:
            return f"no rollout to be {word}"
        chosen = found[0] if self.rng.random() < 0.8 else self.rng.choice(found)
        with self._as(self._somebody().actor(), "I say so") as work:
            act(work, chosen.id)
        return f"the rollout of {chosen.version} is {word}"

    def release(self) -> str:
        with self.plane.parts.records.look() as reading:
            versions = store.versions_of(reading, MODEL, everyone=True)
        chosen = self.rng.choice(versions)
        with self._as(self._somebody().actor(), "release it") as work:
            release.start(self.plane.parts, work, store.version_by_id(work, chosen.id))
        return f"a rollout of {chosen.version} is started by hand"

    def remedy(self) -> str:
        with self.plane.parts.records.look() as reading:
            found = incident_store.active(reading)
        if not found:
            return "no incident to be repaired"
        incident = self.rng.choice(found)
        action = self.rng.choice(ASKED_FOR)
        actor = self._somebody().actor()
        repair.execute_on_request(self.plane.parts, actor, incident.id, action, "do it")
        return f"{action.value} is asked for, for {incident.id}"

    def close_incident(self) -> str:
        with self.plane.parts.records.look() as reading:
            found = incident_store.active(reading)
        if not found:
            return "no incident to be closed"
        chosen = self.rng.choice(found)
        with self._as(self._somebody().actor(), "it is over") as work:
            incidents.resolve(work, chosen.id, {}, resolution="a person says so")
        return f"{chosen.id} is closed by hand"

    def call_off(self) -> str:
        with self.plane.parts.records.look() as reading:
            found = remediation_store.listed(reading, limit=5)
        if not found:
            return "no remedy to be called off"
        chosen = self.rng.choice(found)
        with self._as(self._somebody().actor(), "call it off") as work:
            endings.abort(work, chosen.id)
        return f"{chosen.action.value} is called off"

    def _scope(self) -> tuple[Scope, str]:
        return self.rng.choice([(Scope.FLEET, ""), (Scope.MODEL, MODEL), (Scope.TENANT, TENANT)])

    def switch(self) -> str:
        scope, name = self._scope()
        with self._as(self._somebody().actor(), "stop") as work:
            kill_switches.engage(work, scope, name)
        return f"kill switch of {scope.value} {name} is set"

    def unswitch(self) -> str:
        scope, name = self._scope()
        with self._as(self._somebody().actor(), "go on") as work:
            kill_switches.clear(work, scope, name)
        return f"kill switch of {scope.value} {name} is cleared"

    def damage(self) -> str:
        with self.plane.parts.records.look() as reading:
            versions = store.versions_of(reading, MODEL, everyone=True)
        chosen = self.rng.choice(versions)
        serving.quarantine(self.plane.parts, chosen, "its bytes are damaged")
        return f"the bytes of {chosen.version} are damaged"

    def issue(self) -> str:
        owner = self._somebody()
        with self._as(system("admin"), "a gateway") as work:
            account = identity.add_account(
                work,
                name=f"gateway {next(self.world.numbers)}",
                owner=owner.id,
                roles=("gateway",),
                tenant=None,
            )
            key, _ = identity.issue_key(work, account)
        self.keys.append(key.id)
        return "a key is issued"

    def revoke(self) -> str:
        if not self.keys:
            return "no key to be revoked"
        with self._as(system("admin"), "lost") as work:
            identity.revoke_key(work, self.keys[-1])
        return "a key is revoked"

    def retry(self) -> str:
        dead = list(self.plane.kept.dead.values())
        for letter in dead:
            self._again(letter)
        return f"{len(dead)} dead letters are tried again"

    def _again(self, letter: FailedJob) -> None:
        self.plane.engine.retry(letter.key)

    def sign_head(self) -> str:
        self.plane.parts.heads.sign()
        return "a head is published"

    def _as(self, actor: Actor, reason: str):  # type: ignore[no-untyped-def]
        return self.plane.parts.records.begin(actor, reason=reason)
