"""The reference page of the policy keys, written from the classes and the presets.

`python -m trimtab.policies.reference > docs/reference/policy.md` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from trimtab.policies.loader import load_preset, preset_names
from trimtab.policies.model import Policy, RiskLimits, Tier, TierPolicy
from trimtab.policies.monotone import shown
from trimtab.policies.pending import meaning
from trimtab.policies.schema import Key, keys, value_at
from trimtab.policies.units import Direction

_STRICTER = {
    Direction.STRICT_UP: "more",
    Direction.STRICT_DOWN: "less",
    Direction.SUPERSET: "longer list",
    Direction.SUBSET: "shorter list",
    Direction.LADDER: "slower",
    Direction.PEOPLE: "more people",
    Direction.NEUTRAL: "neither",
}

_OPENING = """\
# Policy keys

<!-- Written by `python -m trimtab.policies.reference`; a test compares. -->

A policy is a YAML text with `name`, `summary`, `risk` and `tiers`. Each of the four tiers
lists every key below, or says `inherits: tier_<the tier below>` and lists only what differs:
mappings are merged key by key, everything else is replaced. Tier 1 carries the highest risk.
*Stricter* says which way a key asks for more; a tier of higher risk never asks for less, and a
text that would is refused with its line. Numbers are plain decimals. Anchors, aliases, tags,
nulls, duplicate and unknown keys are refused. The digest of a policy is the SHA-256 of its
exact text.

A limit (`max_...`) is kept when a value equals it, a floor (`min_...`) is met when a value
equals it, and a trigger fires above its value. Whoever asks for an approval, or contributed to
what is approved, is never counted among the people; no key changes that.

A key that is *not judged yet* is read and checked, and no decision depends on it so far.
"""


def render() -> str:
    """The page, in Markdown."""
    policies = [load_preset(name) for name in preset_names()]
    lines = [_OPENING, "## risk", "", *_risk(policies)]
    section = ""
    for key in keys(TierPolicy):
        if key.path[0] != section:
            section = key.path[0]
            lines += ["", f"## {section}", "", *_slice_head(section, policies)]
        lines.append(_row(key, policies))
    return "\n".join(lines) + "\n"


def _risk(policies: list[Policy]) -> Iterator[str]:
    names = [policy.name for policy in policies]
    yield f"| key | unit | meaning | {' | '.join(names)} |"
    yield "|---|---|---|" + "---|" * len(names)
    for key in keys(RiskLimits):
        values = " | ".join(shown(value_at(policy.risk, key.path)) for policy in policies)
        yield f"| `{key.name}` | {_unit(key)} | {key.description} | {values} |"


def _slice_head(section: str, policies: list[Policy]) -> Iterator[str]:
    about = TierPolicy.model_fields[section].annotation
    yield (about.__doc__ or "").strip()
    yield ""
    names = [f"{policy.name} 1 / 2 / 3 / 4" for policy in policies]
    yield f"| key | unit | stricter | meaning | {' | '.join(names)} |"
    yield "|---|---|---|---|" + "---|" * len(names)


def _row(key: Key, policies: list[Policy]) -> str:
    name = ".".join(key.path[1:])
    values = " | ".join(_values(key, policy) for policy in policies)
    stricter = _STRICTER[key.direction]
    return f"| `{name}` | {_unit(key)} | {stricter} | {meaning(key)} | {values} |"


def _values(key: Key, policy: Policy) -> str:
    """One value where all tiers agree, else the four of them."""
    values = [shown(value_at(policy.tier(tier), key.path)) for tier in Tier]
    return values[0] if len(set(values)) == 1 else " / ".join(values)


def _unit(key: Key) -> str:
    if key.unit is None:
        return ""
    if key.minimum is None or key.maximum is None:
        return key.unit.name
    left, right = "(" if key.open_minimum else "[", ")" if key.open_maximum else "]"
    return f"{key.unit.name} {left}{shown(key.minimum)}, {shown(key.maximum)}{right}"


if __name__ == "__main__":
    sys.stdout.write(render())
