"""The description of the interface is the contract: what it describes is taken and answered
as it says, and what it does not describe is refused.

Schemathesis reads the description, and asks every address for what it allows, for what is
just beside that, and along the links from what was made to what can be done with it. The
seed is fixed, so that what fails can be asked again; `make chaos` asks far more.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies
from schemathesis import Case, CheckContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.databases import database_for
from tests.patience import PATIENCE_SECONDS

from trimtab.api.description import LINKS
from trimtab.demo.processes import ControlPlane, start_control_plane
from trimtab.identity.roles import ROLES
from trimtab.observations.batches import labels_batch
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

SEED = 20150301
START = "2015-03-01T00:00:00Z"
ARROW = "application/vnd.apache.arrow.stream"

INEXPRESSIBLE = {
    ("POST /api/v1/models", "label"): "the label is none of the features",
    ("POST /api/v1/models", "features"): "each feature is named once",
    ("POST /api/v1/people", "password"): "a password is not one that everybody tries",
    ("POST /api/v1/models/{model}/versions", "metadata"): "a text that is itself JSON",
    ("POST /api/v1/models/{model}/versions", "artifact"): "a file is a model, a part is a file",
    ("POST /api/v1/tokens/exchange", "scopes"): "a key has some permissions, and no others",
    ("*", "new_password"): "a password is not one that everybody tries",
    ("*", "roles"): "the conditions of a role fit the role and whoever holds it",
    ("PUT /api/v1/kill-switches/{scope}", "name"): "the fleet has no name, all else has one",
    ("DELETE /api/v1/kill-switches/{scope}", "name"): "the fleet has no name, all else has one",
    ("PUT /api/v1/gateways/{name}", "body"): "whatever a gateway says, in plain JSON without NUL",
    ("GET /api/ml/model/latest", "model"): "who may ask for several models says which",
    ("GET /api/ml/model/download", "model"): "who may ask for several models says which",
    ("GET /api/ml/model/download", "Range"): "a range begins before it ends",
    ("POST /api/v1/labels", "*"): "the columns of an Arrow stream",
    ("POST /api/v1/predictions", "*"): "the columns of an Arrow stream",
    ("POST /api/v1/monitoring/drift-check", "*"): "whether two tables can be compared",
    ("POST /api/v1/inventory/records/{record}/intake", "*"): "texts that are JSON, files",
    ("POST /api/v1/compliance/preview", "rulebook"): "what rules are made of, rulebooks tell",
    ("POST /api/v1/compliance/waivers", "*"): "an end that a waiver of this rule can have",
    ("PATCH /api/v1/connections/{connection}", "*"): "the same",
    ("POST /api/v1/connections", "*"): "addresses, references and tag maps have their own rules",
    ("GET /api/v1/inventory/lineage", "node"): "a kind of thing that lineages have",
    ("*", "Idempotency-Key"): "a key stands for one request",
    ("*", "cursor"): "the place where a list goes on is one that the server has named",
    ("*", "as_of"): "a moment lies after 1970 and has come",
    ("*", "since"): "a moment lies between 1970 and 2500",
    ("*", "to"): "a moment lies between 1970 and 2500",
}
"""What no schema can say of a field, so that what is described is refused all the same."""

LEFT_OUT = {
    ("allow_header_conformance", "POST /api/v1/remediation/execute"): (
        "its address is also that of a remedy called `execute`, which could be asked for"
    ),
}
"""Checks that do not apply to an address."""


def inexpressible(label: str, place: str) -> bool:
    """Whether a refusal of this field is one that no schema can foretell."""
    begins = place.partition(".")[0]
    return not {(label, begins), (label, "*"), ("*", begins)}.isdisjoint(INEXPRESSIBLE)


@schemathesis.check
def takes_what_it_describes(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """As `positive_data_acceptance`, but for what no schema can say."""
    try:
        return positive_data_acceptance(ctx, response, case)
    except Failure:
        place = response.json().get("field") if response.status_code == 422 else None
        if place is None or not inexpressible(case.operation.label, place):
            raise
        return None


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """A clock goes on by days, not by centuries: all that became due meanwhile is done."""
    if context.operation.label == "POST /api/v1/clock/step" and isinstance(body, dict):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if datetime.fromisoformat(body["to"]) > datetime.fromisoformat(START):
                return {**body, "to": START}
    return body


@schemathesis.serializer(ARROW)
def as_it_is(context: Any, value: Any) -> bytes:
    """A stream goes as it is; whatever else is made up in its place goes as text."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


MADE_AT = "014bd25b-8000-7000-8000-000000000001"
"""A prediction of the first of March 2015."""

schemathesis.openapi.media_type(
    ARROW,
    strategies.one_of(
        strategies.binary(max_size=200),
        strategies.integers(0, 1).map(lambda label: labels_batch([MADE_AT], [0], [label])),
    ),
)


