"""The actions there are: what each needs, does, undoes, and how far it reaches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.events import canonical
from trimtab.kernel.ids import TenantId
from trimtab.policies.operation import ActionName

MAX_TEXT = 2000
"""Longest argument of an action, in characters: it is a fact, not a document."""


class Reach(StrEnum):
    """What an action can touch at most."""

    PEOPLE = "people"
    """Somebody is told; no model and no traffic changes."""
    REGISTRY = "registry"
    """A new version may come to be; it carries no traffic without an approval of its own."""
    PLACE = "place"
    """The traffic of one model, for one tenant or for the fleet, in one environment."""


class Verification(StrEnum):
    """What shows that an action has worked; its having ended never does."""

    RECEIPT = "receipt"
    """Somebody's system has taken the message."""
    RECOVERY = "recovery"
    """The figure that went wrong has come back, measured over windows."""


@dataclass(frozen=True)
class Action:
    """An action as declared. `arguments` are exactly those that it takes, all text."""

    name: ActionName
    effect: str
    preconditions: tuple[str, ...]
    inverse: str | None
    verification: Verification
    reach: Reach
    arguments: frozenset[str]

    @property
    def changes_something(self) -> bool:
        """Whether it does more than tell somebody."""
        return self.reach is not Reach.PEOPLE


ACTIONS: Mapping[ActionName, Action] = MappingProxyType(
    {
        ActionName.NOTIFY_TEAM: Action(
            name=ActionName.NOTIFY_TEAM,
            effect="The team that owns the model is told what is wrong and what is proposed.",
            preconditions=(),
            inverse=None,
            verification=Verification.RECEIPT,
            reach=Reach.PEOPLE,
            arguments=frozenset({"team", "summary"}),
        ),
        ActionName.ROLLBACK_MODEL: Action(
            name=ActionName.ROLLBACK_MODEL,
            effect="The predecessor takes the place of the stable version.",
            preconditions=(
                "the version named is the stable one",
                "the predecessor is kept warm and may still carry traffic",
            ),
            inverse="The version that was taken back becomes stable again.",
            verification=Verification.RECOVERY,
            reach=Reach.PLACE,
            arguments=frozenset({"from_version", "from_digest", "to_version", "to_digest"}),
        ),
        ActionName.RETRAIN_MODEL: Action(
            name=ActionName.RETRAIN_MODEL,
            effect="A challenger is trained on newer data and, if it is better, submitted.",
            preconditions=(
                "the champion named is the stable version",
                "the data are sound: the diagnosis is not one of a broken feed",
                "the machine has the memory that training may take",
            ),
            inverse=None,
            verification=Verification.RECOVERY,
            reach=Reach.REGISTRY,
            arguments=frozenset({"champion_version", "champion_digest"}),
        ),
    }
)


def declared(name: ActionName) -> Action:
    """The action called `name`.

    Raises:
        InvalidInput: nobody has declared how it is carried out.
    """
    action = ACTIONS.get(name)
    if action is None:
        raise InvalidInput(
            f"{name.value} is not an action that can be carried out here",
            field="action",
            remedy=f"the actions are {', '.join(sorted(ACTIONS))}",
        )
    return action


def checked_arguments(action: Action, arguments: Mapping[str, object]) -> dict[str, str]:
    """The arguments, if they are exactly those that the action takes.

    Raises:
        InvalidInput: one is missing, unknown, not text, empty or too long.
    """
    unknown = sorted(set(arguments) - action.arguments)
    if unknown:
        raise InvalidInput(
            f"{action.name.value} takes no {ascii(unknown[0])[:60]}",
            field="args",
            remedy=f"it takes {', '.join(sorted(action.arguments))}, and no switch for its safety",
        )
    checked: dict[str, str] = {}
    for name in sorted(action.arguments):
        value = arguments.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
            raise InvalidInput(
                f"{action.name.value} needs {name} as text of 1 to {MAX_TEXT} characters",
                field=f"args.{name}",
            )
        checked[name] = value
    return checked


def digest_of(arguments: Mapping[str, str]) -> str:
    """SHA-256 of the arguments in canonical JSON; what a permit binds."""
    return "sha256:" + hashlib.sha256(canonical(dict(arguments))).hexdigest()


def target_of(action: Action, model: str, tenant: TenantId | None, environment: str) -> str:
    """The real thing that is acted on, spelt in one way only: limits are kept by it.

    Telling a team is a target of its own, so that news neither waits for a rollback nor
    begins its cooldown.

    Raises:
        InvalidInput: a part that could make two targets look like one.
    """
    for name, part in (("model", model), ("tenant", tenant), ("environment", environment)):
        if part is not None and (not part or part == "*" or "/" in part):
            raise InvalidInput(f"{ascii(part)[:60]} cannot be a {name}", field=name)
    place = f"{model}/{tenant or '*'}/{environment}"
    return place if action.changes_something else f"team/{place}"
