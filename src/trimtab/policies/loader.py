"""From the text of a policy to a policy, or to an error with line and column."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import pathlib
from importlib import resources
from typing import Any

from pydantic import ValidationError

from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.policies.model import Policy, TierPolicy
from trimtab.policies.monotone import falls
from trimtab.policies.reading import Document, Path, Value, dotted, read, refusal, said_of
from trimtab.policies.schema import slice_at

INHERITS = "inherits"
_COMPUTED = ("digest", "text")


def preset_names() -> tuple[str, ...]:
    """The names of the presets that come with Trimtab, sorted."""
    folder = resources.files("trimtab.policies") / "presets"
    files = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


@functools.cache
def load_preset(name: str) -> Policy:
    """The preset called `name`.

    Raises:
        NotFound: no preset has this name.
    """
    if name not in preset_names():
        raise NotFound(
            f"no policy preset is called {name[:60]!r}",
            field="name",
            remedy=f"The presets are {', '.join(preset_names())}.",
        )
    file = resources.files("trimtab.policies") / "presets" / f"{name}.yaml"
    return load_text(file.read_bytes().decode(), f"{name}.yaml")


def load_chosen(chosen: str, *, field: str = "policy") -> Policy:
    """The preset called `chosen`, else the policy in the file of this name.

    Raises:
        InvalidInput: neither; or what the file says is no policy, as `load_text`.
    """
    if chosen in preset_names():
        return load_preset(chosen)
    path = pathlib.Path(chosen)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the policy {ascii(chosen)[:200]} is no preset, and no file that can be read",
            field=field,
            remedy="name one of " + ", ".join(preset_names()) + ", or a file of policy",
        ) from error
    return load_text(text, path.name)


def load_text(text: str, source: str = "policy.yaml") -> Policy:
    """The policy that `text` states.

    A tier may say `inherits: tier_<the tier below>` and list only what differs: mappings
    are merged key by key, everything else is replaced.

    Args:
        text: YAML; the digest of the policy is the SHA-256 of exactly this, in UTF-8.
        source: What the text is called in errors, such as a file name.

    Raises:
        InvalidInput: not YAML as `reading` allows it, an unknown or missing key, a value
            of the wrong type or out of bounds, parts that contradict one another, or a
            tier that asks for less than the tier below it. The message starts with
            `source:line:column:` and `field` names the key.
    """
    document = read(text, source)
    for name in _COMPUTED:
        if name in document.data:
            document.refuse((name,), f"{name!r} is computed from the text and never given")
    _inherit(document)
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    tree = {**document.data, "digest": digest, "text": text}
    try:
        # Through JSON, because strict validation takes lists and words only from there.
        policy = Policy.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        raise _explained(document, error) from error
    for fall in falls(policy):
        document.refuse(fall.path, str(fall), remedy="Ask at least what the tier below asks.")
    return policy


def _inherit(document: Document) -> None:
    """Complete each tier that inherits from the one below it, lowest risk first."""
    tiers = document.data.get("tiers")
    if not isinstance(tiers, dict):
        return
    for number in (4, 3, 2, 1):
        name, below = f"tier_{number}", f"tier_{number + 1}"
        tier = tiers.get(name)
        if not isinstance(tier, dict) or INHERITS not in tier:
            continue
        if tier.pop(INHERITS) != below or number == 4:
            remedy = f"Write `{INHERITS}: {below}`." if number < 4 else "List all its keys."
            what = f"{name} can inherit from the tier below only"
            document.refuse(("tiers", name, INHERITS), what, remedy=remedy)
        base = tiers.get(below)
        if isinstance(base, dict):  # else validation tells what is wrong with the base
            tiers[name] = _merged(base, tier)
        _copy_places(document, ("tiers", below), ("tiers", name))


def _merged(base: dict[str, Value], changes: dict[str, Value]) -> dict[str, Value]:
    merged = dict(base)
    for name, value in changes.items():
        under = merged.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            value = _merged(under, value)
        merged[name] = value
    return merged


def _copy_places(document: Document, source: Path, target: Path) -> None:
    """Let what is inherited point to the line where it is written."""
    for path, place in list(document.places.items()):
        if path[: len(source)] == source:
            document.places.setdefault((*target, *path[len(source) :]), place)


def _explained(document: Document, error: ValidationError) -> InvalidInput:
    """The first fault in the text, in our words; the others are counted."""
    faults = error.errors(include_url=False)
    # What tiers inherit is one fault, told of the tier (the last by name) that writes it; an
    # unknown key goes before a missing one, because it is mostly the same key, misspelled.
    faults.sort(key=lambda fault: str(fault["loc"]), reverse=True)
    faults.sort(key=lambda fault: (fault["type"] == "missing", _position(document, fault)))
    first = faults[0]
    others = len({_position(document, fault) for fault in faults}) - 1
    path = tuple(first["loc"])
    what, remedy = said_of(first, "the policy", lambda: _nearest(path))
    more = f" (and {others} more)" if others else ""
    return refusal(document.source, document.place(path), what + more, dotted(path), remedy)


def _position(document: Document, fault: Any) -> tuple[int, int]:
    place = document.place(tuple(fault["loc"]))
    return place.line, place.column


def _nearest(path: Path) -> str:
    above = slice_at(Policy, path[:-1])
    valid = [name for name in above.model_fields if name not in _COMPUTED] if above else []
    if above is TierPolicy:
        valid.append(INHERITS)
    return difflib.get_close_matches(str(path[-1])[:60], valid, n=1, cutoff=0)[0]