@dataclass
class Findings:
    """What came of a run."""

    asked: Counter[str] = field(default_factory=Counter)
    """Requests of each operation."""
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    followed: Counter[str] = field(default_factory=Counter)
    """Requests along each link that the description has, by its name; none that was guessed."""
    wrong: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, event: Any) -> None:
        """Note what an event of the run tells."""
        if isinstance(event, events.NonFatalError):
            self.wrong["error", event.label] = str(event.value)
        if isinstance(event, events.FatalError):
            self.wrong["error", "of the run"] = str(event.exception)
        if not isinstance(event, events.ScenarioFinished):
            return
        for name, node in event.recorder.cases.items():
            met = event.recorder.interactions.get(name)
            label = node.value.operation.label
            self.asked[label] += 1
            if node.transition is not None and not node.transition.is_inferred:
                self.followed[node.transition.id] += node.is_transition_applied
            if met is not None and met.response is not None:
                self.answered[label, met.response.status_code] += 1
            for check in event.recorder.checks.get(name, ()):
                if _slowed_down(check.name, met):
                    continue
                if check.failure_info is not None and (check.name, label) not in LEFT_OUT:
                    self.wrong[check.name, label] = _told(node.value, met, check)


def _slowed_down(check: str, met: Any) -> bool:
    """Whether a credential that is none was told to wait, and not that it is none: so many of
    them from one address are slowed down, which refuses them just as well."""
    return check == "ignored_auth" and met is not None and met.response.status_code == 429


def _told(case: Case[Any], met: Any, check: Any) -> str:
    answer = None if met is None else met.response
    said = "" if answer is None else f"{answer.status_code} {answer.content[:400]!r}"
    failure = check.failure_info.failure
    return (
        f"{case.method} {case.path} {case.path_parameters} {case.query} {case.headers}\n"
        f"  {str(case.body)[:300]!r}\n  {said}\n  {failure.title}: {failure.message[:300]}"
    )


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[tuple[ControlPlane, str]]:
    """A control plane of its own, for its clock is stepped, and the key of an account that may
    do all that accounts may, so that nothing is refused early."""
    home = tmp_path / "home"
    control = start_control_plane(home, START, port=None, more=database_for(home))
    try:
        with Client(control.url) as nobody:
            token = nobody.identity.log_in("admin@localhost", control.admin_password)
        with Client(control.url, token=token) as admin:
            admin.identity.add_tenant(shapes.NewTenant(id="aa", name="AA"))
            account = shapes.NewAccount(name="asks", roles=sorted(ROLES))
            key = admin.identity.add_account(account).key
        yield control, key
    finally:
        control.process.handle.kill()
        control.process.stop()


def asked(control: ControlPlane, key: str, *, examples: int, phases: Mapping[str, Any]) -> Findings:
    """Ask every address for as many `examples`, in these phases."""
    settings = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "workers": 1,
            "continue-on-failure": True,
            "request-timeout": PATIENCE_SECONDS,
            "headers": {"X-Api-Key": key},
            "generation": {
                "deterministic": True,
                "database": "none",
                "max-examples": examples,
                "no-shrink": True,
            },
            "phases": dict(phases),
            # Its like is above, which knows what no schema can say.
            "checks": {"positive_data_acceptance": {"enabled": False}},
        }
    )
    described = schemathesis.openapi.from_url(f"{control.url}/openapi.json", config=settings)
    found = Findings()
    for event in from_schema(described).execute():
        found.take(event)
    assert not found.wrong, "\n\n".join(f"{what}\n{how}" for what, how in found.wrong.items())
    return found


WHOLE = {"coverage": {"enabled": True}}
"""Each bound, each way beside it, and all that follows from the shapes of the answers."""


@pytest.mark.slow
def test_what_is_described_is_what_is_done(everything: tuple[ControlPlane, str]) -> None:
    found = asked(*everything, examples=2, phases=WHOLE)
    assert len(found.asked) >= 50, "every address was asked"
    good = {label for label, status in found.answered if 200 <= status < 300}
    # The others name something that has to be there first: a rollout, an incident, a key.
    assert len(good) >= 20, sorted(set(found.asked) - good)
    assert sum(found.asked.values()) > 1500


ALONG_LINKS = {
    **{phase: {"enabled": False} for phase in ("examples", "coverage", "fuzzing")},
    "stateful": {"inference": {"algorithms": []}},
}
"""From what was made to what can be done with it, by the links of the description alone."""


@pytest.mark.slow
def test_what_was_made_is_asked_for_along_the_links(everything: tuple[ControlPlane, str]) -> None:
    found = asked(*everything, examples=40, phases=ALONG_LINKS)
    names = {link.split(" -> ")[1].partition("] ")[2] for link in +found.followed}
    assert names >= set(LINKS["register_api_v1_models_post"]), found.followed


@pytest.mark.chaos
def test_what_is_described_is_what_is_done_a_thousand_times(
    everything: tuple[ControlPlane, str],
) -> None:
    found = asked(*everything, examples=200, phases=WHOLE)
    assert sum(found.asked.values()) > 10_000
